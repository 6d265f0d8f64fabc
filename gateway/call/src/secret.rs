//! A value that nobody may read by accident: it has no printed form and no stored one, and is wiped when it is dropped.

use zeroize::Zeroizing;

/// Bytes set aside at once: a value that grew into another place would leave a copy behind.
const ROOM: usize = 64;

/// Something the caller entered. Never longer than [`ROOM`].
#[derive(Clone)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    /// Adds a character, while there is room.
    pub(crate) fn push(&mut self, character: char) {
        if self.0.len() + character.len_utf8() <= ROOM {
            self.0.push(character);
        }
    }

    /// Forgets it.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value itself: for checks, and for whoever policy names.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self(Zeroizing::new(String::with_capacity(ROOM)))
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        let mut secret = Self::default();
        text.chars().for_each(|character| secret.push(character));
        secret
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_nothing_of_itself_and_keeps_its_place() {
        let mut secret = Secret::from("4111");
        let place = secret.expose().as_ptr();
        (0..100).for_each(|_| secret.push('1'));
        assert_eq!((secret.len(), secret.expose().as_ptr()), (ROOM, place));
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "[secret] Some([secret])");
    }
}

//! Texts of plugins as the rest of the gateway may have them.
//!
//! What a provider says is spoken, remembered, sent to other providers and stored, and none of these has a use for a
//! control character; U+0000 cannot even be stored as text by every database. White space is kept.

/// The text without control characters that are no white space.
pub(crate) fn plain(mut text: String) -> String {
    text.retain(|character| !character.is_control() || character.is_whitespace());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_go_and_white_space_stays() {
        let said = "\u{0}Hello\u{7}\twor\u{0}ld\r\n\u{1b}[1mGr\u{fc}\u{df}e\u{85}\u{2028}\u{1f600}\u{7f}\u{9f}";
        assert_eq!(plain(said.to_owned()), "Hello\tworld\r\n[1mGr\u{fc}\u{df}e\u{85}\u{2028}\u{1f600}");
    }
}

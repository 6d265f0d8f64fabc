//! Keyset pages with opaque cursors: a cursor is the last key of a page, signed together with the list, the tenant and
//! the filters it belongs to, so that it cannot be used anywhere else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use trunkline_api::Id;

use super::params::Params;
use super::problem::{Problem, Result};
use crate::keyring::Keyring;

/// Default and largest number of items of a page.
const LIMITS: (i64, i64) = (20, 100);

/// A page that was asked for.
#[derive(Debug)]
pub(crate) struct Page {
    /// Items to give, 1..=100.
    pub(crate) limit: i64,
    /// Key of the last item before this page.
    pub(crate) after: Option<String>,
    scope: String,
}

impl Page {
    /// Reads `limit` and `cursor`. `list` names the list; every other parameter is a filter.
    pub(crate) fn read(params: &Params, keyring: &Keyring, tenant: &Id, list: &str, filters: &[&str]) -> Result<Self> {
        let range = "expected 1 to 100";
        let in_range = |text: &str| text.parse().ok().filter(|limit| (1..=LIMITS.1).contains(limit));
        let limit = params.parsed("limit", range, in_range)?.unwrap_or(LIMITS.0);
        let mut scope = format!("{list}\0{tenant}");
        for name in filters {
            scope.push('\0');
            scope.push_str(params.get(name).unwrap_or_default());
        }
        let expected = "expected `next_cursor` of the page before, with the same filters";
        let after = params.parsed("cursor", expected, |text| open(keyring, &scope, text))?;
        Ok(Self { limit, after, scope })
    }

    /// One more than the page holds: whether there is a next page.
    pub(crate) const fn probe(&self) -> i64 {
        self.limit + 1
    }

    /// Cuts the probe off and makes the cursor of the next page from the last item's key.
    pub(crate) fn cut<T>(&self, items: &mut Vec<T>, keyring: &Keyring, key: impl Fn(&T) -> String) -> Option<String> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        if items.len() <= limit {
            return None;
        }
        items.truncate(limit);
        items.last().map(|last| seal(keyring, &self.scope, &key(last)))
    }

    /// The cursor as a number.
    pub(crate) fn after_number(&self) -> Result<Option<i64>> {
        self.after.as_deref().map(str::parse).transpose().map_err(|_| Problem::internal())
    }
}

fn seal(keyring: &Keyring, scope: &str, key: &str) -> String {
    let mut bytes = keyring.tag("cursor", format!("{scope}\0\0{key}").as_bytes()).to_vec();
    bytes.extend_from_slice(key.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn open(keyring: &Keyring, scope: &str, cursor: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (tag, key) = bytes.split_at_checked(12)?;
    let key = std::str::from_utf8(key).ok()?;
    let expected = keyring.tag("cursor", format!("{scope}\0\0{key}").as_bytes());
    // Compared without an early end, so that timing tells nothing about the tag.
    let difference = tag.iter().zip(expected).fold(0, |sum, (one, other)| sum | (one ^ other));
    (difference == 0).then(|| key.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keyring() -> &'static Keyring {
        static KEYRING: std::sync::OnceLock<Keyring> = std::sync::OnceLock::new();
        KEYRING.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            Keyring::open(folder.path(), &Default::default(), crate::keyring::Missing::Make).unwrap()
        })
    }

    proptest! {
        #[test]
        fn a_cursor_opens_only_in_its_own_scope(key in "[a-z0-9_]{1,40}", scope in "[a-z\0]{1,20}", other in "[a-z\0]{1,20}") {
            let cursor = seal(keyring(), &scope, &key);
            prop_assert_eq!(open(keyring(), &scope, &cursor), Some(key));
            prop_assert_eq!(open(keyring(), &other, &cursor).is_some(), other == scope);
        }
    }
}

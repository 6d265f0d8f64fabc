//! What an operator lays down: authorities that are believed, and certificates that need not be fetched.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::certificate::{Chain, Roots};
use super::token::is_place;

/// Most certificates that are laid down.
const MOST: usize = 4096;

/// What is laid down cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {why}")]
pub struct MaterialError {
    /// In which file.
    pub file: String,
    /// Why.
    pub why: String,
}

/// Authorities and certificates.
#[derive(Debug, Default)]
pub struct Material {
    pub(super) roots: Roots,
    chains: BTreeMap<String, Arc<Chain>>,
}

impl Material {
    /// Reads them: authorities in PEM, and files of certificates in PEM. In those a line with the URL that an Identity names
    /// stands before the certificates that are found there, the signer's first (a text between certificates is none of
    /// theirs, RFC 7468 5.2).
    ///
    /// # Errors
    /// [`MaterialError`] with the file's name when one cannot be used.
    pub fn read(roots: (&str, &[u8]), files: &[(String, Vec<u8>)]) -> Result<Self, MaterialError> {
        let fault = |file: &str, why: &str| MaterialError { file: file.to_owned(), why: why.to_owned() };
        let known = Roots::read(roots.1).map_err(|why| fault(roots.0, why))?;
        let mut chains = BTreeMap::new();
        for (file, bytes) in files {
            let text = std::str::from_utf8(bytes).map_err(|_| fault(file, "it is no text"))?;
            for (url, certificates) in entries(text).ok_or_else(|| {
                fault(file, "a line with the URL that certificates are found at is expected before the first of them")
            })? {
                let chain =
                    Chain::read(certificates.as_bytes()).map_err(|why| fault(file, &format!("{url}: {why}")))?;
                chains.insert(url.to_owned(), Arc::new(chain));
                if chains.len() > MOST {
                    return Err(fault(file, "there are more than 4096 certificates"));
                }
            }
        }
        Ok(Self { roots: known, chains })
    }

    /// How many certificates are laid down.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chains.len()
    }

    /// Whether none are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    /// Whether any authority is believed.
    #[must_use]
    pub fn has_roots(&self) -> bool {
        !self.roots.is_empty()
    }

    pub(super) fn chain(&self, url: &str) -> Option<&Arc<Chain>> {
        self.chains.get(url)
    }
}

/// Each URL with the text up to the next; `None` when a certificate stands before the first.
fn entries(text: &str) -> Option<Vec<(&str, String)>> {
    let mut entries: Vec<(&str, String)> = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        match entries.last_mut() {
            _ if is_place(line) => entries.push((line, String::new())),
            Some((_, certificates)) => {
                certificates.push_str(line);
                certificates.push('\n');
            }
            None if line.starts_with("-----") => return None,
            None => {}
        }
    }
    Some(entries)
}

//! What is wrong with a configuration: where, which key, what, and what was expected.

use std::fmt;
use std::sync::Arc;

/// A file as read, to turn offsets into lines.
#[derive(Debug)]
pub struct Source {
    /// Its path, as shown.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Where something was written.
#[derive(Debug, Clone, Default)]
pub enum Location {
    /// At a byte offset of a file.
    At(Arc<Source>, usize),
    /// A file as a whole.
    File(String),
    /// An environment variable.
    Variable(String),
    /// An argument of the command line, as typed.
    Argument(String),
    /// Nowhere: a default.
    #[default]
    Default,
}

impl Location {
    /// Whether it is in this file.
    pub fn is_in(&self, file: &std::path::Path) -> bool {
        match self {
            Self::At(source, _) => std::path::Path::new(&source.name) == file,
            Self::File(name) => std::path::Path::new(name) == file,
            Self::Variable(_) | Self::Argument(_) | Self::Default => false,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(source, offset) => {
                let end = (0..=(*offset).min(source.text.len())).rev().find(|&at| source.text.is_char_boundary(at));
                let before = &source.text[..end.unwrap_or(0)];
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
                write!(f, "{}:{line}:{column}", source.name)
            }
            Self::File(name) => f.write_str(name),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Argument(text) => f.write_str(text),
            Self::Default => f.write_str("defaults"),
        }
    }
}

/// A fault. Shown as `file:line:column: key: message (expected ...)`.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Where.
    pub location: Location,
    /// Which key, dotted; empty when it is about a file.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What was expected; may be empty.
    pub expected: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.location)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if !self.expected.is_empty() {
            write!(f, " (expected {})", self.expected)?;
        }
        Ok(())
    }
}

/// The known name that an unknown one was probably meant to be.
pub fn did_you_mean<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (unknown.chars().count() / 3).max(1);
    known
        .map(|name| (strsim::osa_distance(unknown, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keyboard_is_recognised_and_another_word_is_not() {
        let known = ["listen", "advertise", "unknown_peer"];
        assert_eq!(did_you_mean("lisetn", known.into_iter()), Some("listen"));
        assert_eq!(did_you_mean("unknown-peer", known.into_iter()), Some("unknown_peer"));
        assert_eq!(did_you_mean("port", known.into_iter()), None);
    }

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let source = Arc::new(Source { name: "a.toml".to_owned(), text: "é = 1\nüü = 2\n".to_owned() });
        let offset = source.text.find('2').unwrap();
        assert_eq!(Location::At(source, offset).to_string(), "a.toml:2:6");
    }
}

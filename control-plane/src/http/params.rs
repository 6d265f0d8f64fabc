//! Query and path parameters, read strictly: a name that is not known is refused, not ignored.

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use trunkline_api::{Id, Prefix};

use super::problem::{Problem, Result};

/// The query's pairs, to be taken one by one.
#[derive(Debug)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        match Query::<Vec<(String, String)>>::try_from_uri(&parts.uri) {
            Ok(Query(pairs)) => Ok(Self { pairs }),
            Err(_) => Err(Problem::parameter("malformed_query", "", "expected `name=value` pairs in UTF-8")),
        }
    }
}

impl Params {
    /// Refuses names that are not in `known`, and names given twice.
    pub(crate) fn only(self, known: &[&str]) -> Result<Self> {
        for (index, (name, _)) in self.pairs.iter().enumerate() {
            let shown: String = name.chars().take(60).collect();
            if !known.contains(&name.as_str()) {
                let message = format!("expected one of: {}", known.join(", "));
                return Err(Problem::parameter("unknown_parameter", &shown, message));
            }
            if self.pairs[..index].iter().any(|(other, _)| other == name) {
                return Err(Problem::parameter("repeated_parameter", &shown, "expected once"));
            }
        }
        Ok(self)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// One of a few words.
    pub(crate) fn word(&self, name: &str, words: &[&str]) -> Result<Option<String>> {
        match self.get(name) {
            None => Ok(None),
            Some(value) if words.contains(&value) => Ok(Some(value.to_owned())),
            Some(_) => {
                let message = format!("expected one of: {}", words.join(", "));
                Err(Problem::parameter("invalid_parameter", name, message))
            }
        }
    }

    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool> {
        Ok(self.word(name, &["true", "false"])?.map_or(default, |word| word == "true"))
    }

    pub(crate) fn id(&self, name: &str, prefix: Prefix) -> Result<Option<Id>> {
        self.get(name)
            .map(|text| Id::parse_as(prefix, text))
            .transpose()
            .map_err(|error| Problem::parameter("invalid_parameter", name, error.to_string()))
    }

    /// Any value by its parser.
    pub(crate) fn parsed<T>(
        &self,
        name: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.get(name) {
            None => Ok(None),
            Some(text) => {
                let value = parse(text);
                value.map(Some).ok_or_else(|| Problem::parameter("invalid_parameter", name, expected))
            }
        }
    }
}

/// An id of the path. What is no such id cannot be there, hence 404.
pub(crate) fn path_id(prefix: Prefix, text: &str, what: &str) -> Result<Id> {
    Id::parse_as(prefix, text).map_err(|_| Problem::not_found(what))
}

//! `X-` headers: `X-Campaign-Id` is the variable `x_campaign_id` and back.

use std::collections::BTreeMap;

use super::{MOST_VARIABLES, bounded};

/// Longest name of a header.
const MOST_NAME: usize = 64;

pub(super) fn read(headers: &[(String, String)]) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for (name, value) in headers {
        if let Some(variable) = variable(name)
            && variables.len() < MOST_VARIABLES
        {
            variables.entry(variable).or_insert_with(|| bounded(value));
        }
    }
    variables
}

pub(super) fn write(variables: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let headers = variables.iter().filter_map(|(variable, value)| Some((header(variable)?, bounded(value))));
    headers.take(MOST_VARIABLES).collect()
}

/// The variable of a header; `None` for one that is no `X-` header.
fn variable(name: &str) -> Option<String> {
    let rest = name.get(2..).filter(|_| name.get(..2).is_some_and(|head| head.eq_ignore_ascii_case("x-")))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let fits = !rest.is_empty() && name.len() <= MOST_NAME && rest.bytes().all(plain);
    fits.then(|| format!("x_{}", rest.to_ascii_lowercase().replace('-', "_")))
}

/// The header of a variable; `None` for one that is not meant to be one, or could not be.
fn header(variable: &str) -> Option<String> {
    let rest = variable.strip_prefix("x_")?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let fits = !rest.is_empty() && variable.len() <= MOST_NAME && rest.bytes().all(plain);
    let word = |word: &str| {
        let (head, tail) = word.split_at(word.len().min(1));
        format!("{}{tail}", head.to_ascii_uppercase())
    };
    fits.then(|| format!("X-{}", rest.split('_').map(word).collect::<Vec<_>>().join("-")))
}

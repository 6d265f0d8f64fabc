//! Web and e-mail addresses, spoken as somebody would dictate them. What follows a `?` or `#` is for machines and not said.

use super::words::{Reader, Reading, Word};

/// Ends of names that are taken for addresses though nothing says `www` or `https`.
const TOP_LEVELS: [&str; 33] = [
    "com", "org", "net", "edu", "gov", "io", "de", "at", "ch", "fr", "es", "it", "nl", "pt", "br", "uk", "eu", "us",
    "info", "biz", "app", "dev", "ai", "co", "pl", "se", "dk", "fi", "ie", "tv", "shop", "online", "cloud",
];

pub(super) fn read(reader: Reader, words: &[Word<'_>]) -> Option<Reading> {
    let word = words.first()?;
    let core = word.core.trim_end_matches('/');
    let spoken = email(reader, core).or_else(|| web(reader, core))?;
    Some(vec![format!("{}{spoken}{}", word.lead, word.trail)])
}

fn email(reader: Reader, text: &str) -> Option<String> {
    let text = strip(text, "mailto:");
    let (local, domain) = text.split_once('@')?;
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '%');
    let top = domain.rsplit('.').next().unwrap_or_default();
    let fits = !local.is_empty()
        && local.chars().all(plain)
        && domain.contains('.')
        && !domain.starts_with('.')
        && domain.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-'))
        && top.len() >= 2
        && top.chars().all(char::is_alphabetic);
    fits.then(|| dictate(reader, text))
}

fn web(reader: Reader, text: &str) -> Option<String> {
    let bare = strip(strip(text, "https://"), "http://");
    let marked = bare.len() < text.len() || starts_with(bare, "www.");
    let host_end = bare.find(['/', '?', '#', ':']).unwrap_or(bare.len());
    let host = &bare[..host_end];
    let labels: Vec<&str> = host.split('.').collect();
    let named = labels.len() >= 2
        && labels.iter().all(|label| {
            !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-') && !label.starts_with('-')
        });
    let top = labels.last().copied().unwrap_or_default();
    let likely = TOP_LEVELS.contains(&top)
        && labels.iter().rev().nth(1).is_some_and(|name| name.len() >= 2 && name.chars().any(char::is_alphabetic))
        && host.chars().next().is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit());
    if !(named && (marked || likely)) {
        return None;
    }
    let end = bare.find(['?', '#']).unwrap_or(bare.len());
    Some(dictate(reader, bare[..end].trim_end_matches('/')))
}

fn strip<'a>(text: &'a str, prefix: &str) -> &'a str {
    if starts_with(text, prefix) { text.get(prefix.len()..).unwrap_or(text) } else { text }
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
}

/// Says signs by their names and long numbers digit by digit.
fn dictate(reader: Reader, text: &str) -> String {
    /// Shorter numbers are said as such.
    const LONG: usize = 5;
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let class = |c: char| (c.is_alphanumeric(), c.is_ascii_digit());
        let end = if first.is_alphanumeric() {
            rest.find(|c| class(c) != class(first)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (piece, more) = rest.split_at(end);
        rest = more;
        let word = match sign(reader, first) {
            Some(name) => name.to_owned(),
            None if first.is_ascii_digit() && piece.len() >= LONG => reader.digits(piece),
            None => piece.to_owned(),
        };
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&word);
    }
    out
}

/// Name of a sign of addresses; English where nothing is known of the language's.
fn sign(reader: Reader, sign: char) -> Option<&'static str> {
    let known = reader.known.map(|(language, _)| language);
    let name = |own: fn(&super::languages::Language) -> &'static str, usual| Some(known.map_or(usual, own));
    match sign {
        '.' => name(|language| language.dot, "dot"),
        '@' => name(|language| language.at, "at"),
        '/' => name(|language| language.slash, "slash"),
        '-' => name(|language| language.dash, "dash"),
        '_' => name(|language| language.underscore, "underscore"),
        '+' => name(|language| language.plus, "plus"),
        '%' => name(|language| language.percent, "percent"),
        '&' => name(|language| language.and, "and"),
        _ => None,
    }
}

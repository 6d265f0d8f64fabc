//! Letters: names and codes that are spelt, with and without an alphabet, and e-mail addresses.

use super::digits;
use super::words::{split, tag};

/// Alphabets people spell with, by the language they are used in; a word stands for its first letter.
const ALPHABETS: [(&str, &[&str]); 2] = [
    (
        "en",
        &[
            "alpha", "alfa", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet",
            "juliett", "kilo", "lima", "mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango",
            "uniform", "victor", "whiskey", "whisky", "xray", "yankee", "zulu",
        ],
    ),
    (
        "de",
        &[
            "anton",
            "aachen",
            "berta",
            "berlin",
            "cäsar",
            "chemnitz",
            "dora",
            "düsseldorf",
            "emil",
            "essen",
            "friedrich",
            "frankfurt",
            "gustav",
            "goslar",
            "heinrich",
            "hamburg",
            "ida",
            "ingelheim",
            "julius",
            "jena",
            "kaufmann",
            "köln",
            "ludwig",
            "leipzig",
            "martha",
            "münchen",
            "nordpol",
            "nürnberg",
            "otto",
            "offenbach",
            "paula",
            "potsdam",
            "quelle",
            "quickborn",
            "richard",
            "rostock",
            "samuel",
            "siegfried",
            "salzwedel",
            "theodor",
            "tübingen",
            "ulrich",
            "unna",
            "viktor",
            "völklingen",
            "wilhelm",
            "wuppertal",
            "xanthippe",
            "xanten",
            "ypsilon",
            "zacharias",
            "zeppelin",
            "zwickau",
        ],
    ),
];

/// What stands between a letter and the word that begins with it: "B as in bravo", "B wie Berta".
const LIKE: [&[&str]; 9] =
    [&["as", "in"], &["like"], &["for"], &["wie"], &["comme"], &["come"], &["como"], &["de"], &["van"]];

/// Signs of an address and what they are called.
const SIGNS: [(char, &[&str]); 5] = [
    ('@', &["at", "ät", "arobase", "arrobase", "arroba", "chiocciola", "apenstaartje", "klammeraffe"]),
    ('.', &["dot", "punkt", "point", "punto", "ponto", "punt", "period"]),
    (
        '-',
        &[
            "dash",
            "hyphen",
            "minus",
            "bindestrich",
            "strich",
            "tiret",
            "guion",
            "guión",
            "trattino",
            "streepje",
            "hífen",
        ],
    ),
    ('_', &["underscore", "unterstrich", "souligné", "subrayado", "sottolineato"]),
    ('+', &["plus", "más", "più", "mais"]),
];

/// Pieces of a spelling: the letters and digits that words begin with, and how many words they take.
fn piece(words: &[String], language: &str) -> Option<(String, usize)> {
    let first = words.first()?;
    if first == "double" || first == "doppel" {
        let (letter, taken) = piece(&words[1..], language)?;
        return (letter.chars().count() == 1).then(|| (letter.repeat(2), taken + 1));
    }
    if first.chars().count() == 1 && first.chars().all(char::is_alphabetic) {
        for like in LIKE {
            let word = words.get(1 + like.len());
            let follows = words.get(1..1 + like.len()).is_some_and(|between| between == like);
            if let (true, Some(word)) = (follows, word)
                && word.chars().next() == first.chars().next()
                && word.chars().count() > 1
            {
                return Some((first.clone(), 2 + like.len()));
            }
        }
        return Some((first.clone(), 1));
    }
    if let Some(letter) = of_alphabet(first, language) {
        return Some((letter.to_string(), 1));
    }
    digits::next(words, language)
}

/// The letter a word of an alphabet stands for.
fn of_alphabet(word: &str, language: &str) -> Option<char> {
    let tag = tag(language);
    let mine = ALPHABETS.iter().filter(|(known, _)| *known == "en" || *known == tag);
    mine.flat_map(|(_, words)| *words).find(|known| **known == word).and_then(|word| word.chars().next())
}

/// The letters and digits of a text that is spelt to its end, at least two; `None` when it is not.
fn spelt(words: &[String], language: &str) -> Option<String> {
    let (mut spelt, mut at) = (String::new(), 0);
    while at < words.len() {
        let (letters, taken) = piece(words.get(at..)?, language)?;
        spelt.push_str(&letters);
        at += taken;
    }
    (spelt.chars().count() >= 2).then_some(spelt)
}

/// A name, put together where it was spelt.
pub(super) fn name(text: &str, language: &str) -> String {
    let words = split(text);
    // A name may be a word of an alphabet; letters alone or several of these are a spelling.
    let single = |word: &String| word.chars().count() == 1;
    let names = words.len() >= 2
        && !words.iter().any(single)
        && !words.iter().all(|word| of_alphabet(word, language).is_some());
    match spelt(&words, language) {
        Some(spelt) if words.len() >= 2 && !names => {
            let mut letters = spelt.chars();
            letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

/// Letters and digits without anything between them, in capitals.
pub(super) fn code(text: &str, language: &str) -> String {
    let words = split(text);
    let mut code = String::new();
    let mut at = 0;
    while at < words.len() {
        match piece(&words[at..], language) {
            Some((letters, taken)) => {
                code.push_str(&letters);
                at += taken;
            }
            None => {
                code.push_str(&words[at]);
                at += 1;
            }
        }
    }
    code.to_uppercase()
}

/// An e-mail address.
pub(super) fn email(text: &str, language: &str) -> Result<String, String> {
    let text: String = text.chars().flat_map(char::to_lowercase).collect();
    let mut address = String::new();
    for token in text.split(|c: char| c.is_whitespace() || c == ',') {
        if token.is_empty() {
            continue;
        }
        let token = if token.chars().all(|c| c == '.') { token } else { token.trim_end_matches('.') };
        let sign = SIGNS.iter().find(|(_, names)| names.contains(&token));
        match sign {
            // The first "at" parts the address; another one would be a part of a name.
            Some(('@', _)) if address.contains('@') => return Err("it has more than one @".to_owned()),
            Some((sign, _)) => address.push(*sign),
            None => match digits::next(&[token.to_owned()], language) {
                Some((digits, 1)) if token.chars().count() > 1 && !token.bytes().all(|b| b.is_ascii_digit()) => {
                    address.push_str(&digits);
                }
                _ => address.push_str(token),
            },
        }
    }
    let Some((local, domain)) = address.split_once('@') else {
        return Err("it has no @; ask for the part before it and the part behind it".to_owned());
    };
    let part = |text: &str, more: &[char]| {
        !text.is_empty()
            && !text.starts_with('.')
            && !text.ends_with('.')
            && !text.contains("..")
            && text.chars().all(|c| c.is_alphanumeric() || more.contains(&c))
    };
    if !part(local, &['.', '-', '_', '+', '\'']) || local.len() > 64 {
        return Err("the part before the @ is not one of an address".to_owned());
    }
    let top = domain.rsplit_once('.').map_or("", |(_, top)| top);
    if !part(domain, &['.', '-']) || top.chars().count() < 2 || !top.chars().all(char::is_alphabetic) {
        return Err("the part behind the @ is no domain, such as example.com".to_owned());
    }
    Ok(address)
}

/// A word that people spell a letter with, in that language.
pub(super) fn word_for(letter: char, language: &str) -> Option<String> {
    let tag = tag(language);
    let (_, words) = ALPHABETS.iter().find(|(known, _)| *known == tag)?;
    let word = words.iter().find(|word| word.starts_with(letter))?;
    let mut letters = word.chars();
    Some(letters.next()?.to_uppercase().chain(letters).collect())
}

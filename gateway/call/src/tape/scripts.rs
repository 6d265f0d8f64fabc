//! Letters that may stand in a letter's place: of its script, its case and its kind, so that a fake reads like a word of
//! the same language and is as long.

/// First and last lower-case letter of scripts that other letters are drawn from.
const SCRIPTS: [(char, char); 14] = [
    ('à', 'ö'),
    ('ø', 'ÿ'),
    ('α', 'ω'),
    ('а', 'я'),
    ('ա', 'ֆ'),
    ('א', 'ת'),
    ('ب', 'غ'),
    ('क', 'ह'),
    ('ก', 'ฮ'),
    ('ა', 'ჰ'),
    ('あ', 'ん'),
    ('ア', 'ン'),
    ('一', '龥'),
    ('가', '힣'),
];
const VOWELS: &[char] = &['a', 'e', 'i', 'o', 'u'];
const CONSONANTS: &[char] =
    &['b', 'c', 'd', 'f', 'g', 'h', 'k', 'l', 'm', 'n', 'p', 'r', 's', 't', 'v', 'w', 'y', 'z', 'j', 'q', 'x'];

/// Another letter or digit instead of `letter`, lower-case; `draw` gives a number below its argument. What is neither
/// stays.
pub(super) fn instead(letter: char, first: bool, draw: &mut dyn FnMut(u64) -> u64) -> char {
    let mut among = |from: &[char]| from.get(draw(from.len() as u64) as usize).copied().unwrap_or('x');
    match letter {
        // JSON knows no number that begins with 0.
        '0'..='9' if first => among(&['1', '2', '3', '4', '5', '6', '7', '8', '9']),
        '0'..='9' => among(&['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']),
        letter if VOWELS.contains(&letter) => among(VOWELS),
        // The last three are rare in every language, and drawn for nobody.
        'a'..='z' => among(&CONSONANTS[..CONSONANTS.len() - 3]),
        letter if letter.is_alphanumeric() => {
            let script = SCRIPTS.iter().find(|(from, to)| (*from..=*to).contains(&letter));
            let Some((from, to)) = script else { return among(VOWELS) };
            let drawn = u32::from(*from) + draw(u64::from(u32::from(*to) - u32::from(*from)) + 1) as u32;
            char::from_u32(drawn).filter(|drawn| drawn.is_alphanumeric()).unwrap_or(*from)
        }
        other => other,
    }
}

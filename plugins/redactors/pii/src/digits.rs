//! Digits as they are written or spoken, each with the place it has in the text.

/// One digit and the bytes it came from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Digit {
    pub(crate) value: u8,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// No digit touches it from the left: a group of digits begins here.
    pub(crate) opens: bool,
    /// No digit touches it from the right.
    pub(crate) closes: bool,
}

/// A chain of digits with nothing between them but what may separate the groups of one number.
pub(crate) type Chain = Vec<Digit>;

/// The longest separator inside a number, in characters: `) - ` and the like.
const LONGEST_GAP: usize = 3;

/// What a word says: digits, or a multiplier for the next one.
enum Spoken {
    Digit(u8),
    Times(usize),
}

fn spoken(word: &str) -> Option<Spoken> {
    const NAMES: [(&str, u8); 12] = [
        ("zero", 0),
        ("oh", 0),
        ("o", 0),
        ("one", 1),
        ("two", 2),
        ("three", 3),
        ("four", 4),
        ("five", 5),
        ("six", 6),
        ("seven", 7),
        ("eight", 8),
        ("nine", 9),
    ];
    if word.eq_ignore_ascii_case("double") {
        return Some(Spoken::Times(2));
    }
    if word.eq_ignore_ascii_case("triple") || word.eq_ignore_ascii_case("treble") {
        return Some(Spoken::Times(3));
    }
    let (_, value) = NAMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name))?;
    Some(Spoken::Digit(*value))
}

/// Whether a word is part of a number when it is spoken.
pub(crate) fn is_spoken(word: &str) -> bool {
    spoken(word).is_some()
}

/// The value of a decimal digit of the scripts callers write in.
pub(crate) fn digit_value(c: char) -> Option<u8> {
    // ASCII, Arabic-Indic, its extended form, Devanagari, Bengali, Gurmukhi, Gujarati, Tamil, Telugu, full width
    const ZEROES: [u32; 10] = [0x30, 0x660, 0x6f0, 0x966, 0x9e6, 0xa66, 0xae6, 0xbe6, 0xc66, 0xff10];
    ZEROES.iter().find_map(|zero| u8::try_from((c as u32).checked_sub(*zero)?).ok().filter(|value| *value < 10))
}

fn separates(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '.' | ',' | '(' | ')' | '/' | '\u{2010}'..='\u{2015}')
}

/// All chains of digits in a text.
pub(crate) fn chains(text: &str) -> Vec<Chain> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut chain = Chain::new();
    let mut gap = 0;
    let mut times: Option<(usize, usize)> = None;
    let mut rest = text.char_indices().peekable();
    let mut finish = |chain: &mut Chain| {
        if !chain.is_empty() {
            chains.push(std::mem::take(chain));
        }
    };
    while let Some((at, c)) = rest.next() {
        if let Some(value) = digit_value(c) {
            let end = at + c.len_utf8();
            let touches = times.is_none() && chain.last().is_some_and(|last| last.end == at);
            if let Some(last) = chain.last_mut().filter(|_| touches) {
                last.closes = false;
            }
            chain.push(Digit { value, start: at, end, opens: !touches, closes: true });
            (gap, times) = (0, None);
        } else if c.is_alphabetic() {
            let mut end = at + c.len_utf8();
            while let Some((next, c)) = rest.next_if(|(_, c)| c.is_alphabetic()) {
                end = next + c.len_utf8();
            }
            match spoken(&text[at..end]) {
                Some(Spoken::Times(count)) if times.is_none() => times = Some((count, at)),
                Some(Spoken::Digit(value)) => {
                    let (count, start) = times.take().unwrap_or((1, at));
                    for _ in 0..count {
                        chain.push(Digit { value, start, end, opens: true, closes: true });
                    }
                }
                Some(Spoken::Times(_)) | None => {
                    finish(&mut chain);
                    times = None;
                }
            }
            gap = 0;
        } else {
            gap += 1;
            if gap > LONGEST_GAP || !separates(c) {
                finish(&mut chain);
                times = None;
            }
        }
    }
    finish(&mut chain);
    chains
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        chains(text).iter().map(|chain| chain.iter().map(|digit| digit.value.to_string()).collect()).collect()
    }

    #[test]
    fn reads_written_and_spoken_digits() {
        assert_eq!(read("call (020) 7946-0958 now"), ["02079460958"]);
        assert_eq!(read("four one double two, oh Triple seven"), ["41220777"]);
        assert_eq!(read("4111 and 5500"), ["4111", "5500"]);
        assert_eq!(read("१२३ ４５"), ["12345"]);
        assert_eq!(read("double or nothing"), Vec::<String>::new());
    }

    #[test]
    fn knows_where_groups_begin_and_end() {
        let chain = &chains("41 1")[0];
        let edges: Vec<_> = chain.iter().map(|digit| (digit.opens, digit.closes)).collect();
        assert_eq!(edges, [(true, false), (false, true), (true, true)]);
    }
}

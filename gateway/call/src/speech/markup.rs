//! Takes out of a text what is for the eye alone: the signs of markdown, and emoji.

/// A text without them, and where in the text before each byte of it came from.
#[derive(Debug, Default)]
pub(super) struct Clean {
    pub(super) text: String,
    /// For each byte, where the text before goes on behind its character.
    behind: Vec<usize>,
}

impl Clean {
    /// Without signs.
    pub(super) fn of(text: &str) -> Self {
        let mut clean = Self { text: String::with_capacity(text.len()), behind: Vec::with_capacity(text.len()) };
        let mut line_begins = true;
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            if line_begins {
                line_begins = false;
                let skipped = line_signs(rest);
                if skipped > 0 {
                    at += skipped;
                    continue;
                }
            }
            at += clean.one(text, at, rest);
            line_begins = text[..at].ends_with('\n');
        }
        clean
    }

    /// As it is.
    pub(super) fn unchanged(text: &str) -> Self {
        let mut clean = Self::default();
        text.char_indices().for_each(|(at, c)| clean.keep(c, at + c.len_utf8()));
        clean
    }

    /// Where the text before goes on behind the first `end` bytes of this one.
    pub(super) fn written(&self, end: usize) -> usize {
        end.checked_sub(1).and_then(|last| self.behind.get(last)).copied().unwrap_or(0)
    }

    fn keep(&mut self, character: char, behind: usize) {
        self.text.push(character);
        self.behind.resize(self.text.len(), behind);
    }

    /// Takes what stands at the beginning of `rest`; its length.
    fn one(&mut self, text: &str, at: usize, rest: &str) -> usize {
        let mut characters = rest.chars();
        let (Some(character), next) = (characters.next(), characters.next()) else { return rest.len() };
        let length = character.len_utf8();
        let before = text[..at].chars().next_back();
        let alone = |side: Option<char>| side.is_none_or(|c| !c.is_alphanumeric());
        let digit = |side: Option<char>| side.is_some_and(|c| c.is_ascii_digit());
        match character {
            '[' | '!' => {
                if let Some((label, whole)) = link(rest) {
                    // The words of a link, each with its own place, and the address is skipped.
                    let begin = rest.find('[').map_or(0, |open| open + 1);
                    for (offset, c) in label.char_indices() {
                        self.keep(c, at + begin + offset + c.len_utf8());
                    }
                    if let (Some(last), false) = (self.behind.last().copied(), label.is_empty()) {
                        self.behind
                            .iter_mut()
                            .rev()
                            .take_while(|behind| **behind == last)
                            .for_each(|behind| *behind = at + whole);
                    }
                    return whole;
                }
                self.keep(character, at + length);
            }
            '*' if !(digit(before) && digit(next)) => {}
            '_' if alone(before) || alone(next) => {}
            '`' => {}
            '~' if next == Some('~') || before == Some('~') => {}
            '\\' if next.is_some_and(|c| c.is_ascii_punctuation()) => {}
            '|' => {}
            _ if is_picture(character) => {}
            _ => self.keep(character, at + length),
        }
        length
    }
}

/// Length of what only begins a line: headings, bullets, quotes, rules, fences.
fn line_signs(line: &str) -> usize {
    let whole = line.find('\n').unwrap_or(line.len());
    let (this, indent) = (&line[..whole], line[..whole].len() - line[..whole].trim_start().len());
    let bare = this.trim();
    // A fence and the name of a language; what else stands behind one are words.
    let fenced = bare.strip_prefix("```").or_else(|| bare.strip_prefix("~~~"));
    if fenced.is_some_and(|language| !language.contains(|c: char| c.is_whitespace() || c == '`')) {
        return whole;
    }
    let rule = |signs: &[char]| bare.chars().count() >= 3 && bare.chars().all(|c| signs.contains(&c) || c == ' ');
    if rule(&['-']) || rule(&['*']) || rule(&['_']) || rule(&['=']) || (bare.starts_with('|') && rule(&['|', '-', ':']))
    {
        return whole;
    }
    let signs = bare.find(|c| c != '#').unwrap_or(0);
    if (1..=6).contains(&signs) && bare[signs..].starts_with(' ') {
        return indent + signs + 1;
    }
    for bullet in ["- ", "* ", "+ ", "• ", "> "] {
        if bare.starts_with(bullet) {
            return indent + bullet.len();
        }
    }
    0
}

/// The words of a link or picture at the beginning of a text, and the length of the whole.
fn link(text: &str) -> Option<(&str, usize)> {
    /// Longer ones are text.
    const MOST: usize = 2000;
    let begin = if text.starts_with('!') { 1 } else { 0 };
    let inner = text[begin..].strip_prefix('[')?;
    let close = inner.find("](")?;
    let label = inner.get(..close)?;
    let target = inner.get(close + 2..)?;
    let end = target.find(')')?;
    let whole = begin + 1 + close + 2 + end + 1;
    let fits = whole <= MOST && !label.contains(['\n', '[']) && !target[..end].contains(char::is_whitespace);
    fits.then_some((label, whole))
}

/// Emoji, pictographs, their joiners and selectors, arrows and box drawings.
fn is_picture(character: char) -> bool {
    matches!(
        u32::from(character),
        0x200d | 0x20e3 | 0x2190..=0x21ff | 0x2300..=0x23ff | 0x2500..=0x27bf | 0x2900..=0x297f | 0x2b00..=0x2bff
            | 0xfe0e | 0xfe0f | 0x1f000..=0x1faff | 0xe0020..=0xe007f
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_the_eye_is_taken_out() {
        let rows = [
            ("**Note:** it is *really* `open`.", "Note: it is really open."),
            ("# Opening hours", "Opening hours"),
            ("- one\n- two\n", "one\ntwo\n"),
            ("1. First", "1. First"),
            ("See [our page](https://example.com/a).", "See our page."),
            ("![a cat](cat.png) sleeps", "a cat sleeps"),
            ("Great! 🎉👍🏽 See you ❤️", "Great!  See you "),
            ("a_b stays, _this_ too", "a_b stays, this too"),
            ("3*4 is 12", "3*4 is 12"),
            ("| a | b |\n|---|---|\n| c | d |", " a  b \n\n c  d "),
            ("```rust\nlet x;\n```", "\nlet x;\n"),
            ("``` A0", " A0"),
            ("```open```", "open"),
            ("~~old~~ new ~5", "old new ~5"),
            ("[x] done and array[0]", "[x] done and array[0]"),
            ("C# and #5", "C# and #5"),
            ("5 - 3", "5 - 3"),
        ];
        for (written, spoken) in rows {
            assert_eq!(Clean::of(written).text, spoken, "{written}");
        }
    }

    #[test]
    fn every_place_is_known_in_the_text_before() {
        let written = "**Hi** [you](x) 🎉 there";
        let clean = Clean::of(written);
        assert_eq!(clean.text, "Hi you  there");
        assert_eq!(&written[..clean.written(2)], "**Hi");
        assert_eq!(&written[..clean.written(6)], "**Hi** [you](x)");
        assert_eq!(clean.written(clean.text.len()), written.len());
        assert_eq!(clean.written(0), 0);
    }
}

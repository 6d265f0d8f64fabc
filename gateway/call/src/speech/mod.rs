//! From what is written to what is spoken.
//!
//! What a model, a tool or an agent's author writes is read by people and remembered by the agent; what a synthesiser
//! gets is another text: without markdown and SSML, with addresses, codes and, where it is asked for, numbers in words,
//! and with the agent's own pronunciations. Both are kept together with the places where a word of the one ends in the
//! other, so that what was heard of the one is known of the other. Nothing here fails: what is not understood is spoken
//! as it is written.

mod addresses;
mod codes;
mod dates;
mod dictionary;
mod languages;
mod markup;
mod numbers;
mod quantities;
pub(crate) mod ssml;
mod words;

use trunkline_api::agent::SpeechPolicy;
use trunkline_api::speech::{Normalization, is_language_tag};

use dictionary::Dictionary;
use markup::Clean;
use ssml::{Found, Kind, Tag};
use words::{Reader, Word};

/// Most pieces of one text; what follows is spoken like the last of them.
const MAX_PIECES: usize = 64;
/// Most elements within one another; deeper ones are text without an effect.
const MAX_DEPTH: usize = 16;

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Words in one language.
    Words(Words),
    /// Silence of that many milliseconds, 1..=10000.
    Pause(u32),
}

impl Piece {
    /// Whether there is something in it that a voice can say.
    pub(crate) fn is_speakable(&self) -> bool {
        matches!(self, Self::Words(words) if words.is_speakable())
    }
}

impl Words {
    /// Whether there is a letter or digit in what is spoken.
    pub(crate) fn is_speakable(&self) -> bool {
        let spoken = self.spoken.as_ref().map_or(&self.written, |spoken| &spoken.text);
        spoken.chars().any(char::is_alphanumeric)
    }
}

/// Words, as they are written and as they are spoken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Words {
    /// As they are written.
    pub written: String,
    /// As they are spoken; `None` when that is as they are written.
    pub spoken: Option<Spoken>,
    /// BCP 47 language they are in; empty for that of the conversation.
    pub language: String,
}

/// Words as they are spoken.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spoken {
    /// The words; they may be empty, for signs that nobody speaks.
    pub text: String,
    /// The same as an SSML document, where that says more.
    pub ssml: Option<String>,
    /// Where a written word ends, in bytes, and how many characters have been spoken by then; both grow.
    marks: Vec<(usize, usize)>,
}

impl Spoken {
    /// Cuts where so many thousandths of it were said, behind the last whole written word: bytes of what is written
    /// and of what is spoken.
    pub(crate) fn cut(&self, thousandths: u32) -> (usize, usize) {
        let characters = self.text.chars().count() as u64;
        let said = usize::try_from(characters * u64::from(thousandths) / 1000).unwrap_or(usize::MAX);
        let mark = self.marks.iter().rev().find(|(_, spoken)| *spoken <= said);
        mark.map_or((0, 0), |(written, spoken)| {
            (*written, self.text.char_indices().nth(*spoken).map_or(self.text.len(), |(at, _)| at))
        })
    }

    /// What is left behind a cut.
    pub(crate) fn rest(&self, (written, spoken): (usize, usize)) -> Self {
        let characters = self.text[..spoken].chars().count();
        let left = self.text[spoken..].trim_start();
        let skipped = self.text[spoken..].chars().count() - left.chars().count();
        let marks = self.marks.iter().filter(|(at, _)| *at > written);
        Self {
            text: left.to_owned(),
            ssml: None,
            marks: marks.map(|(at, count)| (at - written, count.saturating_sub(characters + skipped))).collect(),
        }
    }

    /// Moves the marks by what was taken from the beginning of what is written.
    pub(crate) fn skip_written(&mut self, bytes: usize) {
        self.marks.iter_mut().for_each(|(at, _)| *at = at.saturating_sub(bytes));
    }
}

/// How an agent speaks.
#[derive(Debug, Default)]
pub struct Rules {
    normalize: Normalization,
    dictionary: Dictionary,
    /// Some synthesiser takes SSML.
    rich: bool,
}

impl Rules {
    /// As a policy says.
    #[must_use]
    pub fn new(policy: &SpeechPolicy) -> Self {
        Self {
            normalize: policy.normalize,
            dictionary: Dictionary::new(&policy.dictionary),
            rich: !policy.ssml.is_empty(),
        }
    }

    /// The pieces of a text in `language`, in the order they are spoken. Any text is taken; none is lost.
    #[must_use]
    pub fn render(&self, text: &str, language: &str) -> Vec<Piece> {
        if self.dictionary.is_empty() && self.normalize != Normalization::Words && is_plain(text) {
            let written = text.trim().to_owned();
            return if written.is_empty() {
                Vec::new()
            } else {
                vec![Piece::Words(Words { written, ..Words::default() })]
            };
        }
        let mut out = Renderer { rules: self, language, open: Vec::new(), pieces: Vec::new(), work: Work::default() };
        each(text, &mut |part| match part {
            Part::Text(text) => out.text(text),
            Part::Tag(tag) => out.tag(&tag),
        });
        out.flush();
        out.pieces
    }
}

/// What is written of a text: without tags.
#[must_use]
pub fn written(text: &str) -> String {
    if !text.contains(['<', '&']) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    each(text, &mut |part| match part {
        Part::Text(text) => out.push_str(&ssml::entities(text)),
        Part::Tag(tag) => separate(&tag, &mut out),
    });
    out.trim().to_owned()
}

enum Part<'a> {
    Text(&'a str),
    Tag(Tag<'a>),
}

/// Text and tags one after the other.
fn each<'a>(text: &'a str, take: &mut dyn FnMut(Part<'a>)) {
    let (mut begin, mut at, mut speaks) = (0, 0, false);
    while let Some(next) = text[at..].find('<') {
        at += next;
        match Tag::at(&text[at..]) {
            Found::Tag(tag) if speaks || tag.is_known() => {
                if tag.is("speak") {
                    speaks = tag.kind == Kind::Opens;
                }
                if begin < at {
                    take(Part::Text(&text[begin..at]));
                }
                at += tag.length;
                begin = at;
                take(Part::Tag(tag));
            }
            Found::Tag(_) | Found::Unfinished | Found::Text => at += 1,
        }
    }
    if begin < text.len() {
        take(Part::Text(&text[begin..]));
    }
}

/// Paragraphs, sentences and lines are words apart.
fn separate(tag: &Tag<'_>, out: &mut String) {
    let apart = ["p", "s", "br", "li", "div", "tr", "td", "break"].iter().any(|name| tag.is(name));
    if apart && !out.ends_with(char::is_whitespace) && !out.is_empty() {
        out.push(' ');
    }
}

/// Whether every way to speak a text is as it is written.
fn is_plain(text: &str) -> bool {
    let mut before = ' ';
    let mut plain = !text.trim_start().starts_with(['-', '#', '+']);
    for c in text.chars() {
        plain &= match c {
            // An address, or an abbreviation.
            c if c.is_alphabetic() => before != '.',
            ' ' | ',' | '!' | '?' | '\'' | '’' | ';' | ':' | '(' | ')' | '…' | '"' | '。' | '，' => true,
            '.' => true,
            '-' => before.is_alphanumeric(),
            _ => false,
        };
        before = c;
    }
    plain
}

/// An element that is open.
struct Open {
    name: String,
    /// Its own, as it is written.
    raw: Option<String>,
    language: Option<String>,
    say_as: Option<String>,
    alias: Option<String>,
}

/// The piece in work.
#[derive(Default)]
struct Work {
    written: String,
    spoken: String,
    marks: Vec<(usize, usize)>,
    /// Characters of `spoken`.
    count: usize,
    ssml: String,
    /// The SSML says more than the text.
    says_more: bool,
    language: String,
}

struct Renderer<'a> {
    rules: &'a Rules,
    language: &'a str,
    open: Vec<Open>,
    pieces: Vec<Piece>,
    work: Work,
}

impl Renderer<'_> {
    fn tag(&mut self, tag: &Tag<'_>) {
        separate(tag, &mut self.work.written);
        match tag.kind {
            Kind::Comment => {}
            _ if tag.is("break") => {
                let ms = ssml::break_ms(tag);
                if tag.kind != Kind::Closes && ms > 0 && self.pieces.len() < MAX_PIECES {
                    self.flush();
                    match self.pieces.last_mut() {
                        Some(Piece::Pause(before)) => *before = (*before + ms).min(10_000),
                        _ => self.pieces.push(Piece::Pause(ms)),
                    }
                }
            }
            Kind::Empty => {}
            Kind::Closes => {
                if let Some(at) = self.open.iter().rposition(|open| tag.is(&open.name)) {
                    for closed in self.open.drain(at..).rev() {
                        if closed.raw.is_some() {
                            self.work.ssml.push_str(&format!("</{}>", closed.name));
                        }
                        if let Some(alias) = closed.alias {
                            // Nothing stood in for it: it is said all the same.
                            self.work.say(&alias, None);
                        }
                    }
                    self.switch();
                }
            }
            Kind::Opens if self.open.len() < MAX_DEPTH => {
                let language = ["lang", "voice", "p", "s", "speak"].iter().any(|name| tag.is(name));
                let language = language.then(|| tag.attribute("xml:lang")).flatten();
                let rich =
                    self.rules.rich && ["say-as", "phoneme", "emphasis", "prosody"].iter().any(|name| tag.is(name));
                self.open.push(Open {
                    name: tag.name.to_ascii_lowercase(),
                    raw: None,
                    language: language.filter(|language| is_language_tag(language)),
                    say_as: tag.is("say-as").then(|| tag.attribute("interpret-as")).flatten(),
                    alias: tag
                        .is("sub")
                        .then(|| tag.attribute("alias"))
                        .flatten()
                        .filter(|alias| !alias.trim().is_empty()),
                });
                self.switch();
                if rich && let Some(open) = self.open.last_mut() {
                    let mut raw = format!("<{}", open.name);
                    for name in RICH_ATTRIBUTES {
                        if let Some(value) = tag.attribute(name) {
                            raw.push_str(&format!(" {name}=\""));
                            ssml::escape(&value, &mut raw);
                            raw.push('"');
                        }
                    }
                    raw.push('>');
                    self.work.ssml.push_str(&raw);
                    self.work.says_more = true;
                    open.raw = Some(raw);
                }
            }
            Kind::Opens => {}
        }
    }

    /// Begins another piece where the language is another.
    fn switch(&mut self) {
        let language = self.open.iter().rev().find_map(|open| open.language.clone()).unwrap_or_default();
        let language = if language.eq_ignore_ascii_case(self.language) { String::new() } else { language };
        if language != self.work.language && self.pieces.len() < MAX_PIECES {
            self.flush();
            self.work.language = language;
        }
    }

    fn text(&mut self, text: &str) {
        let text = ssml::entities(text);
        let text = if self.work.written.is_empty() { text.trim_start() } else { &text };
        if text.is_empty() {
            return;
        }
        let base = self.work.written.len();
        let apart =
            base > 0 && (text.starts_with(char::is_whitespace) || self.work.written.ends_with(char::is_whitespace));
        self.work.written.push_str(text);
        let language = if self.work.language.is_empty() { self.language } else { &self.work.language }.to_owned();
        let reader = Reader::of(&language);
        if let Some(alias) = self.open.last_mut().and_then(|open| open.alias.take()) {
            self.work.space(apart);
            self.work.say(&alias, Some(base + text.trim_end().len()));
            if text.ends_with(char::is_whitespace) {
                self.work.space(true);
            }
            return;
        }
        let say_as = self.open.iter().rev().find_map(|open| open.say_as.clone());
        let off = self.rules.normalize == Normalization::Off && say_as.is_none();
        let clean = if off { Clean::unchanged(text) } else { Clean::of(text) };
        let words = words::cut(&clean.text);
        // "2.5.2026": the author says what it is.
        let spelled = say_as
            .as_deref()
            .is_some_and(|kind| matches!(kind, "characters" | "spell-out" | "verbatim" | "digits" | "telephone"));
        let in_words = self.rules.normalize == Normalization::Words || (say_as.is_some() && !spelled);
        let mut at = 0;
        while at < words.len() {
            let left = &words[at..];
            let entry = if spelled { None } else { self.pronounced(&clean.text, left, &language) };
            let (reading, ipa) = match entry {
                Some((reading, ipa)) => (Some(reading), ipa),
                None if spelled => (Some(vec![spell(reader, left[0].whole)]), None),
                None if off => (None, None),
                None => {
                    let signs = reader.signs(&words[..at], left);
                    (signs.or_else(|| if in_words { reader.words(&words[..at], left) } else { None }), None)
                }
            };
            let reading = reading.unwrap_or_else(|| vec![left[0].whole.to_owned()]);
            for (said, word) in reading.iter().zip(left) {
                self.work.space(word.spaced || (apart && at == 0));
                let written = base + clean.written(word.end);
                let raw = (self.rules.rich && spelled).then_some(word.whole);
                self.work.say_as(said, Some(written), ipa.as_deref(), raw);
            }
            at += reading.len().clamp(1, left.len());
        }
        if text.ends_with(char::is_whitespace) {
            self.work.space(true);
        }
    }

    /// How the agent's dictionary has the first of these words, and their sounds.
    fn pronounced(&self, text: &str, words: &[Word<'_>], language: &str) -> Option<(Vec<String>, Option<String>)> {
        if self.rules.dictionary.is_empty() {
            return None;
        }
        let word = words.first()?;
        let mut spoken = String::new();
        let (mut at, mut from, mut ipa, mut last) = (word.begin, word.begin, None, 0);
        while at < words.get(last).map_or(0, |word| word.end) {
            let Some((entry, length)) = self.rules.dictionary.find(text, at, language) else {
                at += text[at..].chars().next().map_or(1, char::len_utf8);
                continue;
            };
            spoken.push_str(&text[from..at]);
            spoken.push_str(&entry.spoken);
            if self.rules.rich && !entry.ipa.is_empty() && at == word.begin + word.lead.len() {
                ipa = Some(entry.ipa.clone());
            }
            (at, from) = (at + length, at + length);
            last = words.iter().position(|word| at <= word.end).unwrap_or(last);
        }
        if from == word.begin {
            return None;
        }
        spoken.push_str(&text[from..words.get(last).map_or(from, |word| word.end.max(from))]);
        let mut reading = vec![String::new(); last + 1];
        if let Some(last) = reading.last_mut() {
            *last = spoken;
        }
        Some((reading, ipa))
    }

    fn flush(&mut self) {
        let language = self.work.language.clone();
        let work = std::mem::replace(&mut self.work, Work { language: language.clone(), ..Work::default() });
        for open in self.open.iter().filter_map(|open| open.raw.as_ref()) {
            self.work.ssml.push_str(open);
            self.work.says_more = true;
        }
        let written = work.written.trim_end().to_owned();
        let text = work.spoken.trim_end().to_owned();
        if written.is_empty() && text.is_empty() {
            return;
        }
        let ssml = work.says_more.then(|| {
            let mut document = format!("<speak>{}", work.ssml.trim_end());
            for open in self.open.iter().rev().filter(|open| open.raw.is_some()) {
                document.push_str(&format!("</{}>", open.name));
            }
            document.push_str("</speak>");
            document
        });
        let spoken = (text != written || ssml.is_some()).then_some(Spoken { text, ssml, marks: work.marks });
        self.pieces.push(Piece::Words(Words { written, spoken, language }));
    }
}

/// Attributes of the elements that are handed to a synthesiser that takes SSML.
const RICH_ATTRIBUTES: [&str; 11] =
    ["interpret-as", "format", "detail", "alphabet", "ph", "level", "rate", "pitch", "volume", "range", "contour"];

/// Letters and digits one by one.
fn spell(reader: Reader, text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        let said = match character {
            digit if digit.is_ascii_digit() => reader.digits(digit.encode_utf8(&mut [0; 4])),
            '+' => reader.known.map_or("plus", |(language, _)| language.plus).to_owned(),
            letter if letter.is_alphanumeric() => letter.to_string(),
            _ => {
                if !out.is_empty() && !out.ends_with(',') {
                    out.push(',');
                }
                continue;
            }
        };
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&said);
    }
    out.trim_end_matches(',').to_owned()
}

impl Work {
    fn space(&mut self, spaced: bool) {
        if spaced && !self.spoken.is_empty() && !self.spoken.ends_with(' ') {
            self.spoken.push(' ');
            self.count += 1;
            self.ssml.push(' ');
        }
    }

    fn say(&mut self, text: &str, written: Option<usize>) {
        self.say_as(text, written, None, None);
    }

    /// Says a text up to whose end so much is written; `ipa` and `raw` are for SSML.
    fn say_as(&mut self, text: &str, written: Option<usize>, ipa: Option<&str>, raw: Option<&str>) {
        if text.is_empty() {
            return;
        }
        self.spoken.push_str(text);
        self.count += text.chars().count();
        if let Some(written) = written {
            self.marks.push((written, self.count));
        }
        match ipa {
            Some(ipa) => {
                self.ssml.push_str("<phoneme alphabet=\"ipa\" ph=\"");
                ssml::escape(ipa, &mut self.ssml);
                self.ssml.push_str("\">");
                ssml::escape(text, &mut self.ssml);
                self.ssml.push_str("</phoneme>");
                self.says_more = true;
            }
            None => ssml::escape(raw.unwrap_or(text), &mut self.ssml),
        }
    }
}

#[cfg(test)]
mod tests;

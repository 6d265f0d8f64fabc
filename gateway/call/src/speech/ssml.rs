//! Tags of SSML (W3C Speech Synthesis Markup Language 1.1) in a text that is mostly none: forgiving, bounded, and never
//! losing a word. What is no well-formed tag is text.

/// Longest tag, in bytes: what is not closed by then was no tag.
pub(crate) const MAX_TAG_BYTES: usize = 512;
/// Most attributes of a tag that are looked at.
const MAX_ATTRIBUTES: usize = 16;

/// Elements of SSML, of its widespread extensions, and of HTML: none of them is ever read out.
const ELEMENTS: [&str; 46] = [
    "speak",
    "p",
    "s",
    "break",
    "say-as",
    "sub",
    "phoneme",
    "emphasis",
    "prosody",
    "lang",
    "voice",
    "mark",
    "audio",
    "desc",
    "lexicon",
    "lookup",
    "meta",
    "metadata",
    "token",
    "w",
    "a",
    "b",
    "blockquote",
    "br",
    "code",
    "div",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "li",
    "ol",
    "pre",
    "small",
    "span",
    "strong",
    "table",
    "td",
    "tr",
    "ul",
];

/// What stands in tags beside the names of elements.
const ATTRIBUTES: [&str; 14] = [
    "time",
    "strength",
    "interpret",
    "as",
    "say",
    "alias",
    "xml",
    "lang",
    "ms",
    "rate",
    "pitch",
    "volume",
    "level",
    "ph",
];

/// Every word of which tags of SSML are made that say how something is spoken.
pub(crate) fn words() -> impl Iterator<Item = &'static str> {
    const SPOKEN: [&str; 10] =
        ["speak", "break", "say", "sub", "phoneme", "emphasis", "prosody", "lang", "voice", "mark"];
    SPOKEN.into_iter().chain(ATTRIBUTES)
}

/// What a tag does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `<x>`
    Opens,
    /// `</x>`
    Closes,
    /// `<x/>`
    Empty,
    /// A comment or an instruction.
    Comment,
}

/// A tag at the beginning of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag<'a> {
    pub(crate) kind: Kind,
    /// As it is written.
    pub(crate) name: &'a str,
    /// Between name and end.
    attributes: &'a str,
    /// Of the whole tag, in bytes.
    pub(crate) length: usize,
}

/// What stands at a `<`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Tag(Tag<'a>),
    /// It may become one.
    Unfinished,
    /// Text.
    Text,
}

impl<'a> Tag<'a> {
    /// Looks at a text that begins with `<`.
    pub(crate) fn at(text: &'a str) -> Found<'a> {
        let inside = text.strip_prefix('<').unwrap_or_default();
        for (begin, end) in [("!--", "-->"), ("?", "?>")] {
            if inside.starts_with(begin) {
                return match bounded(text).find(end) {
                    Some(at) => {
                        Found::Tag(Self { kind: Kind::Comment, name: "", attributes: "", length: at + end.len() })
                    }
                    None => unfinished(text),
                };
            }
            if !inside.is_empty() && begin.starts_with(inside) {
                return Found::Unfinished;
            }
        }
        let closes = inside.starts_with('/');
        let named = if closes { &inside[1..] } else { inside };
        let name_end = named.find(|c: char| !is_name(c)).unwrap_or(named.len());
        let name = &named[..name_end];
        if named.is_empty() {
            return Found::Unfinished;
        }
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Found::Text;
        }
        let Some(end) = end_of(bounded(&named[name_end..])) else { return unfinished(text) };
        let inner = &named[name_end..name_end + end];
        let empty = inner.ends_with('/') && !closes;
        let attributes = inner.strip_suffix('/').unwrap_or(inner);
        if !attributes.is_empty() && !attributes.starts_with(char::is_whitespace) {
            return Found::Text;
        }
        let well_formed =
            if closes { attributes.trim().is_empty() } else { Attributes(attributes).all(|pair| pair.is_some()) };
        if !well_formed {
            return Found::Text;
        }
        let kind = if closes {
            Kind::Closes
        } else if empty {
            Kind::Empty
        } else {
            Kind::Opens
        };
        let length = 1 + usize::from(closes) + name_end + end + 1;
        Found::Tag(Self { kind, name, attributes, length })
    }

    /// Whether it has that name.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Whether it is markup by its name; others are, too, inside of `<speak>`.
    pub(crate) fn is_known(&self) -> bool {
        self.kind == Kind::Comment || self.name.contains(':') || ELEMENTS.iter().any(|known| self.is(known))
    }

    /// Value of an attribute, with its entities.
    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        let found = Attributes(self.attributes).take(MAX_ATTRIBUTES).flatten();
        found.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| entities(value))
    }
}

/// Name and value of each attribute; `None` ends it where there is none.
struct Attributes<'a>(&'a str);

impl<'a> Iterator for Attributes<'a> {
    type Item = Option<(&'a str, &'a str)>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0.trim_start();
        if rest.is_empty() {
            return None;
        }
        self.0 = "";
        let end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let quoted = rest.trim_start().strip_prefix('=').map(str::trim_start);
        let pair = quoted.filter(|_| !name.is_empty()).and_then(|quoted| {
            let quote = quoted.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
            let (value, rest) = quoted[1..].split_once(quote)?;
            self.0 = rest;
            Some((name, value))
        });
        Some(pair)
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':' | '.')
}

fn bounded(text: &str) -> &str {
    let end = MAX_TAG_BYTES.min(text.len());
    let end = (0..=end).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}

/// Where the `>` of a tag is, behind its quotes.
fn end_of(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (c, quote) {
            ('>', None) => return Some(at),
            // A tag inside of a tag is none.
            ('<', None) => return None,
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
    }
    None
}

/// A tag that is not closed may be one yet, while it is short and holds nothing that no tag has.
fn unfinished(text: &str) -> Found<'static> {
    let again = text[1..].contains('<') && !text[1..].contains(['"', '\'']);
    if text.len() < MAX_TAG_BYTES && !again { Found::Unfinished } else { Found::Text }
}

/// Replaces the entities of XML and numbered ones.
pub(crate) fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match entity(rest) {
            Some((length, character)) => {
                out.push(character);
                rest = &rest[length..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Length and meaning of the entity at the beginning of a text.
pub(crate) fn entity(text: &str) -> Option<(usize, char)> {
    /// "&#x10FFFF;"
    const LONGEST: usize = 10;
    let end = text.bytes().take(LONGEST).position(|byte| byte == b';')?;
    let name = text.get(1..end)?;
    let character = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code).filter(|character| !character.is_control())?
        }
    };
    Some((end + 1, character))
}

/// Writes a text so that it is no markup.
pub(crate) fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(character),
        }
    }
}

/// Milliseconds of a `break`: its time, or what its strength usually is.
pub(crate) fn break_ms(tag: &Tag<'_>) -> u32 {
    /// Longest pause: after that a caller thinks that the line is dead.
    const MOST_MS: f64 = 10_000.0;
    if let Some(time) = tag.attribute("time").as_deref().and_then(time_ms) {
        return time.min(MOST_MS) as u32;
    }
    match tag.attribute("strength").as_deref() {
        Some("none") => 0,
        Some("x-weak") => 100,
        Some("weak") => 200,
        Some("strong") => 700,
        Some("x-strong") => 1000,
        _ => 400,
    }
}

/// "500ms", "1.5s".
fn time_ms(text: &str) -> Option<f64> {
    let text = text.trim();
    let (number, scale) = match text.strip_suffix("ms") {
        Some(number) => (number, 1.0),
        None => (text.strip_suffix('s')?, 1000.0),
    };
    let number: f64 = number.trim().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> Tag<'_> {
        let Found::Tag(tag) = Tag::at(text) else { panic!("{text}") };
        tag
    }

    #[test]
    fn tags_have_kinds_names_and_attributes() {
        let found = tag("<say-as interpret-as='date' format = \"dmy\">1.2.</say-as>");
        assert_eq!((found.kind, found.name, found.length), (Kind::Opens, "say-as", 43));
        assert_eq!(found.attribute("format").as_deref(), Some("dmy"));
        assert_eq!(tag("</p >").kind, Kind::Closes);
        assert_eq!(break_ms(&tag("<break/>")), 400);
        assert_eq!(break_ms(&tag("<break time=\"1.5s\"/>")), 1500);
        assert_eq!(break_ms(&tag("<BREAK strength=\"weak\" />")), 200);
        assert_eq!(break_ms(&tag("<break time=\"99h\"/>")), 400);
        assert_eq!(break_ms(&tag("<break time=\"3600s\"/>")), 10_000);
        assert_eq!(tag("<sub alias=\"a &gt; b\">").attribute("alias").as_deref(), Some("a > b"));
        assert_eq!(tag("<!-- no -- > one --> yes").length, 20);
        assert!(tag("<amazon:effect name=\"whispered\">").is_known() && !tag("<placeholder>").is_known());
    }

    #[test]
    fn what_is_no_tag_is_text_and_what_may_become_one_is_waited_for() {
        for text in ["<3", "< b", "<b and c>", "<=", "<a href=x>", "</p x>", "<ab<c>"] {
            assert_eq!(Tag::at(text), Found::Text, "{text}");
        }
        for text in ["<", "</", "<br", "<break time=\"1", "<break time=\"1. 5", "<!-", "<!-- so"] {
            assert_eq!(Tag::at(text), Found::Unfinished, "{text}");
        }
        assert_eq!(Tag::at(&format!("<a {}", "x".repeat(600))), Found::Text);
    }

    #[test]
    fn entities_are_characters() {
        assert_eq!(entities("AT&amp;T &#8364;5 &lt;3 R&D &#0; &x;"), "AT&T €5 <3 R&D &#0; &x;");
        let mut out = String::new();
        escape("a<b & \"c\"", &mut out);
        assert_eq!(entities(&out), "a<b & \"c\"");
    }
}

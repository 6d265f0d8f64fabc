//! Cuts a document into passages: by its Markdown headings, then by paragraphs, so that each says one thing and can be read
//! out of its place.

/// Most bytes of a passage, about 300 tokens: four of them are a fair share of a request.
pub const MAX_PASSAGE_BYTES: usize = 1200;

/// A passage without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The heading it stands under; empty when there is none.
    pub heading: String,
    /// The text.
    pub text: String,
}

/// Cuts a text: at headings (`#` to `######`), and where what stands under one is long at blank lines, at sentences, at
/// spaces. Short paragraphs stay together. What looks like a heading between lines of code (```` ``` ````) is none.
#[must_use]
pub fn cut(text: &str) -> Vec<Cut> {
    let mut cuts = Vec::new();
    let (mut heading, mut body, mut code) = (String::new(), String::new(), false);
    for line in text.lines() {
        code ^= line.trim_start().starts_with("```");
        match heading_of(line).filter(|_| !code) {
            Some(next) => {
                section(&mut cuts, &heading, &body);
                body.clear();
                next.clone_into(&mut heading);
            }
            None => {
                body.push_str(line);
                body.push('\n');
            }
        }
    }
    section(&mut cuts, &heading, &body);
    cuts
}

fn heading_of(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    ((1..=6).contains(&level) && text.starts_with(' ')).then(|| text.trim().trim_end_matches('#').trim_end())
}

fn section(cuts: &mut Vec<Cut>, heading: &str, body: &str) {
    let mut passage = String::new();
    let mut done = |passage: &mut String| {
        let text = std::mem::take(passage);
        if text.chars().any(char::is_alphanumeric) {
            cuts.push(Cut { heading: heading.to_owned(), text: text.trim().to_owned() });
        }
    };
    for paragraph in body.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()) {
        if !passage.is_empty() && passage.len() + 2 + paragraph.len() > MAX_PASSAGE_BYTES {
            done(&mut passage);
        }
        let mut rest = paragraph;
        while passage.is_empty() && rest.len() > MAX_PASSAGE_BYTES {
            let end = place_to_cut(rest);
            let mut piece = rest[..end].to_owned();
            done(&mut piece);
            rest = rest[end..].trim_start();
        }
        if !passage.is_empty() {
            passage.push_str("\n\n");
        }
        passage.push_str(rest);
    }
    done(&mut passage);
}

/// Behind the last sentence, else the last space, that fits.
fn place_to_cut(text: &str) -> usize {
    let end = (0..=MAX_PASSAGE_BYTES).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    let head = &text[..end];
    let sentence =
        head.rfind(['.', '!', '?', '。', '\n']).map(|at| at + head[at..].chars().next().map_or(1, char::len_utf8));
    let space = || head.rfind(char::is_whitespace).map(|at| at + 1);
    sentence.filter(|&at| at > MAX_PASSAGE_BYTES / 3).or_else(space).filter(|&at| at > 0).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_document_is_cut_at_its_headings() {
        let text = "Welcome.\n\n# Opening hours\nWe open at nine.\n\nOn Sundays we are closed.\n## Holidays ##\nClosed.\n\
                    ```\n# no heading\n```\n#hashtag\n# Empty\n";
        let cuts = cut(text);
        let seen: Vec<_> = cuts.iter().map(|cut| (cut.heading.as_str(), cut.text.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("", "Welcome."),
                ("Opening hours", "We open at nine.\n\nOn Sundays we are closed."),
                ("Holidays", "Closed.\n```\n# no heading\n```\n#hashtag"),
            ]
        );
    }

    #[test]
    fn long_sections_are_cut_at_paragraphs_and_long_paragraphs_at_sentences() {
        let paragraph = "This is a sentence of some length. ".repeat(20);
        let cuts = cut(&format!("# H\n{paragraph}\n\n{paragraph}\n\n{}", "x".repeat(3000)));
        assert!(cuts.iter().all(|cut| cut.text.len() <= MAX_PASSAGE_BYTES && cut.heading == "H"), "{cuts:?}");
        assert!(cuts[0].text.ends_with("length."));
        assert_eq!(cuts.len(), 5);
    }

    proptest! {
        #[test]
        fn no_word_is_lost(text in "[a-z #.\n]{0,4000}") {
            let words = |text: &str| text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_owned).collect::<Vec<_>>();
            let mut seen: Vec<String> = Vec::new();
            let mut heading = String::new();
            for cut in cut(&text) {
                prop_assert!(cut.text.len() <= MAX_PASSAGE_BYTES);
                if cut.heading != heading {
                    heading.clone_from(&cut.heading);
                    seen.extend(words(&heading));
                }
                seen.extend(words(&cut.text));
            }
            // Headings above nothing are left out, and so may be one that is repeated.
            let all = words(&text);
            prop_assert!(seen.len() <= all.len());
            let body: usize = text.lines().filter(|line| heading_of(line).is_none()).map(|line| words(line).len()).sum();
            prop_assert!(seen.len() >= body);
        }
    }
}

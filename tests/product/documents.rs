//! The repository's Markdown as tests look at it: headings, links, words set as code, blocks and tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Files that git knows or would take, by their path from the root.
pub(crate) fn files(pattern: &str) -> Vec<String> {
    let output = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "--cached", "--others", "--exclude-standard", pattern])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).unwrap();
    names.lines().filter(|name| root().join(name).is_file()).map(str::to_owned).collect()
}

/// A fenced block.
#[derive(Debug)]
pub(crate) struct Block {
    /// What stands behind the fence: `sh`, `toml` ...; empty when nothing does.
    pub(crate) language: String,
    /// Anchor of the heading before it.
    pub(crate) under: String,
    pub(crate) text: String,
}

/// A Markdown file.
#[derive(Debug)]
pub(crate) struct Document {
    /// From the root, `docs/features.md`.
    pub(crate) name: String,
    /// Anchors of its headings.
    pub(crate) anchors: Vec<String>,
    /// Where its links and images lead.
    pub(crate) links: Vec<String>,
    /// Words set as code inside the text.
    pub(crate) spans: Vec<String>,
    pub(crate) blocks: Vec<Block>,
    /// Rows of its tables without the heads, a list of cells each, under the anchor of the heading before them. Code
    /// keeps its backticks.
    pub(crate) rows: Vec<(String, Vec<String>)>,
}

/// Every Markdown file of the repository.
pub(crate) fn all() -> Vec<Document> {
    let documents: Vec<Document> = files("*.md").iter().map(|name| Document::read(name)).collect();
    assert!(documents.len() > 10, "only {} documents were found", documents.len());
    documents
}

impl Document {
    /// Reads a file by its path from the root.
    pub(crate) fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self::parse(name, &text)
    }

    fn parse(name: &str, text: &str) -> Self {
        let mut document = Self {
            name: name.to_owned(),
            anchors: Vec::new(),
            links: Vec::new(),
            spans: Vec::new(),
            blocks: Vec::new(),
            rows: Vec::new(),
        };
        let mut seen = BTreeMap::new();
        let (mut heading, mut cell): (Option<String>, Option<String>) = (None, None);
        let (mut row, mut block) = (Vec::new(), None::<Block>);
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let slug = slug(&heading.take().unwrap_or_default());
                    let times: &mut usize = seen.entry(slug.clone()).or_default();
                    let again = if *times == 0 { slug } else { format!("{slug}-{times}") };
                    *times += 1;
                    document.anchors.push(again);
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let language = match kind {
                        CodeBlockKind::Fenced(info) => info.split_whitespace().next().unwrap_or_default().to_owned(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    let under = document.anchors.last().cloned().unwrap_or_default();
                    block = Some(Block { language, under, text: String::new() });
                }
                Event::End(TagEnd::CodeBlock) => document.blocks.extend(block.take()),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push(dest_url.into_string());
                }
                Event::Start(Tag::TableCell) => cell = Some(String::new()),
                Event::End(TagEnd::TableCell) => row.extend(cell.take()),
                Event::End(TagEnd::TableHead) => row.clear(),
                Event::End(TagEnd::TableRow) => {
                    let under = document.anchors.last().cloned().unwrap_or_default();
                    document.rows.push((under, std::mem::take(&mut row)));
                }
                Event::Code(code) => {
                    for text in [heading.as_mut(), cell.as_mut()].into_iter().flatten() {
                        text.push_str(&format!("`{code}`"));
                    }
                    document.spans.push(code.into_string());
                }
                Event::Text(words) => {
                    for text in [heading.as_mut(), cell.as_mut(), block.as_mut().map(|block| &mut block.text)] {
                        text.into_iter().for_each(|text| text.push_str(&words));
                    }
                }
                _ => {}
            }
        }
        document
    }
}

/// The anchor that a forge gives a heading: lower case, spaces as hyphens, other punctuation dropped.
fn slug(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            _ => letter.is_alphanumeric().then_some(letter),
        })
        .collect()
}

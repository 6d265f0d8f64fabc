//! Where a configuration comes from: files, environment variables, arguments of the command line.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::diagnostic::{Diagnostic, Location, Source};
use crate::document::{self, Content, Entry, Node};
use crate::secret::is_secret;
use crate::shape::Shape;

/// Largest configuration file, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Reads and parses a file.
pub fn file(path: &Path, faults: &mut Vec<Diagnostic>) -> Option<Node> {
    let fault = |message: String| Diagnostic {
        location: Location::File(path.display().to_string()),
        key: String::new(),
        message,
        expected: String::new(),
    };
    let read = || -> io::Result<String> {
        let found = fs::metadata(path)?;
        // Nobody would ever write into a pipe that lies here, nor does a device end.
        if !found.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        if found.len() > MAX_FILE_BYTES {
            return Err(io::Error::other(format!("larger than {MAX_FILE_BYTES} bytes")));
        }
        fs::read_to_string(path)
    };
    let text = match read() {
        Ok(text) => text,
        Err(error) => {
            faults.push(fault(unreadable(&error)));
            return None;
        }
    };
    let source = Arc::new(Source { name: path.display().to_string(), text });
    match document::parse(&source) {
        Ok(node) => Some(node),
        Err(syntax) => {
            faults.extend(syntax);
            None
        }
    }
}

/// Whether a file that need not be there is there, readable or not: only what does not exist counts as absent.
#[must_use]
pub fn is_there(path: &Path) -> bool {
    !matches!(fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

fn unreadable(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return format!("cannot be read by user {}: {error}", rustix::process::geteuid().as_raw());
    }
    format!("cannot be read: {error}")
}

/// The `*.toml` files of a folder in the order of their names; none when there is no such folder.
pub fn toml_files(folder: &Path, faults: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            faults.push(Diagnostic {
                location: Location::File(folder.display().to_string()),
                key: String::new(),
                message: unreadable(&error),
                expected: "a folder".to_owned(),
            });
            return Vec::new();
        }
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml") && !path.is_dir())
        .collect();
    paths.sort();
    paths
}

/// Environment variables, in the order of their names. `key` gives what a variable sets, sections and keys joined by
/// `__` as in its name, or `None` when it is no configuration.
pub fn variables(
    environment: BTreeMap<String, String>,
    shape: Shape<'_>,
    key: impl Fn(&str) -> Option<String>,
) -> Vec<Node> {
    let layer = |(name, text): (String, String)| {
        let keys = key(&name)?.to_ascii_lowercase();
        Some(assignment(&keys.split("__").collect::<Vec<_>>(), &text, &Location::Variable(name), shape))
    };
    environment.into_iter().filter_map(layer).collect()
}

/// A key that an argument of the command line sets; `typed` is the argument as it was typed.
pub fn argument(key: &str, text: &str, typed: &str, shape: Shape<'_>) -> Node {
    assignment(&key.split('.').collect::<Vec<_>>(), text, &Location::Argument(typed.to_owned()), shape)
}

/// `--set key=value` arguments, in their order.
pub fn arguments(set: &[String], shape: Shape<'_>, faults: &mut Vec<Diagnostic>) -> Vec<Node> {
    let mut layers = Vec::new();
    for argument in set {
        let shown = match argument.split_once('=') {
            // Its value may be the secret itself.
            Some((keys, _)) if is_secret(keys) => format!("--set {keys}=..."),
            _ => format!("--set {argument}"),
        };
        match argument.split_once('=') {
            Some((keys, text)) if !keys.is_empty() => layers.push(self::argument(keys, text, &shown, shape)),
            _ => faults.push(Diagnostic {
                location: Location::Argument(shown),
                key: String::new(),
                message: "no value".to_owned(),
                expected: "`section.key=value`".to_owned(),
            }),
        }
    }
    layers
}

/// One key with the value that `text` means there: text where text is expected, otherwise TOML.
fn assignment(keys: &[&str], text: &str, at: &Location, shape: Shape<'_>) -> Node {
    let Some((key, rest)) = keys.split_first() else { return typed(text, at, shape) };
    let below = shape.key(key);
    let value = match below {
        Some(shape) => assignment(rest, text, at, shape),
        None => Node { at: at.clone(), content: Content::Leaf(Value::String(text.to_owned())) },
    };
    let entry = Entry { key: (*key).to_owned(), key_at: at.clone(), value };
    Node { at: at.clone(), content: Content::Table(vec![entry]) }
}

fn typed(text: &str, at: &Location, shape: Shape<'_>) -> Node {
    let types = shape.types();
    let leaf = |text: &str| Node { at: at.clone(), content: Content::Leaf(Value::String(text.to_owned())) };
    if types.contains(&"string") {
        return leaf(text);
    }
    if types.contains(&"array") && !text.trim_start().starts_with('[') {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(leaf).collect();
        return Node { at: at.clone(), content: Content::Array(items) };
    }
    document::value(text.trim(), at).unwrap_or_else(|| leaf(text))
}

//! Word errors, speed and memory over a list of recordings.

use crate::hear::{Heard, Recogniser, wav};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

#[derive(Default)]
struct Tally {
    utterances: usize,
    wrong: usize,
    words: usize,
    errors: usize,
}

/// Reads lines of `group<TAB>wav<TAB>what is said` (empty: nothing that the grammar knows) and prints a table;
/// with `verbose`, every utterance that was misheard.
pub fn run(folder: &Path, list: &Path, settings: &str, verbose: bool) -> Result<()> {
    let recogniser = Recogniser::load(folder)?;
    let text = std::fs::read_to_string(list).with_context(|| format!("read {}", list.display()))?;
    let mut groups: BTreeMap<String, Tally> = BTreeMap::new();
    let (mut busy, mut sound, mut slowest) = (Duration::ZERO, 0.0, Duration::ZERO);
    for line in text.lines() {
        let mut fields = line.splitn(3, '\t');
        let (Some(group), Some(file), Some(said)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let samples = wav(Path::new(file))?;
        let mut session = recogniser.open(settings, false, &[])?;
        let mut heard = Heard::default();
        session.push(&samples, &mut heard)?;
        session.finalize(&mut heard)?;
        let understood: Vec<&str> =
            heard.transcripts.iter().map(|t| t.text.as_str()).filter(|t| !t.is_empty()).collect();
        let understood = understood.join(" ");
        busy += session.busy;
        slowest = slowest.max(session.slowest);
        sound += samples.len() as f64 / 8000.0;
        let tally = groups.entry(group.to_owned()).or_default();
        let errors = word_errors(said, &understood);
        tally.utterances += 1;
        tally.wrong += usize::from(errors > 0);
        tally.words += said.split_whitespace().count();
        tally.errors += errors;
        if verbose {
            let words: Vec<String> = heard
                .transcripts
                .iter()
                .flat_map(|t| &t.words)
                .map(|w| format!("{}:{:.3}:{}", w.text, w.confidence.unwrap_or(0.0), w.end - w.start))
                .collect();
            println!("{}\t{file}\t{said}\t{}", if errors > 0 { "BAD" } else { "ok" }, words.join(" "));
        }
    }
    for (name, t) in &groups {
        println!(
            "{name:8} {:4} utterances, {:3} misheard, {:4} words, {:3} errors, {:5.1} %",
            t.utterances,
            t.wrong,
            t.words,
            t.errors,
            100.0 * t.errors as f64 / t.words.max(1) as f64
        );
    }
    println!(
        "processor: {:.3} of real time; slowest call {:.1} ms",
        busy.as_secs_f64() / sound,
        slowest.as_secs_f64() * 1e3
    );
    cost(&recogniser, settings, list)
}

/// What a session costs: time to its first handler, and memory that is its own.
fn cost(recogniser: &Recogniser, settings: &str, list: &Path) -> Result<()> {
    const SESSIONS: usize = 20;
    let text = std::fs::read_to_string(list)?;
    let file = text.lines().next().and_then(|l| l.split('\t').nth(1)).context("an empty list")?;
    let samples = wav(Path::new(file))?;
    let before = private_kib()?;
    let started = Instant::now();
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(recogniser.open(settings, false, &[])?);
    }
    let opened = started.elapsed() / SESSIONS as u32;
    let idle = private_kib()?;
    for session in &mut sessions {
        session.push(&samples, &mut Heard::default())?;
    }
    let active = private_kib()?;
    println!(
        "a session: opened in {:.2} ms, {} KiB private when idle, {} KiB after an utterance",
        opened.as_secs_f64() * 1e3,
        (idle - before) / SESSIONS as i64,
        (active - before) / SESSIONS as i64
    );
    Ok(())
}

fn private_kib() -> Result<i64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").context("read smaps_rollup")?;
    let line = text.lines().find(|l| l.starts_with("Private_Dirty:")).context("no Private_Dirty")?;
    Ok(line.split_whitespace().nth(1).context("no figure")?.parse()?)
}

/// Levenshtein distance in words.
pub fn word_errors(said: &str, heard: &str) -> usize {
    let said: Vec<&str> = said.split_whitespace().collect();
    let heard: Vec<&str> = heard.split_whitespace().collect();
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (i, word) in said.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in heard.iter().enumerate() {
            let replaced = diagonal + usize::from(word != other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[heard.len()]
}

#[cfg(test)]
mod tests {
    use super::word_errors;

    #[test]
    fn word_errors_count_insertions_deletions_and_replacements() {
        assert_eq!(word_errors("one two three", "one two three"), 0);
        assert_eq!(word_errors("one two three", "one three"), 1);
        assert_eq!(word_errors("one two", "one nine two"), 1);
        assert_eq!(word_errors("one two", "five two two"), 2);
        assert_eq!(word_errors("", "yes"), 1);
    }
}

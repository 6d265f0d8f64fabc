//! Redaction of personal data, in whole texts and in streams.
//!
//! A stream is redacted as if it had come whole: whatever the places it is cut at, the pieces put together are what
//! [`Redactor::redact`] gives, and at most one kibibyte is ever held back.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod checksum;
mod digits;
mod entities;
mod scan;

use trunkline_plugin_kit::redactor::{Channel, Count, Policy, Redaction, Redactor};

use crate::entities::Kind;
use crate::scan::Piece;

trunkline_plugin_kit::export_pii_redactor!(Session, name = "pii");

const CHANNELS: usize = 8;

/// One call's redactor.
#[derive(Debug)]
pub struct Session {
    wanted: Vec<Kind>,
    held: [String; CHANNELS],
}

impl Redactor for Session {
    fn open(policy: Policy) -> Result<Self, String> {
        let mut wanted = Vec::new();
        for name in &policy.entity_types {
            let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
                let known: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
                format!("the policy asks for the entity type {name:?}; this plugin knows {}", known.join(", "))
            })?;
            wanted.push(kind);
        }
        if wanted.is_empty() {
            wanted.extend(Kind::ALL);
        }
        Ok(Self { wanted, held: Default::default() })
    }

    fn redact(&mut self, _: Channel, text: &str) -> Result<Redaction, String> {
        let (redaction, _) = redact(text, true, &self.wanted);
        Ok(redaction)
    }

    fn redact_delta(&mut self, channel: Channel, delta: &str, end: bool) -> Result<Redaction, String> {
        let held = &mut self.held[channel as usize % CHANNELS];
        held.push_str(delta);
        let (redaction, done) = redact(held, end, &self.wanted);
        held.drain(..done);
        Ok(redaction)
    }
}

/// Redacts as much of a text as is certain; returns how many bytes of it that was.
fn redact(text: &str, end: bool, wanted: &[Kind]) -> (Redaction, usize) {
    let mut out = String::with_capacity(text.len());
    let mut tally = [0u32; Kind::ALL.len()];
    let mut done = 0;
    while done < text.len() {
        let rest = &text[done..];
        let (searched, settled) = match scan::next(rest, end) {
            Piece::Incomplete => break,
            Piece::Plain(length) => {
                out.push_str(&rest[..length]);
                done += length;
                continue;
            }
            Piece::Whole(length) => (length, length),
            Piece::Endless(length) => (length, scan::settled(rest, length)),
        };
        let mut at = 0;
        for (span, kind) in entities::find(&rest[..searched], wanted) {
            if span.start >= settled {
                break;
            }
            out.push_str(&rest[at..span.start]);
            out.push('[');
            out.push_str(kind.name());
            out.push(']');
            tally[kind as usize] += 1;
            at = span.end;
        }
        if at < settled {
            out.push_str(&rest[at..settled]);
            at = settled;
        }
        done += at;
    }
    let counts = Kind::ALL
        .into_iter()
        .map(|kind| Count { entity_type: kind.name().to_owned(), count: tally[kind as usize] })
        .filter(|count| count.count > 0)
        .collect();
    (Redaction { text: out, counts }, done)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn never_more_than_the_window_is_held_back(parts in prop::collection::vec("[0-9a-z@ ]{0,300}|[0-9]{0,900}|\\PC{0,50}", 0..12)) {
            let mut session = Session::open(Policy { entity_types: Vec::new(), languages: Vec::new() }).unwrap();
            for part in &parts {
                session.redact_delta(Channel::Transcript, part, false).unwrap();
                prop_assert!(session.held.iter().all(|held| held.len() < scan::WINDOW));
            }
        }
    }
}

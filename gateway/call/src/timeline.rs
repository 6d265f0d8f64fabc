//! The timeline: events numbered without a gap, held back while words in them are being redacted.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};
use trunkline_api::event::EventTime;
use trunkline_api::id::Prefix;
use trunkline_api::words::RedactionChannel;
use trunkline_api::{Event, EventType, Id};
use trunkline_leg::{Anchor, CallTime};

use crate::input::Redacted;
use crate::spoken;

/// Stands for a text that could not be redacted.
pub(crate) const WITHHELD: &str = "[withheld]";
/// Most events held back; beyond it the oldest go out with their words withheld.
const MAX_HELD: usize = 256;

/// Words of an event's field: pieces, each with the share of it that counts, in thousandths.
pub(crate) type Words = Vec<(String, u32)>;

/// Numbers and dates a call's events.
#[derive(Debug)]
pub(crate) struct Timeline {
    call: Id,
    tenant: Id,
    anchor: Anchor,
    random: u64,
    seq: u64,
    ready: VecDeque<Event>,
    held: VecDeque<Held>,
}

/// An event that has no number yet.
#[derive(Debug)]
pub(crate) struct Entry {
    /// When it happened.
    pub(crate) at: CallTime,
    /// Its type.
    pub(crate) kind: EventType,
    /// The turn it belongs to.
    pub(crate) turn: Option<u32>,
    /// Its data, a JSON object.
    pub(crate) data: Value,
}

#[derive(Debug)]
struct Held {
    entry: Entry,
    field: &'static str,
    pieces: Vec<Piece>,
    counts: Vec<(String, u32)>,
}

#[derive(Debug)]
struct Piece {
    ticket: Option<u64>,
    text: String,
    share: u32,
}

impl Timeline {
    /// An empty timeline.
    pub(crate) const fn new(call: Id, tenant: Id, anchor: Anchor, seed: u64) -> Self {
        Self { call, tenant, anchor, random: seed, seq: 0, ready: VecDeque::new(), held: VecDeque::new() }
    }

    /// The wall clock at a moment of the call.
    pub(crate) const fn wall_us(&self, at: CallTime) -> u64 {
        self.anchor.wall_us(at)
    }

    /// Adds an event that holds nobody's words.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.hold(Held { entry, field: "", pieces: Vec::new(), counts: Vec::new() });
    }

    /// Adds an event whose `field` is `words`; `ticket` names the redaction of a piece, or nothing when the agent
    /// redacts no transcript.
    pub(crate) fn push_words(
        &mut self,
        entry: Entry,
        field: &'static str,
        words: Words,
        ticket: &mut dyn FnMut(&str) -> Option<u64>,
    ) {
        let piece = |(text, share): (String, u32)| {
            let ticket = if text.is_empty() || share == 0 { None } else { ticket(&text) };
            Piece { ticket, text, share }
        };
        let pieces = words.into_iter().map(piece).collect();
        self.hold(Held { entry, field, pieces, counts: Vec::new() });
    }

    /// A text was redacted, or could not be. False when no event waits for that ticket.
    pub(crate) fn handle_redacted(&mut self, ticket: u64, result: Option<&Redacted>) -> bool {
        for held in &mut self.held {
            if let Some(piece) = held.pieces.iter_mut().find(|piece| piece.ticket == Some(ticket)) {
                piece.ticket = None;
                match result {
                    Some(redacted) => {
                        piece.text.clone_from(&redacted.text);
                        held.counts.extend(redacted.counts.iter().cloned());
                    }
                    None => {
                        piece.text = WITHHELD.to_owned();
                        piece.share = spoken::WHOLE;
                    }
                }
                self.release();
                return true;
            }
        }
        false
    }

    /// The next event.
    pub(crate) fn poll(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    /// Whether no event is held back.
    pub(crate) fn is_settled(&self) -> bool {
        self.held.is_empty()
    }

    fn hold(&mut self, held: Held) {
        self.held.push_back(held);
        if self.held.len() > MAX_HELD
            && let Some(oldest) = self.held.front_mut()
        {
            for piece in oldest.pieces.iter_mut().filter(|piece| piece.ticket.is_some()) {
                *piece = Piece { ticket: None, text: WITHHELD.to_owned(), share: spoken::WHOLE };
            }
        }
        self.release();
    }

    fn release(&mut self) {
        while self.held.front().is_some_and(|held| held.pieces.iter().all(|piece| piece.ticket.is_none())) {
            let Some(mut held) = self.held.pop_front() else { return };
            if !held.field.is_empty()
                && let Value::Object(data) = &mut held.entry.data
            {
                let mut text = String::new();
                for piece in &held.pieces {
                    spoken::join(&mut text, spoken::cut(&piece.text, piece.share).0);
                }
                data.insert(held.field.to_owned(), Value::String(text));
            }
            let (at, turn) = (held.entry.at, held.entry.turn);
            self.number(held.entry);
            if !held.counts.is_empty() {
                let data = redaction_data(RedactionChannel::Transcript, &held.counts);
                self.number(Entry { at, kind: EventType::Redacted, turn, data });
            }
        }
    }

    fn number(&mut self, entry: Entry) {
        let Entry { at, kind, turn, data } = entry;
        self.seq += u64::from(kind.is_kept());
        let wall_us = self.anchor.wall_us(at);
        let mut random = [0_u8; 10];
        random[..8].copy_from_slice(&self.next_random().to_be_bytes());
        random[8..].copy_from_slice(&self.next_random().to_be_bytes()[..2]);
        self.ready.push_back(Event {
            id: Id::mint(Prefix::Event, wall_us / 1000, random),
            v: 1,
            tenant: self.tenant.clone(),
            call: self.call.clone(),
            seq: self.seq,
            kind: kind.name().to_owned(),
            at: EventTime { wall_us, call_us: at.as_us() },
            leg: None,
            turn,
            data,
        });
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Data of `redaction.applied`: counts of the same type add up.
pub(crate) fn redaction_data(channel: RedactionChannel, counts: &[(String, u32)]) -> Value {
    let mut sums = Map::new();
    for (entity, count) in counts {
        let before = sums.get(entity).and_then(Value::as_u64).unwrap_or(0);
        sums.insert(entity.clone(), json!(before + u64::from(*count)));
    }
    json!({ "channel": channel.name(), "counts": sums })
}

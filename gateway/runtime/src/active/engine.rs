//! The engine of a call: it is given the caller's sound while an input goes on, what it says is told to the call, and its
//! sound is kept until the call says where it is to be heard.

use std::collections::BTreeMap;

use trunkline_api::Failure;
use trunkline_api::words::ProviderKind;
use trunkline_call::{Command, ENGINES, Input, RealtimeEvent};
use trunkline_leg::{CallTime, Utterance};

use super::Active;
use crate::engines::{self, Engine, Said};

/// Most sound of one item that is kept, in samples: a minute at 48 kHz. What comes beyond is dropped.
const MOST_SAMPLES: usize = 60 * 48_000;
/// Most sound that is kept of all of them while it has no place, in samples. Beyond that the oldest has none any more.
const MOST_KEPT: usize = 2 * MOST_SAMPLES;
/// Most items that are kept, the oldest of which is forgotten.
const MOST_ITEMS: usize = 64;
/// What an engine says in one step is bounded by this.
const MOST_SAID: usize = 512;

/// The engine in service and what it has said.
#[derive(Default)]
pub(super) struct EngineSeat {
    open: Option<Open>,
}

struct Open {
    session: u32,
    provider: String,
    engine: Box<dyn Engine>,
    items: BTreeMap<u32, Item>,
}

/// Sound of an item.
#[derive(Default)]
struct Item {
    /// What was not handed on: there is no place for it yet.
    sound: Vec<(u32, Vec<i16>)>,
    samples: usize,
    complete: bool,
    /// The part of an utterance that it is.
    part: Option<(Utterance, u32)>,
}

impl Open {
    /// Forgets the oldest sound that nobody has asked for, where there is too much of it.
    fn forget(&mut self) {
        let of = |item: &Item| item.sound.iter().map(|(_, pcm)| pcm.len()).sum::<usize>();
        let mut kept: usize = self.items.values().map(of).sum();
        for item in self.items.values_mut() {
            if kept <= MOST_KEPT {
                return;
            }
            kept -= of(item);
            item.sound = Vec::new();
        }
    }
}

impl EngineSeat {
    /// When the engine is to be looked at.
    pub(super) fn due(&self) -> Option<CallTime> {
        self.open.as_ref().and_then(|open| open.engine.due())
    }

    /// Lets go of the engine.
    pub(super) fn close(&mut self) {
        self.open = None;
    }
}

impl Active {
    /// Carries out a command for an engine.
    pub(super) fn engine(&mut self, now: CallTime, command: Command) {
        match command {
            Command::OpenRealtime { session, ref provider, .. } => {
                let resolved = self.serving.resolve(&self.setup.tenant, provider);
                let Some(engine) = engines::open(&resolved.plugin, &resolved.settings) else {
                    let detail = format!("there is no speech-to-speech engine named {}", resolved.plugin);
                    let event = RealtimeEvent::Failed { failure: Failure::EngineUnavailable, detail };
                    return self.tell(now, Input::Realtime { session, event });
                };
                let (provider, items) = (provider.provider.clone(), BTreeMap::new());
                self.sessions.listening.keep();
                self.engine.open = Some(Open { session, provider, engine, items });
                self.asks(now, command);
            }
            Command::BeginInput { session, from, .. } => {
                if self.is_engine(session) {
                    self.sessions.listening.begin_input(from);
                    self.asks(now, command);
                }
            }
            Command::CommitInput { session, .. } | Command::DropInput { session, .. } => {
                if self.is_engine(session) {
                    self.hears(now);
                    self.sessions.listening.end_input();
                    self.asks(now, command);
                }
            }
            Command::PlayItem { utterance, part, session, item } => self.play_item(utterance, part, session, item),
            Command::EndPart { utterance, part, at_ms } => self.sessions.speaking.end_part(utterance, part, at_ms),
            Command::CloseRealtime { session } => {
                if self.is_engine(session) {
                    self.sessions.listening.end_input();
                    self.asks(now, command);
                    self.engine.close();
                }
            }
            command => self.asks(now, command),
        }
    }

    /// Gives the engine what the caller says and tells the call what it says.
    pub(super) fn listen_to_engine(&mut self, now: CallTime) {
        self.hears(now);
        for _ in 0..MOST_SAID {
            let Some(open) = &mut self.engine.open else { return };
            let Some(said) = open.engine.poll(now) else { return };
            let (session, provider) = (open.session, open.provider.clone());
            match said {
                Said::Event(event) => {
                    let over = matches!(event, RealtimeEvent::Failed { .. } | RealtimeEvent::Closed);
                    if matches!(event, RealtimeEvent::Done { .. }) {
                        self.shared.health.worked(&self.setup.tenant, ProviderKind::Realtime, &provider);
                    }
                    if over {
                        self.engine.close();
                    }
                    self.tell(now, Input::Realtime { session, event });
                }
                Said::Sound { item, pcm, rate } => self.item_sounds(session, item, pcm, rate),
                Said::Complete { item } => self.item_complete(session, item),
                Said::Used(units) => self.used(now, ProviderKind::Realtime, provider, units),
            }
            self.carry_out(now);
        }
    }

    fn hears(&mut self, now: CallTime) {
        let Some(open) = &mut self.engine.open else { return };
        while let Some((rate, pcm)) = self.sessions.listening.next_input() {
            open.engine.hear(now, &pcm, rate);
        }
    }

    fn is_engine(&self, session: u32) -> bool {
        self.engine.open.as_ref().is_some_and(|open| open.session == session)
    }

    fn asks(&mut self, now: CallTime, command: Command) {
        if let Some(open) = &mut self.engine.open {
            open.engine.ask(now, command);
        }
    }

    fn play_item(&mut self, utterance: Utterance, part: u32, session: u32, item: u32) {
        let index = ENGINES + session as usize;
        self.sessions.speaking.begin_item(self.ports.leg(), utterance, part, index);
        let Some(open) = self.engine.open.as_mut().filter(|open| open.session == session) else { return };
        let known = open.items.entry(item).or_default();
        known.part = Some((utterance, part));
        let (sound, complete) = (std::mem::take(&mut known.sound), known.complete);
        for (rate, pcm) in sound {
            self.sessions.speaking.item_sound(utterance, part, index, rate, pcm);
        }
        if complete {
            self.sessions.speaking.item_complete(utterance, part, index);
        }
    }

    fn item_sounds(&mut self, session: u32, item: u32, pcm: Vec<i16>, rate: u32) {
        let Some(open) = &mut self.engine.open else { return };
        if open.items.len() >= MOST_ITEMS && !open.items.contains_key(&item) {
            open.items.pop_first();
        }
        let known = open.items.entry(item).or_default();
        known.samples += pcm.len();
        if known.samples > MOST_SAMPLES {
            // It ends there, so that whoever hears it does not wait for more.
            self.item_complete(session, item);
            return;
        }
        match known.part {
            Some((utterance, part)) => {
                let index = ENGINES + session as usize;
                self.sessions.speaking.item_sound(utterance, part, index, rate, pcm);
            }
            None => {
                known.sound.push((rate, pcm));
                open.forget();
            }
        }
    }

    fn item_complete(&mut self, session: u32, item: u32) {
        let Some(open) = &mut self.engine.open else { return };
        let known = open.items.entry(item).or_default();
        known.complete = true;
        if let Some((utterance, part)) = known.part {
            self.sessions.speaking.item_complete(utterance, part, ENGINES + session as usize);
        }
    }
}

#[cfg(test)]
mod tests;

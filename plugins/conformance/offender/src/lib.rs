//! A language model that misbehaves on purpose. With `none` it is a good neighbour with one fixed line, so that the
//! effect of a bad one on it can be measured.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

use std::hint::black_box;

use serde::Deserialize;
use trunkline_plugin_kit::llm::{FinishReason, Generation, LlmEvent, Request};
use trunkline_plugin_kit::{Event, Host, Level, NO_USAGE, Outbox, ProviderError, Usage, parse_settings};

trunkline_plugin_kit::export_llm_provider!(Offender, name = "offender");

/// What the polite neighbour says.
pub const LINE: &str = "I am behaving myself.";

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Misdeed {
    #[default]
    None,
    Loop,
    Trap,
    Allocate,
    Flood,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Occasion {
    Start,
    #[default]
    Event,
    Init,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    misbehave: Misdeed,
    on: Occasion,
}

/// One generation that may go wrong.
#[derive(Debug)]
pub struct Offender {
    settings: Settings,
    answered: bool,
}

impl Generation for Offender {
    fn init(host: &mut dyn Host) -> Result<(), String> {
        let settings: Settings = parse_settings(host).map_err(|error| error.message)?;
        if settings.on == Occasion::Init {
            commit(settings.misbehave, host);
        }
        Ok(())
    }

    fn start(host: &mut dyn Host, _: Request) -> Result<Self, ProviderError> {
        let settings: Settings = parse_settings(host)?;
        if settings.on == Occasion::Start {
            commit(settings.misbehave, host);
        }
        host.set_timer(0);
        Ok(Self { settings, answered: false })
    }

    fn on_event(&mut self, host: &mut dyn Host, _: Event, out: &mut Outbox<LlmEvent>) -> Result<(), ProviderError> {
        if self.settings.on == Occasion::Event {
            if self.settings.misbehave == Misdeed::Flood {
                // The kit keeps to the credit, so this flood is all the host has room for, for ever.
                out.more();
                (0..out.room()).for_each(|_| out.push(LlmEvent::TextDelta("!".to_owned())));
            }
            commit(self.settings.misbehave, host);
        }
        self.answer(out);
        Ok(())
    }

    fn resume(&mut self, host: &mut dyn Host, out: &mut Outbox<LlmEvent>) -> Result<(), ProviderError> {
        if self.settings.misbehave == Misdeed::Flood {
            commit(Misdeed::Flood, host);
            (0..out.room()).for_each(|_| out.push(LlmEvent::TextDelta("!".to_owned())));
            out.more();
        }
        Ok(())
    }
}

impl Offender {
    fn answer(&mut self, out: &mut Outbox<LlmEvent>) {
        if self.answered || self.settings.misbehave == Misdeed::Flood {
            return;
        }
        self.answered = true;
        out.push(LlmEvent::Started);
        out.push(LlmEvent::TextDelta(LINE.to_owned()));
        out.push(LlmEvent::Usage(Usage { tokens_out: Some(4), ..NO_USAGE }));
        out.push(LlmEvent::Finished(FinishReason::Stop));
    }
}

fn commit(misdeed: Misdeed, host: &mut dyn Host) {
    match misdeed {
        Misdeed::None => {}
        Misdeed::Loop => {
            let mut round = 0u64;
            loop {
                round = black_box(round.wrapping_add(1));
            }
        }
        Misdeed::Trap => panic!("this plugin was asked to trap"),
        Misdeed::Allocate => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(black_box(vec![1; 1 << 20]));
            }
        }
        Misdeed::Flood => {
            let line = "x".repeat(1000);
            for _ in 0..100_000 {
                host.log(Level::Error, &line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use trunkline_plugin_kit::testing::{Bench, TestHost};

    use super::*;

    fn request() -> Request {
        Request { messages: Vec::new(), tools: Vec::new(), max_tokens: None, temperature: None }
    }

    #[test]
    fn a_good_neighbour_says_its_line() {
        let mut bench = Bench::<Offender, _>::llm(TestHost::new("{}"), request()).unwrap();
        let events: Vec<_> = bench.run_timers().unwrap().into_iter().map(|(_, event)| event).collect();
        assert_eq!(events[1], LlmEvent::TextDelta(LINE.to_owned()));
        assert_eq!(events.last(), Some(&LlmEvent::Finished(FinishReason::Stop)));
    }

    #[test]
    #[should_panic(expected = "asked to trap")]
    fn a_misdeed_happens_on_its_occasion_only() {
        let settings = r#"{"misbehave": "trap", "on": "event"}"#;
        let mut bench = Bench::<Offender, _>::llm(TestHost::new(settings), request()).unwrap();
        let timer = bench.host.fire_timer().unwrap();
        let _ = bench.deliver(timer);
    }

    #[test]
    fn a_flood_neither_ends_nor_answers() {
        let settings = r#"{"misbehave": "flood"}"#;
        let mut host = TestHost::new(settings);
        let mut offender = Offender::start(&mut host, request()).unwrap();
        let mut out = Outbox::default();
        let timer = host.fire_timer().unwrap();
        let (events, again) = out.step(8, |out| offender.on_event(&mut host, timer, out)).unwrap();
        assert_eq!((events.len(), again), (8, true));
        assert!(host.deeds.len() >= 100_000);
    }
}

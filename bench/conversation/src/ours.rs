//! The product's own turn engine: `trunkline_call::Call` with the commands it gives carried out on virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use serde_json::json;
use trunkline_api::agent::AgentSpec;
use trunkline_api::id::{Id, Prefix};
use trunkline_api::usage::CallDirection;
use trunkline_api::words::FinishReason;
use trunkline_api::{Event, EventType};
use trunkline_call::{AsrEvent, Call, CallSetup, Command, Input, LlmEvent, TtsEvent};
use trunkline_leg::{Anchor, CallTime, EndCause, LegFact, LegId, PlayoutPosition};

use crate::recogniser::Recogniser;
use crate::room::{Log, Room};
use crate::scene::Scene;
use crate::voices::{AGENT, Voices};

/// First words of the model, and first sound of the synthesiser, after they were asked for.
pub(crate) const LLM_MS: u64 = 350;
pub(crate) const TTS_MS: u64 = 150;

/// Something that will happen.
enum Due {
    Tell(Input),
    /// A part has been synthesised.
    Sound {
        utterance: u32,
        part: u32,
        index: usize,
        pcm: Arc<[i16]>,
    },
}

struct Agent<'a> {
    call: Call,
    room: Room<'a>,
    voices: &'a Voices,
    recogniser: Recogniser<'a>,
    session: Option<u32>,
    queue: BTreeMap<(CallTime, u64), Due>,
    order: u64,
    cancelled: Vec<u32>,
    position: PlayoutPosition,
    now: CallTime,
}

/// Runs a scene with a recogniser.
pub(crate) fn run<'a>(scene: &'a Scene, voices: &'a Voices, recogniser: Recogniser<'a>) -> Result<Log> {
    let spec = spec(scene)?;
    let id = |prefix| Id::mint(prefix, 1_700_000_000_000, [7; 10]);
    let call = Call::new(CallSetup {
        call: id(Prefix::Call),
        tenant: id(Prefix::Tenant),
        agent: id(Prefix::Agent),
        agent_version: 1,
        spec: Arc::new(spec),
        tools: Vec::new(),
        others: BTreeMap::new(),
        trunk: None,
        gateway: None,
        direction: CallDirection::Inbound,
        from: "caller".to_owned(),
        to: "agent".to_owned(),
        variables: Default::default(),
        anchor: Anchor { wall_us: 1_700_000_000_000_000, call_us: 0 },
        seed: 1,
        codec: "PCMU".to_owned(),
        sip_call_id: None,
    });
    let mut agent = Agent {
        call,
        room: Room::new(scene, false)?,
        voices,
        recogniser,
        session: None,
        queue: BTreeMap::new(),
        order: 0,
        cancelled: Vec::new(),
        position: PlayoutPosition::default(),
        now: CallTime::ZERO,
    };
    agent.handle(Input::Answered)?;
    while !agent.room.is_over() && !agent.call.is_over() {
        agent.tick()?;
    }
    Ok(agent.room.log)
}

/// An agent of whose policies nothing is chosen.
fn spec(scene: &Scene) -> Result<AgentSpec> {
    let list = |kind: &str| json!([{ "provider": kind }]);
    let spec = json!({
        "name": "judged", "greeting": scene.greeting, "prompt": "", "language": scene.language,
        "pipeline": { "cascade": { "asr": list("asr"), "llm": list("llm"), "tts": list("tts") } },
    });
    serde_json::from_value(spec).context("an agent that cannot be read")
}

impl Agent<'_> {
    fn tick(&mut self) -> Result<()> {
        let now = self.room.now();
        // What happens between two ticks happens in its order.
        loop {
            let input = self.queue.keys().next().copied().filter(|(at, _)| *at <= now);
            let timer = self.call.poll_timeout().map(|(due, _)| due).filter(|due| *due <= now);
            match (input, timer) {
                (Some(key), timer) if timer.is_none_or(|due| key.0 <= due) => {
                    self.now = self.now.max(key.0);
                    let due = self.queue.remove(&key).context("what stands in the queue")?;
                    self.deliver(due)?;
                }
                (_, Some(due)) => {
                    self.now = self.now.max(due);
                    self.handle(Input::Timeout)?;
                }
                _ => break,
            }
        }
        self.now = now;
        let (facts, ears) = self.room.step();
        for fact in facts {
            self.handle(Input::Leg { leg: LegId::FIRST, fact })?;
        }
        if let Some(edge) = ears.edge {
            self.handle(Input::Voice(edge))?;
        }
        if ears.interrupts {
            self.handle(Input::Interrupts)?;
        }
        let position = self.room.line.position();
        if position != self.position {
            self.position = position;
            self.handle(Input::Playout(position))?;
        }
        self.recogniser.hear(now, &ears.heard, ears.speech);
        if let Some(session) = self.session
            && let Some(event) = self.recogniser.poll(now, &self.room.log)?
        {
            self.handle(Input::Asr { session, event })?;
        }
        Ok(())
    }

    fn deliver(&mut self, due: Due) -> Result<()> {
        match due {
            Due::Tell(Input::Llm { request, .. }) if self.cancelled.contains(&request) => Ok(()),
            Due::Tell(input) => self.handle(input),
            Due::Sound { utterance, part, index, pcm } => {
                let audio_ms = (pcm.len() / 8) as u32;
                if !self.room.line.sound(utterance, part, pcm) {
                    return Ok(());
                }
                self.handle(Input::Tts { utterance, index, event: TtsEvent::Audio { part, audio_ms } })?;
                self.handle(Input::Tts { utterance, index, event: TtsEvent::PartDone { part, audio_ms } })
            }
        }
    }

    fn handle(&mut self, input: Input) -> Result<()> {
        self.call.handle(self.now, input);
        while let Some(command) = self.call.poll_transmit() {
            self.carry_out(command)?;
        }
        while let Some(event) = self.call.poll_event() {
            self.note(&event);
        }
        Ok(())
    }

    fn note(&mut self, event: &Event) {
        if event.kind == EventType::TurnStarted.name() {
            self.room.decided(event.data["input"].as_str().unwrap_or_default());
        }
    }

    fn tell_in(&mut self, ms: u64, due: Due) {
        self.order += 1;
        self.queue.insert((self.now.plus_ms(ms), self.order), due);
    }

    fn carry_out(&mut self, command: Command) -> Result<()> {
        match command {
            Command::OpenAsr { session, .. } => {
                self.session = Some(session);
                self.tell_in(0, Due::Tell(Input::Asr { session, event: AsrEvent::Ready }));
            }
            Command::FinalizeAsr { .. } => {
                self.recogniser.finalize(self.now, &self.room.log)?;
            }
            Command::CloseAsr { .. } => self.session = None,
            Command::StartLlm { request, .. } => {
                let reply = self.room.reply();
                let say = |event| Due::Tell(Input::Llm { request, event });
                self.tell_in(0, say(LlmEvent::Started));
                self.tell_in(LLM_MS, say(LlmEvent::TextDelta(reply)));
                self.tell_in(LLM_MS, say(LlmEvent::Finished(FinishReason::Stop)));
            }
            Command::CancelLlm { request } => self.cancelled.push(request),
            Command::Speak { utterance, part, index, text, .. } => {
                self.room.line.expect(utterance, part);
                let pcm = self.voices.say(&AGENT, &text)?.pcm;
                self.tell_in(TTS_MS, Due::Sound { utterance, part, index, pcm });
            }
            Command::DropParts { utterance, from, cut } => self.room.line.drop_parts(utterance, from, cut),
            Command::EndUtterance { utterance } => self.room.line.end(utterance),
            Command::StopSpeaking { utterance, .. } => self.room.line.stop(utterance),
            Command::PausePlayback => self.room.line.pause(true),
            Command::ResumePlayback => self.room.line.pause(false),
            Command::ClearPlayback => self.room.line.clear(),
            Command::HangUp { leg, .. } => {
                let fact = LegFact::Ended { cause: EndCause::Local, at: self.now };
                self.tell_in(20, Due::Tell(Input::Leg { leg, fact }));
            }
            // The agent of the bench has no tools, menus or other legs.
            _ => {}
        }
        Ok(())
    }
}

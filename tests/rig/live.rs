//! A call seen from both its ends at once: the packets that its caller got, when they came, and the gateway's own timeline
//! of the same moments. What the two say of an interruption and of an answer is what tests and benchmarks look at.

use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use trunkline_caller::{Arrival, Happened, Report, Script, Step};

use crate::caller::Caller;
use crate::gateway::Gateway;
use crate::tones::{AUDIBLE, Tone, tones};
use crate::wait;

/// A packet louder than this is somebody speaking.
const SPEECH_DBFS: f32 = -45.0;
/// Microseconds of a sample, and samples of a packet.
const SAMPLE_US: u64 = 125;
const FRAME: usize = 160;
/// Silence of this many packets ends a stretch of the agent's speech; its pauses between sentences are shorter.
const PAUSE_PACKETS: usize = 10;

/// An agent whose recogniser and voice take no time: `utterances` are what its caller says, `voice` the settings of the
/// voice of tones.
#[must_use]
pub fn instant_agent(greeting: &str, utterances: &[&str], llm: Value, voice: Value) -> Value {
    json!({
        "name": "instant",
        "language": "en",
        "pipeline": { "cascade": {
            "asr": [{ "provider": "instant-asr", "settings": { "utterances": utterances } }],
            "llm": [llm],
            "tts": [{ "provider": "instant-tts", "settings": voice }],
        } },
        "greeting": greeting,
    })
}

/// Words of the same length, each with an initial of its own, for the voice of tones.
pub const WORDS: &str = "alpha bravo cigar delta eagle fudge grape hotel igloo joker kiosk lemon mango north ocean piano \
    queen river sugar tiger uncle vapor water xenon yacht zebra";

/// A call that is over.
#[derive(Debug)]
pub struct Live {
    /// The call's id.
    pub id: String,
    /// What the caller saw.
    pub report: Report,
    /// What the gateway wrote down.
    pub events: Vec<Value>,
}

/// How an utterance of the agent's was cut off.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    /// From the decision to the last audible packet, as it came to the caller, in microseconds; 0 when it came before.
    pub last_packet_us: u64,
    /// Audible packets of the utterance that were due behind the decision.
    pub packets_after: usize,
    /// From the caller's first sound to the decision, in microseconds.
    pub decided_us: u64,
    /// Milliseconds of the utterance that the gateway says it sent, and that it takes to be heard.
    pub sent_ms: u64,
    /// The second.
    pub heard_ms: u64,
    /// The words it takes to be heard.
    pub heard: String,
    /// What came to the caller of the utterance.
    pub received: Vec<Tone>,
}

/// An answer to something the caller said.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What the caller said.
    pub to: String,
    /// From the caller's last sample to the first audible one of the answer, in microseconds.
    pub first_sound_us: u64,
    /// The same as the gateway accounts for it: from the end of speech as it noticed it to the answer's first packet.
    pub total_us: Option<u64>,
}

impl Live {
    /// Calls `user`, follows the script to its end and waits for the gateway's account of the call.
    pub fn call(gateway: &Gateway, user: &str, seed: u64, script: Script) -> anyhow::Result<Self> {
        let report = Caller::call(gateway.sip(), user, seed, script)?.finish()?;
        Self::of(gateway, report)
    }

    /// The same of a call whose caller is done.
    pub fn of(gateway: &Gateway, report: Report) -> anyhow::Result<Self> {
        let dialog = report.events.iter().find_map(|event| match &event.what {
            Happened::InviteSent { call_id } => Some(call_id.clone()),
            _ => None,
        });
        let (dialog, admin) = (dialog.context("no INVITE was sent")?, gateway.admin()?);
        let id = wait::until("the end of the call", Duration::from_secs(20), || {
            let calls = admin.get("/v1/calls?ended=true").ok()?;
            let ours = |call: &&Value| call["sip_call_id"] == dialog.as_str() && call["ended"] == true;
            calls.as_array()?.iter().find(ours)?["id"].as_str().map(str::to_owned)
        })
        .with_context(|| format!("its caller saw {:?}", report.events))?;
        let call = admin.get(&format!("/v1/calls/{id}"))?;
        let events = call["events"].as_array().cloned().context("a call without events")?;
        Ok(Self { id, report, events })
    }

    /// Events of a type.
    pub fn events_of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.events.iter().filter(move |event| event["type"] == kind)
    }

    /// Every utterance of the agent's that the caller cut off by speaking up.
    pub fn cuts(&self) -> anyhow::Result<Vec<Cut>> {
        let (mut cuts, mut before) = (Vec::new(), None);
        for event in self.events_of("playback.cut") {
            let (decided, spoke) = self.decision(event)?;
            // One that has no words of its own before it was cut by the end of the call.
            if let Some(spoke) = spoke.filter(|spoke| before.replace(*spoke) != Some(*spoke)) {
                cuts.push(self.cut(event, decided, spoke)?);
            }
        }
        Ok(cuts)
    }

    /// The first answer to each thing that the caller said while the agent was silent.
    #[must_use]
    pub fn answers(&self) -> Vec<Answer> {
        let mut answers = Vec::new();
        for (n, event) in self.report.events.iter().enumerate() {
            let Happened::SayEnded { text } = &event.what else { continue };
            let spoken: Vec<u64> = self.report.events[n + 1..].iter().filter_map(begins).take(1).collect();
            let (ended, until) = (event.at_ms * 1000, spoken.first().map_or(u64::MAX, |ms| ms * 1000));
            let first = self
                .report
                .arrivals
                .iter()
                .find(|arrival| arrival.level_dbfs > SPEECH_DBFS && (ended..until).contains(&arrival.at_us));
            if let Some(first) = first {
                let before = self.samples(first).iter().take_while(|sample| sample.abs() < AUDIBLE).count();
                let heard = first.at_us + before as u64 * SAMPLE_US;
                let total_us = self.total_us(ended, until);
                answers.push(Answer { to: text.clone(), first_sound_us: heard.saturating_sub(ended), total_us });
            }
        }
        answers
    }

    /// The longest that the caller heard nothing of the agent's, from the end of what the caller said last to the end of the
    /// answer, in microseconds; `None` when there was no answer.
    #[must_use]
    pub fn longest_silence_us(&self) -> Option<u64> {
        let said = |event: &&trunkline_caller::Event| matches!(event.what, Happened::SayEnded { .. });
        let ended = self.report.events.iter().rfind(said)?.at_ms * 1000;
        let loud = self.report.arrivals.iter().filter(|arrival| arrival.level_dbfs > SPEECH_DBFS);
        let heard: Vec<u64> = loud.map(|arrival| arrival.at_us).filter(|at| *at > ended).collect();
        let since = std::iter::once(ended).chain(heard.iter().copied());
        since.zip(&heard).map(|(before, at)| at - before).max()
    }

    /// The total of the turn whose waterfall was written between two times.
    fn total_us(&self, from: u64, until: u64) -> Option<u64> {
        let written = |event: &&Value| self.on_the_callers_clock(event).is_ok_and(|at| (from..until).contains(&at));
        let waterfall = self.events_of("turn.waterfall").find(written)?;
        Some(waterfall["data"]["total_ms"].as_u64()? * 1000)
    }

    /// When it was decided to cut an utterance off, and when the caller had begun to speak before that.
    fn decision(&self, cut: &Value) -> anyhow::Result<(u64, Option<u64>)> {
        let decided_ms = cut["data"]["decided_ms"].as_u64().context("playback.cut without decided_ms")?;
        let at_us = cut["at"]["call_us"].as_u64().context("an event without a time")?;
        let decided = self.on_the_callers_clock(cut)?.saturating_sub(at_us.saturating_sub(decided_ms * 1000));
        let spoke = self.report.events.iter().filter_map(begins).map(|ms| ms * 1000).filter(|at| *at <= decided).max();
        Ok((decided, spoke))
    }

    fn cut(&self, event: &Value, decided: u64, spoke: u64) -> anyhow::Result<Cut> {
        let data = &event["data"];
        let sent_ms = data["sent_ms"].as_u64().context("playback.cut without sent_ms")?;
        let utterance = self.stretch_at(decided).context("the agent was not audible when it was cut off")?;
        let packets = &self.report.arrivals[utterance.clone()];
        let audible = |arrival: &&Arrival| self.samples(arrival).iter().any(|sample| sample.abs() >= AUDIBLE);
        let last = packets.iter().rev().find(audible).context("a stretch without sound")?;
        let sound = packets.first().zip(packets.last()).map(|(first, last)| first.sample..last.sample + FRAME);
        Ok(Cut {
            last_packet_us: last.at_us.saturating_sub(decided),
            packets_after: packets.iter().filter(audible).filter(|packet| self.due(packet) > decided).count(),
            decided_us: decided - spoke,
            sent_ms,
            heard_ms: data["heard_ms"].as_u64().unwrap_or(sent_ms),
            heard: data["heard"].as_str().unwrap_or_default().to_owned(),
            received: sound.and_then(|range| self.report.agent.get(range)).map(tones).unwrap_or_default(),
        })
    }

    /// The packets of the agent's speech that goes on at a time, or has just ended.
    fn stretch_at(&self, at: u64) -> Option<Range<usize>> {
        let arrivals = &self.report.arrivals;
        let loud = |n: &usize| arrivals[*n].level_dbfs > SPEECH_DBFS;
        let due_before = |n: &usize| self.due(&arrivals[*n]) <= at;
        let inside = (0..arrivals.len()).filter(loud).rfind(due_before)?;
        let (mut first, mut last) = (inside, inside);
        while let Some(n) = (first.saturating_sub(PAUSE_PACKETS)..first).find(|n| loud(n)) {
            first = n;
        }
        while let Some(n) = (last + 1..arrivals.len().min(last + 1 + PAUSE_PACKETS)).rev().find(|n| loud(n)) {
            last = n;
        }
        // What fades away may be too soft to be speech.
        Some(first..arrivals.len().min(last + 2))
    }

    /// When a packet would have come, had it been as quick as the quickest of the call.
    fn due(&self, packet: &Arrival) -> u64 {
        let Some(first) = self.report.arrivals.first() else { return packet.at_us };
        let offset = |arrival: &Arrival| {
            i64::from(arrival.timestamp.wrapping_sub(first.timestamp).cast_signed()) * SAMPLE_US.cast_signed()
        };
        let transits = self.report.arrivals.iter().map(|arrival| arrival.at_us.cast_signed() - offset(arrival));
        let quickest = transits.min().unwrap_or_default();
        u64::try_from(quickest + offset(packet)).unwrap_or_default()
    }

    fn samples(&self, packet: &Arrival) -> &[i16] {
        self.report.agent.get(packet.sample..packet.sample + FRAME).unwrap_or_default()
    }

    /// An event's time in microseconds since the INVITE; both sides read the same machine's clock.
    fn on_the_callers_clock(&self, event: &Value) -> anyhow::Result<u64> {
        let at_us = event["at"]["wall_us"].as_u64().context("an event without a time")?;
        let began = self.report.began.duration_since(UNIX_EPOCH)?;
        Ok(u128::from(at_us).checked_sub(began.as_micros()).and_then(|us| u64::try_from(us).ok()).unwrap_or_default())
    }
}

/// Has every utterance of a script end with its last audible sample, at the end of a packet, so that the end of speech is
/// when that packet leaves.
pub fn end_with_sound(script: &mut Script) -> anyhow::Result<()> {
    for step in &mut script.steps {
        let (Step::Say(utterance) | Step::Interrupt { say: utterance, .. }) = step else { continue };
        let loud = |chunk: &&[i16]| {
            let power = chunk.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / chunk.len() as f64;
            power.sqrt() > 184.0
        };
        let kept = utterance.pcm.chunks(FRAME / 2).rposition(|chunk| loud(&chunk)).map_or(0, |last| last + 1);
        utterance.pcm.truncate(kept * FRAME / 2);
        ensure!(!utterance.pcm.is_empty(), "\"{}\" is silent", utterance.text);
        let first = utterance.pcm.chunks(FRAME / 2).position(|chunk| loud(&chunk)).unwrap_or(0);
        utterance.pcm.drain(..first * FRAME / 2);
        let missing = utterance.pcm.len().next_multiple_of(FRAME) - utterance.pcm.len();
        utterance.pcm.splice(..0, std::iter::repeat_n(0, missing));
    }
    Ok(())
}

/// When the caller begins to say something, in milliseconds.
fn begins(event: &trunkline_caller::Event) -> Option<u64> {
    matches!(event.what, Happened::SayStarted { .. }).then_some(event.at_ms)
}

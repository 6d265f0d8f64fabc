//! A caller and a line: what the caller says by the scene, what comes back of the agent, what signal processing makes of
//! both, tick by tick on virtual time; and the log of what was to be heard.

use anyhow::{Context as _, Result, ensure};
use trunkline_call::VoiceEdge;
use trunkline_dsp::Slot;
use trunkline_dsp::chain::{ChainConfig, DownlinkChain, DownlinkFrame, LegDsp, UplinkChain, UplinkFrame, UplinkReport};
use trunkline_dsp::codec::{UlawDecoder, ulaw_decode, ulaw_encode};
use trunkline_dsp::jitter::{JitterBuffer, JitterConfig, Packet};
use trunkline_dsp::vad::{SileroBank, SileroFrame, VadBank as _};
use trunkline_leg::{CallTime, LegFact};
use trunkline_media::{LegSound, SpeechMarks};

use crate::line::{FRAME, Line};
use crate::random::Random;
use crate::scene::{Role, Scene, When};
use crate::voices::Word;

/// Length of a tick.
pub(crate) const TICK_MS: u64 = 20;
/// From the end of a packet's sound to the tick that takes it out of the jitter buffer.
const NETWORK_MS: u64 = 20;
/// A line that nobody speaks on is not quite silent.
const FLOOR_DBFS: f64 = -70.0;
/// The published detector believes speech from the one, and goes on believing from the other; it takes so much of it to
/// interrupt or to begin a turn.
const PLAIN_ON: f32 = 0.5;
const PLAIN_OFF: f32 = 0.35;
const PLAIN_NEEDED_MS: u64 = 100;

/// Packets that are lost together on a bad network, in the mean.
const BURST: f64 = 1.5;

/// What is found in a tick.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ears {
    /// The product's chain: speech began or ended, and interrupts.
    pub(crate) edge: Option<VoiceEdge>,
    pub(crate) interrupts: bool,
    /// Whether there is speech in this tick.
    pub(crate) speech: bool,
    /// What a recogniser is given of it.
    pub(crate) heard: [i16; FRAME],
}

/// Something that was said, with its place in the call.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) role: Role,
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
    pub(crate) words: Vec<Word>,
}

/// A stretch in which an utterance of the agent's was to be heard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    pub(crate) utterance: u32,
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
}

/// What happened in a scene.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    pub(crate) said: Vec<Placed>,
    pub(crate) heard: Vec<Heard>,
    /// Utterances that were said to their end, and that were cut.
    pub(crate) finished: Vec<u32>,
    pub(crate) cut: Vec<(u32, u64)>,
    /// When a turn was taken to be over, and with which words.
    pub(crate) decided: Vec<(u64, String)>,
}

/// The caller's side and the line of a scene.
pub(crate) struct Room<'a> {
    scene: &'a Scene,
    pub(crate) line: Line,
    pub(crate) log: Log,
    tick: u64,
    uplink: UplinkChain,
    downlink: DownlinkChain,
    leg: Box<LegDsp>,
    marks: SpeechMarks,
    /// Silero's published model, where that is what is listened to.
    published: Option<(SileroBank, Slot)>,
    plain: bool,
    plain_ms: u64,
    /// The way from the caller where it loses packets: jitter buffer, and whether packets are being lost.
    network: Option<(JitterBuffer<UlawDecoder>, bool)>,
    /// What the agent has played, for its echo.
    played: Vec<i16>,
    random: Random,
    /// Utterances by their number: first sound and end.
    began: Vec<(u32, u64, Option<u64>)>,
    /// Next of the scene's sounds that has no place yet.
    next: usize,
}

impl<'a> Room<'a> {
    /// `published` listens by silero's published model, without the product's signal processing.
    pub(crate) fn new(scene: &'a Scene, published: bool) -> Result<Self> {
        let sound = LegSound::default();
        let mut uplink = UplinkChain::new(ChainConfig::new(1));
        let mut leg = Box::new(LegDsp::new(&sound.chain, 8000).context("the chain knows 8 kHz")?);
        ensure!(uplink.adopt(&mut leg), "the chain is full");
        let published = if published {
            let mut bank = SileroBank::new(1);
            let slot = bank.attach(8000).context("the bank is full")?;
            Some((bank, slot))
        } else {
            None
        };
        Ok(Self {
            scene,
            line: Line::default(),
            log: Log::default(),
            tick: 0,
            uplink,
            downlink: DownlinkChain::new(),
            leg,
            marks: SpeechMarks::new(sound.hold_ms, sound.behind_db),
            published,
            plain: false,
            plain_ms: 0,
            network: (scene.loss > 0.0).then(|| (JitterBuffer::new(UlawDecoder, JitterConfig::default()), false)),
            played: Vec::new(),
            random: Random::of(&scene.name),
            began: Vec::new(),
            next: 0,
        })
    }

    /// Time of the tick in work.
    pub(crate) const fn now(&self) -> CallTime {
        CallTime::from_ms(self.tick * TICK_MS)
    }

    /// When the caller has said everything, and the line has been silent for long; or the scene has taken too long.
    pub(crate) fn is_over(&self) -> bool {
        const SETTLED_MS: u64 = 4500;
        const MOST_MS: u64 = 60_000;
        let now = self.now().as_ms();
        let said = self.log.said.last().map_or(0, |said| said.to_ms);
        let heard = self.log.heard.last().map_or(0, |heard| heard.to_ms);
        let all = self.next == self.scene.said.len();
        (all && now > said + SETTLED_MS && now > heard + 1000) || now > MOST_MS
    }

    /// What the model answers.
    pub(crate) fn reply(&self) -> String {
        self.scene.reply.clone()
    }

    /// A turn is over.
    pub(crate) fn decided(&mut self, text: &str) {
        self.log.decided.push((self.now().as_ms(), text.to_owned()));
    }

    /// The next 20 ms: plays the agent, hears the caller. What the line tells, and what the chain found.
    pub(crate) fn step(&mut self) -> (Vec<LegFact>, Ears) {
        let now = self.now();
        let mut frame = [0; FRAME];
        let (sounds, facts) = self.line.tick(now, &mut frame);
        self.note(now.as_ms(), sounds, &facts);
        self.downlink.process(&mut [DownlinkFrame { leg: &mut self.leg, pcm: &mut frame }]);
        self.played.extend_from_slice(&frame);
        if facts.iter().any(|fact| matches!(fact, LegFact::PlaybackStarted { .. })) {
            // As the leg does.
            self.leg.rearm();
        }
        let ears = self.hear(now);
        self.tick += 1;
        (facts, ears)
    }

    fn note(&mut self, now: u64, sounds: usize, facts: &[LegFact]) {
        let utterance = self.line.position().utterance;
        if sounds > 0 {
            let to_ms = now + sounds as u64 / 8;
            match self.log.heard.last_mut() {
                Some(last) if last.utterance == utterance && last.to_ms == now => last.to_ms = to_ms,
                _ => self.log.heard.push(Heard { utterance, from_ms: now, to_ms }),
            }
        }
        for fact in facts {
            match fact {
                LegFact::PlaybackStarted { .. } => self.began.push((utterance, now, None)),
                LegFact::PlaybackFinished { .. } => self.log.finished.push(utterance),
                LegFact::PlaybackCut { .. } => self.log.cut.push((utterance, now)),
                _ => continue,
            }
            if !matches!(fact, LegFact::PlaybackStarted { .. })
                && let Some(last) = self.began.last_mut()
            {
                last.2 = Some(now);
            }
        }
        self.place(now);
    }

    /// Gives what is said next its place once what it follows has happened.
    fn place(&mut self, now: u64) {
        while let Some(said) = self.scene.said.get(self.next) {
            let nth = |utterance: u32| self.began.get(utterance as usize - 1);
            let from_ms = match said.when {
                When::After { utterance, ms } => nth(utterance).and_then(|began| began.2).map(|end| end + ms),
                When::Into { utterance, ms } => nth(utterance).map(|began| began.1 + ms),
                When::Then { ms } => self.log.said.last().map(|before| before.to_ms + ms),
            };
            let Some(from_ms) = from_ms else { return };
            let from_ms = from_ms.max(now + TICK_MS);
            let place = |word: &Word| Word {
                text: word.text.clone(),
                from_ms: from_ms + word.from_ms,
                to_ms: from_ms + word.to_ms,
            };
            let words = said.phrase.words.iter().map(place).collect();
            let to_ms = from_ms + said.phrase.pcm.len() as u64 / 8;
            self.log.said.push(Placed { role: said.role, from_ms, to_ms, words });
            self.next += 1;
        }
    }

    /// What the caller's telephone sends, behind the network.
    fn caller(&mut self) -> [i16; FRAME] {
        let floor = 32_768.0 * 10_f64.powf(FLOOR_DBFS / 20.0) * 3_f64.sqrt();
        let begin = (self.tick * TICK_MS).checked_sub(NETWORK_MS + TICK_MS);
        let mut frame = [0; FRAME];
        for (n, out) in frame.iter_mut().enumerate() {
            let mut sample = self.random.between(-floor, floor);
            if let Some(at) = begin.map(|begin| begin as usize * 8 + n) {
                for (said, placed) in self.scene.said.iter().zip(&self.log.said) {
                    let within = at.checked_sub(placed.from_ms as usize * 8);
                    sample += within.and_then(|n| said.phrase.pcm.get(n)).map_or(0.0, |s| f64::from(*s));
                }
                if !self.scene.background.is_empty() {
                    sample += f64::from(self.scene.background[at % self.scene.background.len()]);
                }
            }
            if let Some((gain, delay_ms)) = self.scene.echo {
                let heard = self.played.len() - FRAME + n;
                let back = heard.checked_sub(delay_ms as usize * 8).and_then(|at| self.played.get(at));
                sample += back.map_or(0.0, |s| f64::from(*s) * gain);
            }
            *out = ulaw_decode(ulaw_encode(sample.clamp(-32_000.0, 32_000.0) as i16));
        }
        self.over_the_network(&mut frame);
        frame
    }

    /// Loses packets as the scene wants it, in bursts (Gilbert and Elliott's model in its simple form), and conceals them.
    fn over_the_network(&mut self, frame: &mut [i16; FRAME]) {
        let Some((buffer, lost)) = &mut self.network else { return };
        let recovers = 1.0 / BURST;
        let fails = recovers * self.scene.loss / (1.0 - self.scene.loss);
        *lost = if *lost { self.random.unit() >= recovers } else { self.random.unit() < fails };
        let arrival = self.tick * TICK_MS * 1000;
        if !*lost {
            let payload = frame.map(ulaw_encode);
            buffer.insert(&Packet {
                seq: self.tick as u16,
                timestamp: (self.tick as usize * FRAME) as u32,
                arrival,
                marker: self.tick == 0,
                payload: &payload,
            });
        }
        buffer.get(arrival, frame);
    }

    fn hear(&mut self, now: CallTime) -> Ears {
        let mut pcm = self.caller();
        if let Some((bank, slot)) = &mut self.published {
            let mut asked = [SileroFrame { slot: *slot, pcm: &pcm, asked: true, probability: None }];
            bank.judge(&mut asked);
            let sure = asked[0].probability.unwrap_or(0.0);
            let goes_on = sure >= PLAIN_ON || (self.plain && sure >= PLAIN_OFF);
            self.plain_ms = if goes_on { self.plain_ms + TICK_MS } else { 0 };
            self.plain = self.plain_ms >= PLAIN_NEEDED_MS;
            return Ears { edge: None, interrupts: false, speech: self.plain, heard: pcm };
        }
        let mut heard = [0; FRAME];
        let mut batch =
            [UplinkFrame { leg: &mut self.leg, pcm: &mut pcm, raw: &mut heard, report: UplinkReport::default() }];
        self.uplink.process(&mut batch);
        let report = batch[0].report;
        let mark = self.marks.mark(&report);
        self.marks.told(&mark);
        let arrival = now.as_us().saturating_sub(self.uplink.delay_us(&self.leg));
        let ago_us = u64::from(if mark.speech { mark.onset_ms } else { mark.held_ms }) * 1000;
        let edge = VoiceEdge {
            speech: mark.speech,
            at: CallTime(arrival.saturating_sub(ago_us)),
            level_dbfs: mark.level_dbfs,
        };
        Ears {
            edge: mark.changed.then_some(edge),
            interrupts: mark.interrupts,
            speech: (report.activity.speech && !report.echo) || mark.interrupts,
            heard,
        }
    }
}

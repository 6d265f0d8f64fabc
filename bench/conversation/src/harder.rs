//! What makes real calls harder: people and music behind the caller, a mobile network, a low voice, long pauses in numbers,
//! hesitations, numbers that were asked for by their length, and sentences that begin like "mhm".

use anyhow::Result;

use crate::scene::{Role, Said, When};
use crate::scripts::{Author, BACKGROUND, HELLO, LONG, SHORT, SPEECH_DBFS, THINGS, WHICH_DAY, WHICH_NUMBER};
use crate::voices::{Phrase, Source};

/// What is behind the caller, in dB below the voice.
const BEHIND_DB: [f64; 3] = [20.0, 15.0, 12.0];
/// Somebody else in the room, in dB below the caller.
const ROOM_DB: (f64, f64) = (12.0, 20.0);
/// A low voice, in dB below what is usual.
const LOW_DB: f64 = 14.0;
/// Packets that a bad network loses.
const LOSS: f64 = 0.03;
/// What is asked for by its length, and the groups in which it is read out.
const ASKED: [(&str, &[&[usize]]); 4] = [
    ("What is your four-digit code?", &[&[4], &[2, 2], &[1, 3]]),
    ("Please tell me the six digits of your customer number.", &[&[3, 3], &[2, 2, 2], &[6]]),
    ("What is your telephone number?", &[&[3, 3, 4], &[5, 6], &[4, 3, 3]]),
    ("Could you read me the sixteen digits of the card?", &[&[4, 4, 4, 4]]),
];

impl Author<'_> {
    /// The scenes of a round.
    pub(crate) fn harder(&mut self, round: usize) -> Result<()> {
        match self.talker.source {
            Source::Flite(_) | Source::Espeak(_) => self.harder_sentences(round),
            Source::Prompts(_) => self.harder_digits(round),
            Source::Things(_) => {
                self.behind("television", 1);
                self.answered_at_length("television", WHICH_DAY, THINGS[1])?;
                self.bystander()
            }
        }
    }

    fn harder_sentences(&mut self, round: usize) -> Result<()> {
        let texts = self.texts();
        let nth = |count: usize, step: usize| (round + step) % count;
        self.behind("television", 1);
        self.answered_at_length("television", HELLO, texts.sentences[nth(6, 1)])?;
        self.behind("babble", 4);
        self.answered_at_length("babble", HELLO, texts.questions[nth(3, 2)])?;
        self.behind("music", 0);
        self.answered_at_length("music behind", HELLO, texts.sentences[nth(6, 2)])?;
        self.behind("traffic", 0);
        self.turn("traffic behind", HELLO, texts.thinking[nth(6, 3)], (400, 1500))?;
        self.second_talker(texts.sentences[nth(6, 4)])?;
        self.bystander()?;
        self.mobile(&[texts.sentences[nth(6, 5)]])?;
        self.mobile(texts.thinking[nth(6, 4)])?;
        self.low_voice(texts.sentences[nth(6, 3)], texts.interrupting[nth(4, 1)])?;
        self.turn("long hesitation", HELLO, texts.thinking[nth(6, 5)], (1200, 2200))?;
        self.turn("slow spelling", WHICH_NUMBER, texts.spelled[nth(2, 1)], (700, 1400))?;
        self.slow_digits()?;
        self.turn("begins like mhm", HELLO, &texts.begins[nth(2, 0)], (250, 700))?;
        self.turn("begins like mhm", HELLO, &texts.begins[nth(2, 1)], (250, 700))?;
        for step in 0..2 {
            let phrase = self.say(texts.going_on[nth(3, step)])?;
            self.overlap("mhm and more", Role::Interruption, phrase)?;
        }
        self.asked_by_length(round)?;
        self.asked_by_length(round + 1)
    }

    fn harder_digits(&mut self, round: usize) -> Result<()> {
        let code = self.numbers(4);
        self.behind("television", 1);
        self.answered_at_length("television", ASKED[0].0, &code)?;
        let number = self.numbers(6);
        self.behind("babble", 4);
        self.answered_at_length("babble", WHICH_NUMBER, &number)?;
        self.bystander()?;
        self.slow_digits()?;
        self.asked_by_length(round)?;
        self.asked_by_length(round + 2)
    }

    /// What the next scene has behind it: so many people, or a kind of noise.
    fn behind(&mut self, kind: &str, people: usize) {
        let dbfs = SPEECH_DBFS - *self.random.pick(&BEHIND_DB);
        let (noises, random, caller) = (self.noises, &mut self.random, self.talker.source.folder());
        let background = if people == 0 {
            noises.lasting(kind, BACKGROUND, dbfs, random).ok()
        } else {
            noises.voices(self.talker.held_out, caller, people, BACKGROUND, dbfs, random)
        };
        self.around.background = background;
    }

    /// A turn that the agent answers at length, while what is behind the caller goes on.
    fn answered_at_length(&mut self, kind: &'static str, greeting: &str, text: &str) -> Result<()> {
        let turn = Said {
            role: Role::Turn { goes_on: false },
            when: When::After { utterance: 1, ms: self.random.ms(250, 1100) },
            phrase: self.say(text)?,
        };
        let nothing = Phrase { pcm: Vec::new().into(), words: Vec::new() };
        let listens = Said { role: Role::Noise, when: When::Into { utterance: 2, ms: 500 }, phrase: nothing };
        self.scene(kind, greeting, LONG, vec![turn, listens])
    }

    /// What somebody else in the room says.
    fn other_voice(&mut self) -> Option<Phrase> {
        let dbfs = SPEECH_DBFS - self.random.between(ROOM_DB.0, ROOM_DB.1);
        let samples = self.random.ms(2500, 5000) as usize * 8;
        let caller = self.talker.source.folder();
        let pcm = self.noises.voices(self.talker.held_out, caller, 1, samples, dbfs, &mut self.random)?;
        Some(Phrase { pcm: pcm.into(), words: Vec::new() })
    }

    /// Somebody else in the room begins as soon as the caller has ended.
    fn second_talker(&mut self, text: &str) -> Result<()> {
        let Some(other) = self.other_voice() else { return Ok(()) };
        let turn = Said {
            role: Role::Turn { goes_on: false },
            when: When::After { utterance: 1, ms: self.random.ms(250, 1100) },
            phrase: self.say(text)?,
        };
        let then = Said { role: Role::Noise, when: When::Then { ms: self.random.ms(150, 600) }, phrase: other };
        self.scene("second talker", HELLO, SHORT, vec![turn, then])
    }

    /// The same while the agent speaks.
    fn bystander(&mut self) -> Result<()> {
        let Some(other) = self.other_voice() else { return Ok(()) };
        self.overlap("bystander", Role::Noise, other)
    }

    /// From a mobile telephone, over a network that loses packets.
    fn mobile(&mut self, parts: &[&str]) -> Result<()> {
        let parts = parts.iter().map(|part| self.voices.mobile(self.talker, part)).collect::<Result<Vec<_>>>()?;
        self.around.loss = LOSS;
        self.one_turn("mobile", HELLO, parts, (400, 1200))
    }

    /// A turn and an interruption in a low voice.
    fn low_voice(&mut self, text: &str, interrupting: &str) -> Result<()> {
        let turn = quieter(&self.say(text)?);
        self.one_turn("low voice", HELLO, vec![turn], (0, 1))?;
        let interrupting = quieter(&self.say(interrupting)?);
        self.overlap("low interruption", Role::Interruption, interrupting)
    }

    fn slow_digits(&mut self) -> Result<()> {
        const GROUPS: [&[usize]; 3] = [&[3, 3, 4], &[4, 4, 4, 4], &[2, 2, 3]];
        let groups = *self.random.pick(&GROUPS);
        self.grouped("slow digits", WHICH_NUMBER, groups, (800, 1500))
    }

    fn asked_by_length(&mut self, number: usize) -> Result<()> {
        let (question, groupings) = ASKED[number % ASKED.len()];
        let groups = *self.random.pick(groupings);
        self.grouped("asked by length", question, groups, (300, 1300))
    }
}

fn quieter(phrase: &Phrase) -> Phrase {
    let gain = 10_f64.powf(-LOW_DB / 20.0);
    let pcm: Vec<i16> = phrase.pcm.iter().map(|sample| (f64::from(*sample) * gain) as i16).collect();
    Phrase { pcm: pcm.into(), words: phrase.words.clone() }
}

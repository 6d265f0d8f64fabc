//! The set: which scenes there are, by a seed. Texts and talkers of one half are not in the other.

use anyhow::Result;

use crate::noises::Noises;
use crate::random::Random;
use crate::scene::{Role, Said, Scene, When};
use crate::voices::{AGENT, DIGITS, Phrase, Source, Talker, Voices};

/// Texts of one half of the set.
pub(crate) struct Texts {
    pub(crate) sentences: [&'static str; 6],
    pub(crate) questions: [&'static str; 3],
    /// Thoughts that break off where more must follow, and what follows.
    pub(crate) thinking: [&'static [&'static str]; 6],
    /// Breaks where nothing says that more follows.
    anywhere: [&'static [&'static str]; 3],
    answers: [&'static str; 4],
    days: [&'static str; 3],
    listening: [&'static str; 4],
    pub(crate) interrupting: [&'static str; 4],
    pub(crate) spelled: [&'static [&'static str]; 2],
    /// What begins like "mhm" and goes on: said while the agent speaks, and at the beginning of a turn.
    pub(crate) going_on: [&'static str; 3],
    pub(crate) begins: [[&'static str; 2]; 2],
}

const WATCHED: Texts = Texts {
    sentences: [
        "I would like to change the delivery address of my order.",
        "The parcel was due on Thursday but nobody rang the bell.",
        "They charged me twice for the same journey last week.",
        "Please cancel the subscription.",
        "My internet has been down since this morning.",
        "I have been waiting for the engineer since half past eight.",
    ],
    questions: [
        "How much does it cost to send a letter to Norway?",
        "Are you open on Sundays?",
        "Can I speak to a person?",
    ],
    thinking: [
        &["my name is", "Peter Miller"],
        &["I would like to book a table for", "six people"],
        &["I live in the street behind the church and", "the number is on the gate"],
        &["I am calling because uh", "my card was declined"],
        &["it is about the", "washing machine in the kitchen"],
        &["we need two rooms and", "um", "a cot for the baby"],
    ],
    anywhere: [
        &["we ordered three chairs", "two days ago"],
        &["I called yesterday", "about the heating"],
        &["she lives in Leeds", "near the station"],
    ],
    answers: ["yes", "no thanks", "sure", "yes please"],
    days: ["Thursday", "tomorrow", "Monday morning"],
    listening: ["mhm", "yeah", "right", "okay"],
    interrupting: [
        "no wait that is wrong",
        "stop I need the other one",
        "excuse me I have a question",
        "sorry can I say something",
    ],
    spelled: [&["M I L", "L E R"], &["K A T", "H Y"]],
    going_on: [
        "yeah but that is the wrong day",
        "okay and can you send it to me",
        "right so I need it sooner than that",
    ],
    begins: [["okay", "so I would like to book a table for Friday."], ["yeah", "I have a question about my bill."]],
};

const HELD_OUT: Texts = Texts {
    sentences: [
        "I need an appointment for my daughter next week.",
        "The water in the basement is rising.",
        "I want to return the shoes I bought on Monday.",
        "Somebody left a message on my phone yesterday.",
        "The invoice you sent me is wrong.",
        "We moved to another flat and need a new key.",
    ],
    questions: [
        "What time does the next train leave?",
        "Do you have a room for four tonight?",
        "Where can I pick up my parcel?",
    ],
    thinking: [
        &["the name is", "Susan Parker"],
        &["I want to move my appointment to", "next Friday"],
        &["the bag is black and", "it has a red handle"],
        &["I think it was um", "two weeks ago"],
        &["could you send the bill to my", "office in Dover"],
        &["there are four of us and", "uh", "a dog"],
    ],
    anywhere: [
        &["the lamp is broken", "since the move"],
        &["I paid by card", "at the counter"],
        &["he works in Bath", "behind the school"],
    ],
    answers: ["no", "yes", "correct", "no thank you"],
    days: ["Friday", "today", "Tuesday afternoon"],
    listening: ["uh huh", "I see", "yeah okay", "really"],
    interrupting: [
        "hold on that is not what I meant",
        "no I said Tuesday",
        "can you repeat that please",
        "just a moment please",
    ],
    spelled: [&["P A R", "K E R"], &["J O A", "N"]],
    going_on: ["mhm but I have already paid for it", "sure but not on a Saturday", "I see then cancel it please"],
    begins: [["right", "so what does it cost to send it back?"], ["sure", "it is about the contract from last year."]],
};

/// What people of prompts say beside digits: a day, and something that cannot wait.
const DAYS: [&str; 4] = ["today", "tomorrow", "monday", "thursday"];
const URGENT: [&str; 3] = ["urgent message", "urgent urgent", "password message"];
/// Things that ktuberling's people name, in files of these names in every language.
pub(crate) const THINGS: [&str; 8] = ["hat", "ear", "eye", "mouth", "nose", "tie", "bow", "umbrella"];
pub(crate) const HELLO: &str = "Hello, this is the service desk. What can I do for you?";
const QUESTION: &str = "Thank you for calling. Is that correct?";
pub(crate) const WHICH_DAY: &str = "We can come any day. Which day suits you?";
pub(crate) const WHICH_NUMBER: &str = "Thank you for calling. What is your number?";
pub(crate) const SHORT: &str = "All right, I have made a note of that.";
pub(crate) const LONG: &str = "We are open from nine to six on weekdays and from ten to four on Saturdays. \
    On public holidays the desk is closed, but the line is open for emergencies. \
    Parking is free behind the building, and the bus stops in front of the door.";
/// Background in dB below speech, and in how many of a hundred scenes.
const SNRS_DB: [f64; 3] = [20.0, 15.0, 10.0];
const NOISY: u64 = 35;
/// Echo of the agent, as a hands-free set sends it back: dB below, delay, in how many of a hundred scenes.
const ECHO_DB: (f64, f64) = (-32.0, -20.0);
const ECHO_MS: (u64, u64) = (60, 180);
const ECHOES: u64 = 25;
pub(crate) const SPEECH_DBFS: f64 = -26.0;
/// Samples of background, repeated.
pub(crate) const BACKGROUND: usize = 20 * 8000;

/// Makes the scenes of one talker; `rounds` of each kind.
pub(crate) fn of(talker: &Talker, rounds: usize, voices: &Voices, noises: &Noises) -> Result<Vec<Scene>> {
    let (random, scenes) = (Random::of(talker.name), Vec::new());
    let mut author = Author { talker, voices, noises, random, scenes, around: Around::default() };
    for round in 0..rounds {
        match talker.source {
            Source::Flite(_) | Source::Espeak(_) => author.synthesised(round)?,
            Source::Prompts(_) => author.recorded_prompts()?,
            Source::Things(_) => author.recorded_things()?,
        }
        author.harder(round)?;
    }
    Ok(author.scenes)
}

/// Writes the scenes of one talker.
pub(crate) struct Author<'a> {
    pub(crate) talker: &'a Talker,
    pub(crate) voices: &'a Voices,
    pub(crate) noises: &'a Noises,
    pub(crate) random: Random,
    pub(crate) scenes: Vec<Scene>,
    /// Of the next scene.
    pub(crate) around: Around,
}

/// What is chosen for a scene and not left to chance.
#[derive(Debug, Default)]
pub(crate) struct Around {
    pub(crate) background: Option<Vec<i16>>,
    pub(crate) loss: f64,
}

impl Author<'_> {
    pub(crate) const fn texts(&self) -> &'static Texts {
        if self.talker.held_out { &HELD_OUT } else { &WATCHED }
    }

    fn synthesised(&mut self, round: usize) -> Result<()> {
        let texts = self.texts();
        let nth = |count: usize| round % count;
        for step in 0..3 {
            self.turn("sentence", HELLO, &[texts.sentences[nth(3) + 3 * (step % 2)]], (0, 1))?;
        }
        self.turn("question", HELLO, &[texts.questions[nth(3)]], (0, 1))?;
        for step in 0..3 {
            self.turn("thinking", HELLO, texts.thinking[(2 * round + step) % 6], (400, 1500))?;
        }
        self.turn("pause anywhere", HELLO, texts.anywhere[nth(3)], (300, 1000))?;
        self.turn("answer", QUESTION, &[texts.answers[nth(4)]], (0, 1))?;
        self.turn("one word", WHICH_DAY, &[texts.days[nth(3)]], (0, 1))?;
        self.turn("hesitation", HELLO, &[["um", "well"][nth(2)], texts.sentences[nth(6)]], (400, 1000))?;
        self.turn("spelling", WHICH_NUMBER, texts.spelled[nth(2)], (300, 1000))?;
        self.digits()?;
        self.goes_on(texts.sentences[nth(6)], texts.sentences[(round + 3) % 6])?;
        self.overlapping_start(texts.sentences[nth(6)])?;
        let listening = self.say(texts.listening[nth(4)])?;
        self.overlap("backchannel", Role::Backchannel, listening)?;
        let listening = self.say(texts.listening[(round + 2) % 4])?;
        self.overlap("backchannel", Role::Backchannel, listening)?;
        let interrupting = self.say(texts.interrupting[nth(4)])?;
        self.overlap("interruption", Role::Interruption, interrupting)?;
        let interrupting = self.say(texts.interrupting[(round + 2) % 4])?;
        self.overlap("interruption", Role::Interruption, interrupting)?;
        self.cough()?;
        self.noise()
    }

    fn recorded_prompts(&mut self) -> Result<()> {
        self.digits()?;
        self.digits()?;
        for _ in 0..2 {
            let day = *self.random.pick(&DAYS);
            self.turn("one word", WHICH_DAY, &[day], (0, 1))?;
        }
        let urgent = *self.random.pick(&URGENT);
        let interrupting = self.say(urgent)?;
        self.overlap("interruption", Role::Interruption, interrupting)?;
        self.cough()?;
        self.noise()
    }

    fn recorded_things(&mut self) -> Result<()> {
        let mut things = |count: usize| (0..count).map(|_| *self.random.pick(&THINGS)).collect::<Vec<_>>().join(" ");
        let (one, two, three) = (things(1), things(2), things(3));
        self.turn("one word", WHICH_DAY, &[&one], (0, 1))?;
        self.turn("pause anywhere", HELLO, &[&two, &three], (300, 1000))?;
        let interrupting = self.say(&three)?;
        self.overlap("interruption", Role::Interruption, interrupting)?;
        self.cough()
    }

    pub(crate) fn say(&self, text: &str) -> Result<Phrase> {
        self.voices.say(self.talker, text)
    }

    pub(crate) fn numbers(&mut self, count: usize) -> String {
        let words =
            DIGITS.iter().find(|(language, _)| *language == self.talker.language).map_or(&DIGITS[0].1, |(_, w)| w);
        (0..count).map(|_| *self.random.pick(words)).collect::<Vec<_>>().join(" ")
    }

    /// A number in groups, as people read them out.
    fn digits(&mut self) -> Result<()> {
        const GROUPS: [&[usize]; 5] = [&[3, 3, 4], &[4, 4, 4, 4], &[3, 3], &[2, 2, 2, 2, 2], &[5, 6]];
        let groups = *self.random.pick(&GROUPS);
        self.grouped("digits", WHICH_NUMBER, groups, (300, 1200))
    }

    pub(crate) fn grouped(
        &mut self,
        kind: &'static str,
        question: &str,
        groups: &[usize],
        pauses_ms: (u64, u64),
    ) -> Result<()> {
        let mut parts = Vec::new();
        for size in groups {
            let numbers = self.numbers(*size);
            parts.push(self.say(&numbers)?);
        }
        self.one_turn(kind, question, parts, pauses_ms)
    }

    pub(crate) fn turn(
        &mut self,
        kind: &'static str,
        greeting: &str,
        parts: &[&str],
        pauses_ms: (u64, u64),
    ) -> Result<()> {
        let parts = parts.iter().map(|part| self.say(part)).collect::<Result<Vec<_>>>()?;
        self.one_turn(kind, greeting, parts, pauses_ms)
    }

    /// One turn, with a pause between its parts, when the agent has ended.
    pub(crate) fn one_turn(
        &mut self,
        kind: &'static str,
        greeting: &str,
        parts: Vec<Phrase>,
        pauses_ms: (u64, u64),
    ) -> Result<()> {
        let after = self.random.ms(250, 1100);
        let count = parts.len();
        let mut said = Vec::new();
        for (number, phrase) in parts.into_iter().enumerate() {
            let when = match number {
                0 => When::After { utterance: 1, ms: after },
                _ => When::Then { ms: self.random.ms(pauses_ms.0, pauses_ms.1) },
            };
            said.push(Said { role: Role::Turn { goes_on: number + 1 < count }, when, phrase });
        }
        self.scene(kind, greeting, SHORT, said)
    }

    /// A whole sentence, and another when the first has been taken for all there is.
    fn goes_on(&mut self, first: &str, second: &str) -> Result<()> {
        let role = Role::Turn { goes_on: false };
        let (first, second) = (self.say(first)?, self.say(second)?);
        let said = vec![
            Said { role, when: When::After { utterance: 1, ms: 400 }, phrase: first },
            Said { role, when: When::Then { ms: self.random.ms(800, 1600) }, phrase: second },
        ];
        self.scene("goes on", HELLO, SHORT, said)
    }

    /// The caller begins before the agent has ended.
    fn overlapping_start(&mut self, text: &str) -> Result<()> {
        let greeting_ms = self.voices.say(&AGENT, HELLO)?.pcm.len() as u64 / 8;
        let early = self.random.ms(150, 500);
        let when = When::Into { utterance: 1, ms: greeting_ms.saturating_sub(early) };
        let said = vec![Said { role: Role::Turn { goes_on: false }, when, phrase: self.say(text)? }];
        self.scene("overlapping start", HELLO, SHORT, said)
    }

    /// Something while the agent gives a long answer, or greets at length.
    pub(crate) fn overlap(&mut self, kind: &'static str, role: Role, phrase: Phrase) -> Result<()> {
        let ms = self.random.ms(1500, 5000);
        if self.random.chance(50) {
            let said = vec![Said { role, when: When::Into { utterance: 1, ms }, phrase }];
            return self.scene(kind, LONG, SHORT, said);
        }
        let asks = match self.talker.source {
            Source::Flite(_) | Source::Espeak(_) => self.say(self.texts().questions[1])?,
            Source::Prompts(_) => self.say("message")?,
            Source::Things(_) => self.say(THINGS[0])?,
        };
        let asks =
            Said { role: Role::Turn { goes_on: false }, when: When::After { utterance: 1, ms: 500 }, phrase: asks };
        let said = vec![asks, Said { role, when: When::Into { utterance: 2, ms }, phrase }];
        self.scene(kind, HELLO, LONG, said)
    }

    fn cough(&mut self) -> Result<()> {
        let pcm = self.noises.bang(&mut self.random);
        self.overlap("cough", Role::Noise, Phrase { pcm: pcm.into(), words: Vec::new() })
    }

    /// A stretch of noise, as when somebody opens a door to it.
    fn noise(&mut self) -> Result<()> {
        let kinds = self.noises.kinds();
        if kinds.is_empty() {
            return Ok(());
        }
        let kind = *self.random.pick(&kinds);
        let samples = self.random.ms(1500, 4000) as usize * 8;
        let pcm = self.noises.lasting(kind, samples, -32.0, &mut self.random)?;
        self.overlap("noise", Role::Noise, Phrase { pcm: pcm.into(), words: Vec::new() })
    }

    pub(crate) fn scene(&mut self, kind: &'static str, greeting: &str, reply: &str, said: Vec<Said>) -> Result<()> {
        let kinds = self.noises.kinds();
        let around = std::mem::take(&mut self.around);
        let chosen = around.background.is_some();
        let mut background = around.background.unwrap_or_default();
        if !chosen && !kinds.is_empty() && self.random.chance(NOISY) {
            let (behind, snr) = (*self.random.pick(&kinds), *self.random.pick(&SNRS_DB));
            background = self.noises.lasting(behind, BACKGROUND, SPEECH_DBFS - snr, &mut self.random)?;
        }
        let echo = self.random.chance(ECHOES).then(|| {
            (10_f64.powf(self.random.between(ECHO_DB.0, ECHO_DB.1) / 20.0), self.random.ms(ECHO_MS.0, ECHO_MS.1))
        });
        self.scenes.push(Scene {
            name: format!("{} {kind} {}", self.talker.name, self.scenes.len()),
            kind,
            held_out: self.talker.held_out,
            recorded: matches!(self.talker.source, Source::Prompts(_) | Source::Things(_)),
            language: self.talker.language,
            greeting: greeting.to_owned(),
            reply: reply.to_owned(),
            said,
            background,
            loss: around.loss,
            echo,
        });
        Ok(())
    }
}

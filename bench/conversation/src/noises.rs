//! What else is on a line: recorded noise behind a caller, and coughs, knocks and keys while the agent speaks.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use crate::random::Random;
use crate::voices::{RATE, converted};

const CITY: &str = "/usr/share/games/lincity-ng/sounds";
/// Kinds of lasting noise: where their recordings lie and how their names begin.
const KINDS: [(&str, &str, &str); 6] = [
    ("music", "/usr/share/asterisk/moh", ""),
    ("traffic", CITY, "Trafic"),
    ("crowd", CITY, "SportsCroud"),
    ("machines", CITY, "Industry"),
    ("water", CITY, "Water"),
    ("children", CITY, "School"),
];
/// People who are heard behind a caller, in one half of the set and in the other: folders of prompts, of which nobody calls in
/// the other half. The first reads on television.
const BEHIND: [[&str; 3]; 2] = [
    ["en_US_f_Allison", "it_IT_f_Menardi", "es_MX_f_Allison"],
    ["fr_CA_f_June", "it_IT_m_Carlo", "ru_RU_f_IvrvoiceRU"],
];
const PROMPTS: &str = "/usr/share/asterisk/sounds";
/// Prompts shorter than this are words, not sentences; how many of the longer ones a person reads, and the gap between them.
const SENTENCE: usize = 2 * RATE as usize;
const SENTENCES: usize = 14;
const GAP: usize = RATE as usize / 4;
/// Music under what is read on television, in dB below it.
const UNDER_DB: f64 = 10.0;
/// Sounds that are over at once.
const BANGS: [(&str, &str); 2] = [(CITY, "Build"), (CITY, "Blacksmith")];
/// Most of a recording that is read, in samples.
const MOST: usize = 60 * RATE as usize;
/// Level of a cough or knock in dBFS: as loud as speech.
const BANG_DBFS: f64 = -22.0;

/// Sound by the name of who or what makes it.
type Named = (&'static str, Arc<[i16]>);

/// Every recording of noise that is there.
#[derive(Debug)]
pub(crate) struct Noises {
    lasting: Vec<(&'static str, Arc<[i16]>)>,
    /// People behind callers of the half that is watched, and of the one that is held out.
    voices: [Vec<Named>; 2],
    bangs: Vec<Arc<[i16]>>,
}

impl Noises {
    /// Reads them. What is not installed is missing: a set without noise is made, but another.
    pub(crate) fn new() -> Result<Self> {
        let mut lasting = Vec::new();
        for (kind, folder, begins) in KINDS {
            let mut sound = Vec::new();
            for file in files(folder, begins) {
                let read = converted(&file)?;
                sound.extend_from_slice(&level(&read[..read.len().min(MOST)], -30.0));
            }
            if !sound.is_empty() {
                lasting.push((kind, sound.into()));
            }
        }
        let mut bangs = Vec::new();
        for (folder, begins) in BANGS {
            for file in files(folder, begins) {
                let read = converted(&file)?;
                let length = read.len().min(RATE as usize / 2);
                bangs.push(level(&read[..length], BANG_DBFS).into());
            }
        }
        let mut voices = [Vec::new(), Vec::new()];
        for (half, people) in voices.iter_mut().zip(BEHIND) {
            for person in people {
                let sound = reading(person)?;
                if !sound.is_empty() {
                    half.push((person, sound.into()));
                }
            }
        }
        Ok(Self { lasting, voices, bangs })
    }

    /// No recordings: coughs alone.
    pub(crate) const fn none() -> Self {
        Self { lasting: Vec::new(), voices: [Vec::new(), Vec::new()], bangs: Vec::new() }
    }

    /// The kinds of noise that last.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        self.lasting.iter().map(|(kind, _)| *kind).collect()
    }

    /// `samples` of a kind, root mean square at `dbfs`, from anywhere in it.
    pub(crate) fn lasting(&self, kind: &str, samples: usize, dbfs: f64, random: &mut Random) -> Result<Vec<i16>> {
        let (_, sound) = self.lasting.iter().find(|(known, _)| *known == kind).context("a noise that is not there")?;
        let begin = (random.next() % sound.len() as u64) as usize;
        let gain = 10_f64.powf((dbfs + 30.0) / 20.0);
        let sample = |n: usize| (f64::from(sound[(begin + n) % sound.len()]) * gain).clamp(-32_000.0, 32_000.0) as i16;
        Ok((0..samples).map(sample).collect())
    }

    /// Somebody on television, with music under it, or some people who talk at once: not `caller`, and nobody who calls in the
    /// other half. `None` where there are no recordings.
    pub(crate) fn voices(
        &self,
        half: bool,
        caller: &str,
        people: usize,
        samples: usize,
        dbfs: f64,
        random: &mut Random,
    ) -> Option<Vec<i16>> {
        let others = self.voices[usize::from(half)].iter().filter(|(person, _)| *person != caller);
        let mut mixed = vec![0.0; samples];
        let mut add = |sound: &[i16], gain: f64, random: &mut Random| {
            let begin = (random.next() % sound.len() as u64) as usize;
            for (n, sample) in mixed.iter_mut().enumerate() {
                *sample += f64::from(sound[(begin + n) % sound.len()]) * gain;
            }
        };
        let others: Vec<&Arc<[i16]>> = others.map(|(_, sound)| sound).take(people).collect();
        if others.is_empty() {
            return None;
        }
        for number in 0..people {
            add(others[number % others.len()], 1.0, random);
        }
        if let (1, Some((_, music))) = (people, self.lasting.iter().find(|(kind, _)| *kind == "music")) {
            add(music, 10_f64.powf(-UNDER_DB / 20.0), random);
        }
        let mixed: Vec<i16> = mixed.iter().map(|sample| sample.clamp(-32_000.0, 32_000.0) as i16).collect();
        Some(level(&mixed, dbfs))
    }

    /// A cough, or something that falls or is knocked.
    pub(crate) fn bang(&self, random: &mut Random) -> Vec<i16> {
        if self.bangs.is_empty() || random.chance(60) { cough(random) } else { random.pick(&self.bangs).to_vec() }
    }
}

/// One or two bursts of breath: noise that begins at once, is coloured by a throat of about 600 and 1500 Hz, and dies away.
fn cough(random: &mut Random) -> Vec<i16> {
    let mut pcm = Vec::new();
    for _ in 0..1 + random.next() % 2 {
        let length = random.ms(120, 260) as usize * RATE as usize / 1000;
        let resonances = [random.between(500.0, 700.0), random.between(1300.0, 1700.0)];
        let mut memory = [[0.0_f64; 2]; 2];
        for n in 0..length {
            let breath = random.between(-1.0, 1.0);
            let mut sample = 0.2 * breath;
            for (past, hertz) in memory.iter_mut().zip(resonances) {
                let (radius, angle) = (0.96, std::f64::consts::TAU * hertz / RATE as f64);
                let next = breath + 2.0 * radius * angle.cos() * past[0] - radius * radius * past[1];
                *past = [next, past[0]];
                sample += next;
            }
            let rise = (n as f64 / 40.0).min(1.0);
            pcm.push(
                (sample * rise * (-4.0 * n as f64 / length as f64).exp() * 1000.0).clamp(-32_000.0, 32_000.0) as i16
            );
        }
        pcm.resize(pcm.len() + random.ms(60, 160) as usize * RATE as usize / 1000, 0);
    }
    level(&pcm, BANG_DBFS)
}

/// What somebody reads: the longer of their prompts, one after the other.
fn reading(person: &str) -> Result<Vec<i16>> {
    let mut sound = Vec::new();
    let mut read = 0;
    for file in files(&format!("{PROMPTS}/{person}"), "") {
        if read == SENTENCES {
            break;
        }
        if file.metadata()?.len() >= 2 * SENTENCE as u64 {
            sound.extend_from_slice(&level(&converted(&file)?, -30.0));
            sound.resize(sound.len() + GAP, 0);
            read += 1;
        }
    }
    Ok(sound)
}

fn files(folder: &str, begins: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| name(path).starts_with(begins) && name(path).ends_with(".wav"));
    files.sort();
    files
}

/// At a level, over the whole of it.
fn level(pcm: &[i16], dbfs: f64) -> Vec<i16> {
    let power = pcm.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / pcm.len().max(1) as f64;
    let gain = 32_768.0 * 10_f64.powf(dbfs / 20.0) / power.sqrt().max(1.0);
    pcm.iter().map(|s| (f64::from(*s) * gain).clamp(-32_000.0, 32_000.0) as i16).collect()
}

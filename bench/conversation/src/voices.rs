//! Who speaks: voices of flite and espeak-ng, and people whose prompts and words Debian's packages hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, bail};
use trunkline_caller::{from_wav, spoken};

/// Samples a second, everywhere.
pub(crate) const RATE: u64 = 8000;
/// Level that speech is brought to while it is active: what telephone tests use (ITU-T P.800).
const SPEECH_DBFS: f64 = -26.0;
/// A frame belongs to speech when it is at most so much softer than the loud ones.
const ACTIVE_BELOW_DB: f64 = 35.0;
/// Samples of the frames that are looked at.
const LOOK: usize = 80;
const PROMPTS: &str = "/usr/share/asterisk/sounds";
const WORDS: &str = "/usr/share/ktuberling/sounds";

/// Where a voice comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A voice of flite.
    Flite(&'static str),
    /// A voice and variant of espeak-ng.
    Espeak(&'static str),
    /// Recorded digits and words, in a folder of prompts.
    Prompts(&'static str),
    /// Recorded names of things, in a folder of words.
    Things(&'static str),
}

impl Source {
    /// The folder of a person's prompts; of others nothing.
    pub(crate) const fn folder(self) -> &'static str {
        match self {
            Self::Prompts(folder) => folder,
            Self::Flite(_) | Self::Espeak(_) | Self::Things(_) => "",
        }
    }
}

/// Somebody who calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Talker {
    pub(crate) name: &'static str,
    pub(crate) source: Source,
    /// BCP 47.
    pub(crate) language: &'static str,
    /// Not looked at while the engine was worked on.
    pub(crate) held_out: bool,
}

/// Nobody is in both halves: the Spanish and the English prompts are the same person's.
pub(crate) const TALKERS: [Talker; 16] = [
    talker("flite rms", Source::Flite("rms"), "en", false),
    talker("flite kal", Source::Flite("kal16"), "en", false),
    talker("espeak us", Source::Espeak("en-us"), "en", false),
    talker("allison", Source::Prompts("en_US_f_Allison"), "en", false),
    talker("allison in Spanish", Source::Prompts("es_MX_f_Allison"), "es", false),
    talker("menardi", Source::Prompts("it_IT_f_Menardi"), "it", false),
    talker("things in English", Source::Things("en"), "en", false),
    talker("things in German", Source::Things("de"), "de", false),
    talker("flite awb", Source::Flite("awb"), "en", true),
    talker("espeak gb", Source::Espeak("en-gb+f3"), "en", true),
    talker("espeak scotland", Source::Espeak("en-gb-scotland+m2"), "en", true),
    talker("june", Source::Prompts("fr_CA_f_June"), "fr", true),
    talker("carlo", Source::Prompts("it_IT_m_Carlo"), "it", true),
    talker("ivrvoice", Source::Prompts("ru_RU_f_IvrvoiceRU"), "ru", true),
    talker("things in Galician", Source::Things("gl"), "gl", true),
    talker("things in Slovene", Source::Things("sl"), "sl", true),
];

const fn talker(name: &'static str, source: Source, language: &'static str, held_out: bool) -> Talker {
    Talker { name, source, language, held_out }
}

/// What the agent speaks with; nobody calls with it.
pub(crate) const AGENT: Talker = talker("agent", Source::Flite("slt"), "en", false);

/// A word and where it lies in a sound, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
}

/// Something said in one breath.
#[derive(Debug, Clone)]
pub(crate) struct Phrase {
    pub(crate) pcm: Arc<[i16]>,
    pub(crate) words: Vec<Word>,
}

/// Makes phrases, and keeps them for the next run.
#[derive(Debug)]
pub(crate) struct Voices {
    folder: PathBuf,
    known: Mutex<BTreeMap<String, Arc<[i16]>>>,
}

impl Voices {
    /// Keeps what was synthesised in `folder`.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        Ok(Self { folder: folder.to_owned(), known: Mutex::default() })
    }

    /// `text` as that talker says it. Recorded people say digits or things, a recording a word, a short gap between;
    /// their words lie where they lie. A synthesiser's phrase begins and ends where it says, its words share it by letters.
    pub(crate) fn say(&self, talker: &Talker, text: &str) -> Result<Phrase> {
        match talker.source {
            Source::Flite(_) | Source::Espeak(_) => {
                let pcm = self.kept(talker, text)?;
                Ok(Phrase { words: shared(text, pcm.len() as u64 * 1000 / RATE), pcm })
            }
            Source::Prompts(_) | Source::Things(_) => {
                const GAP_MS: usize = 80;
                let (mut pcm, mut words) = (Vec::new(), Vec::new());
                for word in text.split_whitespace() {
                    if !pcm.is_empty() {
                        pcm.resize(pcm.len() + GAP_MS * RATE as usize / 1000, 0);
                    }
                    let from_ms = pcm.len() as u64 * 1000 / RATE;
                    pcm.extend_from_slice(&self.kept(talker, word)?);
                    words.push(Word { text: word.to_owned(), from_ms, to_ms: pcm.len() as u64 * 1000 / RATE });
                }
                Ok(Phrase { pcm: pcm.into(), words })
            }
        }
    }

    /// The same as a mobile network carries it: GSM full rate (GSM 06.10), as sox codes it.
    pub(crate) fn mobile(&self, talker: &Talker, text: &str) -> Result<Phrase> {
        let phrase = self.say(talker, text)?;
        let file = self.folder.join(format!("mobile-{}-{:?}.wav", std::process::id(), std::thread::current().id()));
        write(&file, &phrase.pcm)?;
        let coded = file.with_extension("gsm");
        let done = Command::new("sox").arg(&file).arg(&coded).status().context("sox does not run")?;
        if !done.success() {
            bail!("sox cannot code {} as GSM", file.display());
        }
        let mut pcm = converted(&coded)?;
        // A codec's last frame is whole.
        pcm.truncate(phrase.pcm.len());
        Ok(Phrase { pcm: pcm.into(), words: phrase.words })
    }

    fn kept(&self, talker: &Talker, text: &str) -> Result<Arc<[i16]>> {
        let key = format!("{}: {text}", talker.name);
        let held = |known: &Mutex<BTreeMap<String, Arc<[i16]>>>| match known.lock() {
            Ok(known) => known.get(&key).cloned(),
            Err(_) => None,
        };
        if let Some(pcm) = held(&self.known) {
            return Ok(pcm);
        }
        let file = self.folder.join(format!("{key}.wav").replace(['/', '?', ':'], "_"));
        let pcm: Arc<[i16]> = if file.exists() {
            from_wav(&file)?.into()
        } else {
            let made = trimmed(&self.made(talker, text)?);
            write(&file, &made)?;
            made.into()
        };
        if let Ok(mut known) = self.known.lock() {
            known.insert(key, Arc::clone(&pcm));
        }
        Ok(pcm)
    }

    fn made(&self, talker: &Talker, text: &str) -> Result<Vec<i16>> {
        match talker.source {
            Source::Flite(voice) => Ok(spoken(voice, text)?),
            Source::Espeak(voice) => {
                let arguments = ["-v", voice, "-s", "155", "--stdout", text];
                let output = Command::new("espeak-ng").args(arguments).output();
                let output = output.context("espeak-ng does not run; install it: apt-get install espeak-ng")?;
                let file =
                    self.folder.join(format!("espeak-{}-{:?}.wav", std::process::id(), std::thread::current().id()));
                std::fs::write(&file, &output.stdout)?;
                converted(&file)
            }
            Source::Prompts(folder) => converted(&Path::new(PROMPTS).join(folder).join(prompt(text)?)),
            Source::Things(folder) => converted(&Path::new(WORDS).join(folder).join(format!("{text}.ogg"))),
        }
    }
}

/// The recording of a digit by its name in the language of the prompts, or of a word.
fn prompt(word: &str) -> Result<String> {
    if let Some((_, file)) = PROMPTED.iter().find(|(known, _)| *known == word) {
        return Ok(format!("{file}.wav"));
    }
    let place = DIGITS.iter().flat_map(|(_, words)| words.iter().enumerate()).find(|(_, known)| **known == word);
    place.map(|(digit, _)| format!("digits/{digit}.wav")).with_context(|| format!("nobody has recorded {word}"))
}

/// Words that every folder of prompts has, in English whatever is spoken, and their files.
const PROMPTED: [(&str, &str); 8] = [
    ("today", "digits/today"),
    ("tomorrow", "digits/tomorrow"),
    ("monday", "digits/day-1"),
    ("thursday", "digits/day-4"),
    ("urgent", "vm-Urgent"),
    ("family", "vm-Family"),
    ("message", "vm-message"),
    ("password", "vm-password"),
];

/// Names of the digits by language.
pub(crate) const DIGITS: [(&str, [&str; 10]); 5] = [
    ("en", ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]),
    ("es", ["cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"]),
    ("fr", ["zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf"]),
    ("it", ["zero", "uno", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove"]),
    ("ru", ["ноль", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять"]),
];

/// Any sound file as 8 kHz mono.
pub(crate) fn converted(file: &Path) -> Result<Vec<i16>> {
    let raw = ["-r", "8000", "-c", "1", "-b", "16", "-t", "raw", "-e", "signed", "-"];
    let output = Command::new("sox").arg(file).args(raw).output();
    let output = output.context("sox does not run; install it: apt-get install sox")?;
    if !output.status.success() || output.stdout.is_empty() {
        bail!("sox cannot read {}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect())
}

fn write(file: &Path, pcm: &[i16]) -> Result<()> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE as u32,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    // Another thread may be making the same one.
    let draft = file.with_extension(format!("{:?}.draft", std::thread::current().id()));
    let mut writer = hound::WavWriter::create(&draft, spec).with_context(|| draft.display().to_string())?;
    for sample in pcm {
        writer.write_sample(*sample)?;
    }
    writer.finalize()?;
    Ok(std::fs::rename(&draft, file)?)
}

/// Without the quiet at both ends, at the level of speech.
fn trimmed(pcm: &[i16]) -> Vec<i16> {
    let power = |frame: &[i16]| frame.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / frame.len() as f64;
    let powers: Vec<f64> = pcm.chunks(LOOK).map(power).collect();
    let mut sorted = powers.clone();
    sorted.sort_by(f64::total_cmp);
    let loud = sorted.get(sorted.len() * 95 / 100).copied().unwrap_or_default();
    let floor = loud * 10_f64.powf(-ACTIVE_BELOW_DB / 10.0);
    let active = || powers.iter().enumerate().filter(|(_, power)| **power > floor);
    let (Some((first, _)), Some((last, _))) = (active().next(), active().next_back()) else { return Vec::new() };
    let mean = active().map(|(_, power)| power).sum::<f64>() / active().count() as f64;
    let gain = 32_768.0 * 10_f64.powf(SPEECH_DBFS / 20.0) / mean.sqrt().max(1.0);
    let kept = &pcm[first * LOOK..((last + 1) * LOOK).min(pcm.len())];
    kept.iter().map(|s| (f64::from(*s) * gain).clamp(-32_000.0, 32_000.0) as i16).collect()
}

/// Words that share `ms` by their letters.
fn shared(text: &str, ms: u64) -> Vec<Word> {
    let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let words: Vec<String> = text.split_whitespace().map(bare).filter(|word| !word.is_empty()).collect();
    let weight = |word: &String| word.chars().count() as u64 + 1;
    let whole = words.iter().map(weight).sum::<u64>().max(1);
    let mut before = 0;
    let place = |word: String| {
        let from_ms = ms * before / whole;
        before += weight(&word);
        Word { text: word, from_ms, to_ms: ms * before / whole }
    };
    words.into_iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_share_a_phrase_from_its_first_sample_to_its_last() {
        let words = shared("My name is, uh", 1400);
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(texts, ["my", "name", "is", "uh"]);
        assert_eq!((words[0].from_ms, words[3].to_ms), (0, 1400));
        assert!(words.windows(2).all(|pair| pair[0].to_ms == pair[1].from_ms && pair[0].from_ms < pair[0].to_ms));
    }

    #[test]
    fn nobody_is_in_both_halves_of_the_set() {
        let half = |held_out| TALKERS.iter().filter(move |talker| talker.held_out == held_out).count();
        assert_eq!(half(true), half(false));
        assert!(TALKERS.iter().all(|talker| talker.source != AGENT.source));
    }

    #[test]
    fn speech_is_cut_to_its_sound_and_brought_to_its_level() {
        let mut pcm = vec![0; 4000];
        pcm.extend((0..8000).map(|n| ((f64::from(n) * 0.3).sin() * 9000.0) as i16));
        pcm.extend(vec![0; 4000]);
        let kept = trimmed(&pcm);
        assert_eq!(kept.len(), 8000);
        let power = kept.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / kept.len() as f64;
        assert!((20.0 * (power.sqrt() / 32_768.0).log10() - SPEECH_DBFS).abs() < 0.2);
    }
}

//! The recordings behind the README's figures: synthetic speech through telephone quality, what is said beside each.

use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// flite's two voices of recorded quality.
pub const VOICES: [&str; 2] = ["slt", "rms"];
/// Speaking rates (flite's `duration_stretch`) and gains in dB, taken in turn.
const RATES: [&str; 4] = ["0.9", "1.0", "1.0", "1.15"];
const GAINS: [&str; 3] = ["0", "-6", "-10"];
const DIGITS: [&str; 11] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "oh"];
const COMMANDS: [&str; 16] = [
    "yes", "no", "help", "operator", "agent", "balance", "billing", "sales", "support", "repeat", "stop", "cancel",
    "continue", "goodbye", "hello", "transfer",
];
const BEFORE_NUMBERS: [&str; 5] = ["my number is", "the code is", "account number", "it is", "my account number is"];
const BEFORE_COMMANDS: [&str; 3] = ["i want", "i need", "i would like"];
const OTHER_ANSWERS: [&str; 3] = ["yes please", "no thank you", "thank you"];
/// What people say that the built-in grammar does not know.
pub const OUTSIDE: [&str; 15] = [
    "the weather in london is quite rainy today",
    "i had a sandwich for lunch",
    "could you tell me about your opening hours",
    "purple elephants dance",
    "uh",
    "mhm",
    "what",
    "banana",
    "my cat climbed the tree yesterday",
    "is there anybody listening",
    "tomorrow morning at the station",
    "perhaps",
    "hmm let me think about it",
    "where",
    "they went to the museum",
];
/// What sox makes instead of speech.
const NOISES: [&str; 5] = [
    "synth 2 whitenoise vol 0.05",
    "synth 2 pinknoise vol 0.2",
    "synth 2 sine 440 vol 0.3",
    "synth 1 sine 697 vol 0.2",
    "trim 0 2",
];

/// Speaks every line into `folder` and writes `list.tsv` there, as `measure` reads it; `seed` picks the digits.
pub fn make(folder: &Path, seed: u64) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let mut list = String::new();
    let mut turn = 0;
    let inside = lines(seed);
    for voice in VOICES {
        let known = inside.iter().map(|line| (voice, line.as_str(), line.as_str()));
        let unknown = OUTSIDE.iter().map(|line| ("outside", *line, ""));
        for (group, line, said) in known.chain(unknown) {
            let file = folder.join(format!("{voice}-{turn:04}.wav"));
            telephone(&file, voice, line, RATES[turn % RATES.len()], GAINS[turn % GAINS.len()])?;
            writeln!(list, "{group}\t{}\t{said}", file.display())?;
            turn += 1;
        }
    }
    for (index, noise) in NOISES.iter().enumerate() {
        let file = folder.join(format!("noise-{index}.wav"));
        run(Command::new("sox")
            .args(["-R", "-n", "-r", "8000", "-b", "16", "-c", "1"])
            .arg(&file)
            .args(noise.split(' ')))?;
        writeln!(list, "noise\t{}\t", file.display())?;
    }
    std::fs::write(folder.join("list.tsv"), list)?;
    Ok(())
}

/// Speech in `voice` through 8 kHz mu-law, with silence around it, as 16-bit samples.
pub fn telephone(file: &Path, voice: &str, line: &str, rate: &str, gain: &str) -> Result<()> {
    let (spoken, coded) = (file.with_extension("spoken.wav"), file.with_extension("coded.wav"));
    let stretch = format!("duration_stretch={rate}");
    run(Command::new("flite").args(["-voice", voice, "--setf", &stretch, "-t", line, "-o"]).arg(&spoken))?;
    run(Command::new("sox")
        .arg("-R")
        .arg(&spoken)
        .args(["-r", "8000", "-c", "1", "-e", "mu-law", "-b", "8"])
        .arg(&coded)
        .args(["gain", gain, "pad", "0.3", "0.5"]))?;
    run(Command::new("sox").arg("-R").arg(&coded).args(["-e", "signed", "-b", "16"]).arg(file))?;
    std::fs::remove_file(spoken)?;
    std::fs::remove_file(coded)?;
    Ok(())
}

fn lines(seed: u64) -> Vec<String> {
    let mut state = seed | 1;
    let mut pick = |from: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or(0) % from
    };
    let mut digits = |count: usize| (0..count).map(|_| DIGITS[pick(DIGITS.len())]).collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = COMMANDS.iter().map(|&c| c.to_owned()).collect();
    for _ in 0..3 {
        lines.extend([1, 1, 2, 3, 4, 4, 4, 4, 5, 6, 6, 6].map(&mut digits));
    }
    for _ in 0..2 {
        lines.extend(BEFORE_NUMBERS.map(|b| format!("{b} {}", digits(4))));
    }
    for (index, before) in BEFORE_COMMANDS.iter().enumerate() {
        lines.push(format!("{before} {}", COMMANDS[2 + index * 3]));
        lines.push(format!("{} please", COMMANDS[5 + index * 2]));
    }
    lines.extend(OTHER_ANSWERS.map(str::to_owned));
    lines
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("run {command:?}; apt-get install flite sox"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

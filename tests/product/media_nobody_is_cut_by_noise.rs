//! An agent that speaks on and on is cut by nobody who only has a noisy room: recorded music, crowds, traffic, sirens,
//! animals and machines, ten minutes of each, in a call each; and whoever speaks up is let speak.

use std::path::PathBuf;
use std::process::Command;
use std::thread;

use trunkline_caller::spoken;
use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::line::{Line, silence};
use trunkline_tests::{capture, objects};

/// Kinds of noise by what the files of Debian's packages are called.
const KINDS: [(&str, &str, &str); 11] = [
    ("music", "/usr/share/asterisk/moh", ""),
    ("crowd", CITY, "SportsCroud"),
    ("children", CITY, "School"),
    ("traffic", CITY, "Trafic"),
    ("train", CITY, "RailTrain"),
    ("siren", CITY, "FireStation"),
    ("animals", CITY, "Farm"),
    ("birds", CITY, "Green"),
    ("machines", CITY, "Industry"),
    ("building", CITY, "Raze"),
    ("water", CITY, "Water"),
];
const CITY: &str = "/usr/share/games/lincity-ng/sounds";
/// Root mean square of the noise: -30 dBFS.
const LOUD: f64 = 1036.0;
/// What the agent says in each call takes longer than the call.
const CALLS: usize = 10;
const FRAMES: usize = 50 * 60;
/// At most one in two minutes.
const MOST_CUTS: u64 = CALLS as u64 / 2;
/// Frames after which a line on which the agent speaks is not silent any more: it breathes between sentences.
const BREATH: usize = 75;
/// Frames from a caller's first sound until the agent has stopped: the decision, and the way there and back.
const SILENT_BY: usize = 30;
/// Frames of the line's own delay and of the greeting's synthesis.
const BEGIN: usize = 100;

/// The files of a kind as one sound at 8 kHz.
fn noise(folder: &str, begins: &str) -> Vec<i16> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    files.retain(|path| name(path).starts_with(begins) && name(path).ends_with(".wav"));
    files.sort();
    assert!(!files.is_empty(), "no {begins}*.wav in {folder}");
    let mut sound = Vec::new();
    for file in files {
        let raw = ["-r", "8000", "-c", "1", "-b", "16", "-t", "raw", "-e", "signed", "-"];
        let output = Command::new("sox").arg(file).args(raw).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        sound.extend(output.stdout.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
    }
    let power = sound.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / sound.len() as f64;
    sound.iter().map(|sample| (f64::from(*sample) * LOUD / power.sqrt()).clamp(-32_000.0, 32_000.0) as i16).collect()
}

/// An agent that reads out a long text, and stops for good when somebody speaks up.
fn gateway(scratch: &std::path::Path) -> Gateway {
    let text = "This is a long announcement, and whoever calls may listen to it for as long as the line is open. ";
    let mut agent = objects::offline_agent(&text.repeat(14));
    agent["interruption"] = serde_json::json!({ "mode": "abort" });
    Gateway::standalone(scratch, &objects::answering(&agent).unwrap(), Options::default()).unwrap()
}

/// Frames of 20 ms in which the agent says nothing, one after another: where the longest such stretch behind `from` begins,
/// and how long it is. What a noise is turned down by is not silence.
fn longest_silence(heard: &[u8], from: usize) -> (usize, usize) {
    let (mut longest, mut begun) = ((from, 0), None);
    for (n, frame) in heard.chunks(160).enumerate().skip(from) {
        // Codes of PCMU count down from loud to silent in either half.
        if frame.iter().any(|code| code & 0x7f < 0x60) {
            begun = None;
            continue;
        }
        let first = *begun.get_or_insert(n);
        if n + 1 - first > longest.1 {
            longest = (first, n + 1 - first);
        }
    }
    longest
}

/// A kind, how often it cut and turned the agent down, and the longest silence of each call.
type Outcome = (&'static str, u64, u64, Vec<(usize, usize)>);

/// What a gateway has counted of interruptions.
fn counted(gateway: &Gateway, what: &str) -> u64 {
    let series = format!("trunkline_media_interruptions_{what}_total ");
    let page = gateway.metrics().unwrap();
    page.lines()
        .find_map(|line| line.strip_prefix(&series)?.parse().ok())
        .unwrap_or_else(|| panic!("{series} in {page}"))
}

#[test]
#[ignore = "slow: ten minutes of each noise"]
fn noise_alone_cuts_nobody_off() {
    let cut: Vec<Outcome> = thread::scope(|scope| {
        let calls = KINDS.map(|(kind, folder, begins)| {
            scope.spawn(move || {
                let scratch = tempfile::tempdir().unwrap();
                let (gateway, sound) = (gateway(scratch.path()), noise(folder, begins));
                let (mut at, mut silent) = (0, Vec::new());
                for call in 0..CALLS {
                    let mut line = Line::open(gateway.sip(), "1000", 0x4e00 + call as u64).unwrap();
                    let from = at;
                    let say = |frame: usize| -> Vec<u8> {
                        let sample = |n: usize| sound[(from + frame * 160 + n) % sound.len()];
                        (0..160).map(|n| capture::to_ulaw(sample(n))).collect()
                    };
                    let heard = line.talk(FRAMES, say, |_, _| Ok(())).unwrap();
                    at += FRAMES * 160;
                    line.hang_up().unwrap();
                    silent.push(longest_silence(&heard, BEGIN));
                }
                (kind, counted(&gateway, "confirmed"), counted(&gateway, "suspected"), silent)
            })
        });
        calls.map(|call| call.join().unwrap()).into()
    });
    println!("kind, cut, turned down, and the longest silence of each call in {CALLS} minutes: {cut:#?}");
    let too_often: Vec<_> = cut.iter().filter(|(_, confirmed, ..)| *confirmed > MOST_CUTS).collect();
    assert!(too_often.is_empty(), "{too_often:?} of {cut:?}");
    // Whom nobody had cut the agent never stopped speaking to.
    for (kind, confirmed, _, silent) in &cut {
        let stopped = silent.iter().filter(|(_, frames)| *frames > BREATH).count();
        assert!(stopped as u64 <= *confirmed, "{kind}: {stopped} of {CALLS} calls fell silent, {confirmed} cut");
    }
}

#[test]
fn a_voice_cuts_the_agent_off_and_a_quiet_caller_does_not() {
    let scratch = tempfile::tempdir().unwrap();
    let gateway = gateway(scratch.path());
    let words = spoken("rms", "Excuse me, I have a question about my last bill.").unwrap();
    let mut line = Line::open(gateway.sip(), "1000", 0x4eff).unwrap();
    let before = line.talk(200, |_| silence(), |_, _| Ok(())).unwrap();
    assert_eq!((counted(&gateway, "suspected"), counted(&gateway, "confirmed")), (0, 0));
    let (at, frames) = longest_silence(&before, BEGIN);
    assert!(frames <= BREATH, "the agent fell silent for {frames} frames at {at} before anybody spoke");
    let say = |frame: usize| -> Vec<u8> {
        (0..160).map(|n| capture::to_ulaw(words.get(frame * 160 + n).copied().unwrap_or_default())).collect()
    };
    let after = line.talk(words.len() / 160, say, |_, _| Ok(())).unwrap();
    assert_eq!(counted(&gateway, "confirmed"), 1);
    let (at, frames) = longest_silence(&after, 0);
    let spoken = after.len() / 160;
    assert!(at < SILENT_BY && at + frames == spoken, "silent for {frames} of {spoken} frames, from frame {at} on");
    line.hang_up().unwrap();
}

//! Reads off a caller's recording what the voice of tones (`instant-tts`) said: each word is a tone, as high as its first
//! letter is far down the alphabet.

use std::f64::consts::TAU;

/// Samples a second.
const RATE: usize = 8000;
/// Samples that are looked at together, and how far the look moves: the end of a word is found to within half a move.
const WINDOW: usize = 160;
const HOP: usize = 40;
/// The voice's own figures.
const LOWEST_HZ: f64 = 400.0;
const STEP_HZ: f64 = 100.0;
const LETTERS: u8 = 26;
/// A window whose root mean square is below this is silence: -45 dBFS, far below the voice also when it is turned down.
const SILENT: f64 = 184.0;
/// A sample beyond this is audible: a telephone's least step is eight.
pub const AUDIBLE: i16 = 64;
/// What is shorter than this is the blur between two words.
const SHORTEST_MS: u32 = 30;

/// A word that was heard, or as much of it as was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tone {
    /// The letter it begins with, in lower case.
    pub letter: char,
    /// How long it was heard, in milliseconds.
    pub ms: u32,
}

/// The tones in a sound of 8 kHz, in their order.
#[must_use]
pub fn tones(sound: &[i16]) -> Vec<Tone> {
    let mut found: Vec<(Option<char>, usize)> = Vec::new();
    for begin in (0..sound.len()).step_by(HOP) {
        // The hop is in the middle of what it is judged by.
        let from = begin.saturating_sub((WINDOW - HOP) / 2);
        let letter = letter(&sound[from..sound.len().min(from + WINDOW)]);
        match found.last_mut() {
            Some((last, hops)) if *last == letter => *hops += 1,
            _ => found.push((letter, 1)),
        }
    }
    let ms = |hops: usize| u32::try_from(hops * HOP * 1000 / RATE).unwrap_or(u32::MAX);
    let heard = found.into_iter().filter_map(|(letter, hops)| Some(Tone { letter: letter?, ms: ms(hops) }));
    heard.filter(|tone| tone.ms >= SHORTEST_MS).collect()
}

/// The first letters of a text's words.
#[must_use]
pub fn initials(text: &str) -> String {
    text.split_whitespace()
        .filter_map(|word| word.chars().find(|c| c.is_alphanumeric()))
        .map(|first| first.to_ascii_lowercase())
        .collect()
}

/// The letter whose tone is the loudest.
fn letter(window: &[i16]) -> Option<char> {
    let power = window.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / window.len().max(1) as f64;
    if power.sqrt() < SILENT {
        return None;
    }
    let loudest = (0..LETTERS).max_by(|a, b| {
        let [a, b] = [a, b].map(|letter| goertzel(window, LOWEST_HZ + STEP_HZ * f64::from(*letter)));
        a.total_cmp(&b)
    })?;
    Some(char::from(b'a' + loudest))
}

/// The power at a frequency.
fn goertzel(window: &[i16], hertz: f64) -> f64 {
    let coefficient = 2.0 * (TAU * hertz / RATE as f64).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for (n, sample) in window.iter().enumerate() {
        let hann = 0.5 - 0.5 * (TAU * n as f64 / window.len() as f64).cos();
        (before, last) = (last, f64::from(*sample) * hann + coefficient * last - before);
    }
    before * before + last * last - coefficient * before * last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(letter: char, ms: usize) -> Vec<i16> {
        let hertz = LOWEST_HZ + STEP_HZ * f64::from(letter as u8 - b'a');
        let at = |n: usize| (TAU * hertz * n as f64 / RATE as f64).sin() * 8000.0;
        (0..ms * RATE / 1000).map(|n| at(n) as i16).collect()
    }

    #[test]
    fn words_are_told_apart_and_measured_to_within_a_look() {
        let sound = [tone('a', 200), tone('b', 200), vec![0; 4000], tone('z', 95)].concat();
        let heard = tones(&sound);
        assert_eq!(heard.iter().map(|tone| tone.letter).collect::<String>(), "abz");
        for (tone, ms) in heard.iter().zip([200, 200, 95]) {
            assert!(tone.ms.abs_diff(ms) <= 10, "{heard:?}");
        }
        assert_eq!(tones(&[0; 8000]), []);
        assert_eq!(initials("Alpha, bravo -- 'Charlie'!"), "abc");
    }
}

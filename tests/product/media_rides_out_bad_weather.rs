//! Through a network that loses, delays, overtakes and doubles packets, from a seed: what comes back of a steady tone
//! is a steady tone whose crackles last no longer than one concealed frame, and what comes back of speech comes in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline_caller::spoken;
use trunkline_load::{Figures, Generator, Plan, Sound, Weather, quantile};
use trunkline_tests::{capture, echo};

/// A day that a call should survive without its people noticing much: isolated losses, packets that wander by two
/// frames, a few that overtake and a few that come twice.
const BAD: Weather = Weather { loss: 0.03, burst: 1.0, jitter_ms: 40.0, reorder: 0.01, duplicate: 0.01 };
/// The same with nothing in it that takes two packets in a row: one that is overtaken may come too late beside one that
/// is lost.
const BAD_FOR_A_FRAME: Weather = Weather { reorder: 0.0, ..BAD };
const CALLS: usize = 8;
/// A pause of the machine longer than this changes what a jitter buffer aims for.
const A_FRAME_MS: f64 = 20.0;
const LASTING: Duration = Duration::from_secs(20);

const TONE_HZ: u32 = 450;
const TONE_PEAK: i16 = 8000;
/// A window of the tone, and the step to the next one, in samples.
const WINDOW: usize = 40;
const STEP: usize = 20;
/// Sound until the jitter buffer has found its depth, in samples: six seconds.
const SETTLING: usize = 48_000;
/// One concealed frame and the windows that it reaches into, in samples.
const CONCEALED: f64 = (160 + 2 * WINDOW) as f64;
/// Share of the crackles that are no longer. A call has a loss in most seconds, so that whatever makes more of a loss
/// than a frame shows in most crackles; a machine that is busy elsewhere for a moment, in a few.
const MOST: f64 = 0.9;

fn call(sound: Sound, weather: Option<Weather>) -> Figures {
    let scratch = tempfile::tempdir().unwrap();
    let mut gateway = echo::gateway(scratch.path(), echo::options(scratch.path(), CALLS).unwrap()).unwrap();
    let mut plan = Plan::new(gateway.sip(), CALLS, Arc::new(sound));
    (plan.weather, plan.keep_sound, plan.seed) = (weather, true, 20);
    let generator = Generator::start(plan).unwrap();
    generator.await_up(Duration::from_secs(20)).unwrap();
    generator.measure(true);
    let end = Instant::now() + LASTING;
    while Instant::now() < end {
        std::thread::park_timeout(end.saturating_duration_since(Instant::now()));
    }
    let figures = generator.finish().unwrap();
    assert_eq!(figures.calls_failed(), 0, "{}", figures.why_failed());
    println!(
        "the machine stood still for {:.0} ms, {:.0} ms in all",
        figures.pauses.longest_ms(),
        figures.pauses.total_ms()
    );
    assert_eq!(figures.lost, 0);
    let forgiven = figures.forgiven(CALLS);
    assert!(
        figures.skipped <= forgiven,
        "{} frames: the gateway keeps its own clock whatever the weather",
        figures.skipped
    );
    gateway.stop().unwrap();
    figures
}

/// How much of a window is not the tone, 0..=1; a window without sound is none of it.
fn strange(window: &[f64]) -> f64 {
    let turn = f64::from(TONE_HZ) / 8000.0 * std::f64::consts::TAU;
    let (mut ss, mut cc, mut sc, mut xs, mut xc, mut xx) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for (n, x) in window.iter().enumerate() {
        let (s, c) = (n as f64 * turn).sin_cos();
        (ss, cc, sc) = (ss + s * s, cc + c * c, sc + s * c);
        (xs, xc, xx) = (xs + x * s, xc + x * c, xx + x * x);
    }
    let full = window.len() as f64 * f64::from(TONE_PEAK).powi(2) / 2.0;
    if xx < full / 8.0 {
        return 1.0;
    }
    // The best fit of a sine of any phase and size, by least squares.
    let determinant = ss * cc - sc * sc;
    let (a, b) = ((xs * cc - xc * sc) / determinant, (xc * ss - xs * sc) / determinant);
    (1.0 - (a * xs + b * xc) / xx).max(0.0)
}

/// What of some sound is not the tone.
#[derive(Default)]
struct Crackle {
    /// Stretches of it, in samples.
    stretches: Vec<f64>,
    broken: u32,
    windows: u32,
}

impl Crackle {
    fn listen(&mut self, sound: &[u8]) {
        let samples: Vec<f64> = sound.iter().map(|code| f64::from(capture::from_ulaw(*code))).collect();
        let end = samples.len().saturating_sub(4000);
        let mut run = 0;
        for at in (SETTLING.min(end)..end).step_by(STEP) {
            self.windows += 1;
            if strange(&samples[at..at + WINDOW]) > 0.05 {
                (run, self.broken) = (if run == 0 { WINDOW } else { run + STEP }, self.broken + 1);
            } else if run > 0 {
                self.stretches.push(run as f64);
                run = 0;
            }
        }
    }

    /// Of all that was heard.
    fn share(&self) -> f64 {
        f64::from(self.broken) / f64::from(self.windows.max(1))
    }
}

#[test]
#[ignore = "alone: delays and crackles"]
fn a_steady_tone_crackles_no_longer_than_one_concealed_frame() {
    let figures = call(Sound::tone(TONE_HZ, TONE_PEAK), Some(BAD_FOR_A_FRAME));
    assert_eq!(figures.heard.len(), CALLS);
    let lost = figures.shaped_away as f64 / (figures.sent + figures.shaped_away) as f64;
    assert!((0.02..0.04).contains(&lost), "the weather lost {lost}");
    let mut crackle = Crackle::default();
    for (number, sound) in figures.heard.iter().enumerate() {
        assert!(sound.len() > 8000 * 18, "call {number} gave back {} samples", sound.len());
        crackle.listen(sound);
    }
    let [most, longest] = [MOST, 1.0].map(|share| quantile(&crackle.stretches, share));
    let (count, share) = (crackle.stretches.len(), crackle.share());
    println!(
        "{count} crackles, {:.1} ms (p90), {:.1} ms at most, {:.2} % in all",
        most / 8.0,
        longest / 8.0,
        share * 100.0
    );
    assert!(most <= CONCEALED, "{most} samples of crackle (p90), one concealed frame makes {CONCEALED}");
    assert!(share <= 0.05, "{share} of the tone is none");
}

#[test]
#[ignore = "alone: delays and crackles"]
fn speech_comes_back_whole_and_in_time() {
    let words = ["Good morning, I would like to change an order.", "Could you please repeat the number for me?"];
    let speech = || Sound::speech(&words.map(|words| spoken("slt", words).unwrap())).unwrap();
    let (clear, bad) = (call(speech(), None), call(speech(), Some(BAD)));
    let shown = |figures: &Figures| {
        let [half, most] = [0.5, 0.95].map(|share| quantile(&figures.delay_ms, share));
        println!("{half:.1} ms (p50), {most:.1} ms (p95), {} of {} marks", figures.marks_heard, figures.marks);
        (half, most)
    };
    let ((clear_half, _), (bad_half, bad_most)) = (shown(&clear), shown(&bad));
    let (reported, duplicate) = (clear.reported_lost, clear.duplicate);
    assert!(reported <= clear.forgiven(CALLS) && duplicate == 0, "{reported} lost, {duplicate} twice");
    // A machine that goes away is weather, too, and the jitter buffer follows it: then nothing is known of the delay in
    // the weather that was ordered.
    let calm = [&clear, &bad].iter().all(|figures| figures.pauses.longest_ms() < A_FRAME_MS);
    if calm {
        // Two waits for a tick, one for the jitter buffer, none for anything else.
        assert!(clear_half < 80.0, "{clear_half} ms in clear weather");
        // The wandering itself, and a frame for being sure of it.
        assert!(bad_half < clear_half + 70.0, "{bad_half} ms in bad weather, {clear_half} ms in clear");
        assert!(bad_most < clear_half + 150.0, "{bad_most} ms in bad weather, {clear_half} ms in clear");
    }
    // A mark is lost with its first packet, or found a little later.
    let of_ten = if calm { 9 } else { 7 };
    assert!(bad.marks_heard * 10 >= bad.marks * of_ten, "{} of {} marks came back", bad.marks_heard, bad.marks);
}

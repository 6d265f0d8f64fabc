//! A leg's chain: alone or among others it is the same, echo is no interruption, and odd frames harm nobody.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod tone_signals;

use tone_signals::{Rng, add, noise, speech};
use trunkline_dsp::chain::{
    ChainConfig, Denoiser, DownlinkChain, DownlinkFrame, LegDsp, Shedding, Sound, UplinkChain, UplinkFrame,
    UplinkReport,
};
use trunkline_dsp::echo::{BargeInConfig, Interruption};
use trunkline_dsp::gain::AgcConfig;
use trunkline_dsp::gate::GateConfig;
use trunkline_dsp::level::rms_dbfs;
use trunkline_dsp::to_i16;
use trunkline_dsp::vad::VadConfig;

const FRAME: usize = 160;
const DENOISERS: [Denoiser; 4] = [Denoiser::Off, Denoiser::Economy, Denoiser::Lanes, Denoiser::Reference];

fn quantised(pcm: &[f32]) -> Vec<i16> {
    pcm.iter().map(|sample| to_i16(*sample)).collect()
}

fn chain(slots: usize) -> UplinkChain {
    UplinkChain::new(ChainConfig::new(slots))
}

/// A leg of a chain.
fn join(uplink: &mut UplinkChain, sound: &Sound, rate: u32) -> LegDsp {
    let mut leg = LegDsp::new(sound, rate).unwrap();
    assert!(uplink.adopt(&mut leg));
    leg
}

/// One tick of one leg.
fn tick(uplink: &mut UplinkChain, leg: &mut LegDsp, said: &mut [i16], heard: &mut [i16]) -> UplinkReport {
    tick_raw(uplink, leg, said, heard, &mut [])
}

/// The same with the raw sound.
fn tick_raw(
    uplink: &mut UplinkChain,
    leg: &mut LegDsp,
    said: &mut [i16],
    heard: &mut [i16],
    raw: &mut [i16],
) -> UplinkReport {
    DownlinkChain::new().process(&mut [DownlinkFrame { leg, pcm: said }]);
    let mut batch = [UplinkFrame { leg, pcm: heard, raw, report: UplinkReport::default() }];
    uplink.process(&mut batch);
    batch[0].report
}

#[test]
fn a_leg_sounds_the_same_alone_and_among_others() {
    for denoiser in DENOISERS {
        let wanted_sound = Sound { denoiser, ..Sound::default() };
        let (mut alone, mut crowd) = (chain(1), chain(21));
        let mut single = join(&mut alone, &wanted_sound, 8000);
        // Its neighbours have engines of their own.
        let mut legs: Vec<LegDsp> = (0..21)
            .map(|leg| {
                let own = Sound { denoiser: DENOISERS[leg % 3], ..Sound::default() };
                join(&mut crowd, if leg == 17 { &wanted_sound } else { &own }, 8000)
            })
            .collect();
        let mut sound = speech(2 * 8000, 8000, 0.9, 5);
        add(&mut sound, &noise(-40.0, 2 * 8000, 6));
        let sound = quantised(&sound);
        for (n, frame) in sound.chunks_exact(FRAME).enumerate() {
            let mut wanted = frame.to_vec();
            let report = tick(&mut alone, &mut single, &mut [], &mut wanted);
            let mut frames: Vec<Vec<i16>> =
                (0..21).map(|leg| if leg == 17 { frame.to_vec() } else { vec![(leg * n) as i16; FRAME] }).collect();
            let mut batch: Vec<_> = legs
                .iter_mut()
                .zip(&mut frames)
                .map(|(leg, pcm)| UplinkFrame { leg, pcm, raw: &mut [], report: UplinkReport::default() })
                .collect();
            crowd.process(&mut batch);
            assert_eq!(batch[17].report, report, "{denoiser:?}, frame {n}");
            assert_eq!(frames[17], wanted, "{denoiser:?}, frame {n}");
        }
    }
}

#[test]
fn the_agents_echo_interrupts_nobody_and_a_caller_does() {
    let mut uplink = chain(1);
    let mut leg = join(&mut uplink, &Sound::default(), 8000);
    let seconds = 40;
    let agent = speech(seconds * 8000, 8000, 0.9, 21);
    // The echo comes 120 ms later, 12 dB down, over a quiet line.
    let mut line = noise(-65.0, seconds * 8000, 22);
    for (n, sample) in agent.iter().enumerate() {
        if let Some(later) = line.get_mut(n + 960) {
            *later += sample * 0.25;
        }
    }
    // The caller speaks once the half is over.
    let begins = seconds / 2 * 8000;
    let caller = speech(seconds / 2 * 8000, 8000, 1.3, 77);
    add(&mut line[begins..], &caller);
    let first_word = begins + caller.iter().position(|sample| sample.abs() > 0.02).unwrap();
    let (agent, line) = (quantised(&agent), quantised(&line));
    let mut interruptions = Vec::new();
    for (n, (said, heard)) in agent.chunks_exact(FRAME).zip(line.chunks_exact(FRAME)).enumerate() {
        let (mut said, mut heard) = (said.to_vec(), heard.to_vec());
        if tick(&mut uplink, &mut leg, &mut said, &mut heard).interruption == Some(Interruption::Confirmed) {
            interruptions.push((n + 1) * FRAME);
        }
    }
    let early: Vec<_> = interruptions.iter().filter(|at| **at <= begins).collect();
    assert!(early.is_empty(), "echo interrupted at samples {early:?}");
    let first = *interruptions.first().expect("the caller was not noticed");
    assert!(first - first_word <= 8000 * 3 / 10, "noticed {} ms after the first word", (first - first_word) / 8);
    assert!(leg.echo_delay_ms().unwrap().abs_diff(120) <= 20);
}

#[test]
fn a_full_chain_takes_nobody_in_until_a_leg_leaves() {
    let (mut uplink, sound) = (chain(2), Sound::default());
    assert!(LegDsp::new(&sound, 44_100).is_err() && LegDsp::new(&sound, 48_000).is_err());
    let mut first = join(&mut uplink, &sound, 8000);
    let _second = join(&mut uplink, &sound, 16_000);
    let mut third = LegDsp::new(&sound, 16_000).unwrap();
    assert!(!uplink.adopt(&mut third) && !third.is_adopted());
    uplink.detach(&mut first);
    assert!(uplink.adopt(&mut third) && third.is_adopted());
    assert_eq!(third.frame(), 320);
}

#[test]
fn a_leg_without_a_place_here_is_left_alone() {
    let (mut here, mut there) = (chain(1), chain(2));
    let mut leg = join(&mut there, &Sound::default(), 8000);
    assert!(!here.adopt(&mut leg), "a leg with places elsewhere is not taken in");
    here.detach(&mut leg);
    assert!(leg.is_adopted(), "nor is it detached by a chain that it is not in");
    let mut untouched = vec![5_i16; FRAME];
    assert_eq!(tick(&mut here, &mut leg, &mut [], &mut untouched), UplinkReport::default());
    assert_eq!(untouched, [5; FRAME]);
    assert_eq!((here.order(&leg), there.order(&leg)), (u32::MAX, 0));
}

#[test]
fn raw_sound_is_the_same_sound_as_late_as_the_cleaned() {
    for (denoiser, late) in
        [(Denoiser::Off, 0), (Denoiser::Economy, 80), (Denoiser::Lanes, 80), (Denoiser::Reference, 128)]
    {
        let mut uplink = chain(1);
        let mut leg = join(&mut uplink, &Sound { denoiser, ..Sound::default() }, 8000);
        assert_eq!(uplink.delay_us(&leg), late as u64 * 125, "{denoiser:?}");
        let sound = quantised(&speech(8000, 8000, 0.9, 8));
        let mut raw = Vec::new();
        for frame in sound.chunks_exact(FRAME) {
            let mut out = [0; FRAME];
            tick_raw(&mut uplink, &mut leg, &mut [], &mut frame.to_vec(), &mut out);
            raw.extend_from_slice(&out);
        }
        assert_eq!(raw[..late], vec![0; late]);
        assert_eq!(raw[late..], sound[..sound.len() - late], "{denoiser:?}");
    }
}

#[test]
fn raw_sound_is_without_the_agents_echo_and_with_the_noise() {
    let mut uplink = chain(1);
    let mut leg = join(&mut uplink, &Sound::default(), 8000);
    // Half of the time nobody speaks, and the noise alone is there.
    let agent = speech(20 * 8000, 8000, 0.5, 2);
    let mut line: Vec<f32> = (0..agent.len()).map(|n| if n < 800 { 0.0 } else { agent[n - 800] * 0.3 }).collect();
    add(&mut line, &noise(-50.0, agent.len(), 3));
    let (agent, line) = (quantised(&agent), quantised(&line));
    let (mut heard, mut raw, mut cleaned) = (Vec::new(), Vec::new(), Vec::new());
    for (said, frame) in agent.chunks_exact(FRAME).zip(line.chunks_exact(FRAME)).map(|(a, b)| (a.to_vec(), b)) {
        let (mut said, mut pcm, mut out) = (said, frame.to_vec(), [0; FRAME]);
        tick_raw(&mut uplink, &mut leg, &mut said, &mut pcm, &mut out);
        heard.extend_from_slice(frame);
        raw.extend_from_slice(&out);
        cleaned.extend_from_slice(&pcm);
    }
    // Once the echo's path is known.
    let late = heard.len() / 2;
    let (heard, raw, cleaned) = (rms_dbfs(&heard[late..]), rms_dbfs(&raw[late..]), rms_dbfs(&cleaned[late..]));
    assert!(raw < heard - 10.0, "echo turned down: {heard} to {raw} dB");
    assert!(cleaned < raw - 3.0, "noise stays in the raw sound: {raw} dB, cleaned {cleaned} dB");
}

#[test]
fn speech_and_silence_are_timed_also_while_nothing_is_heard() {
    let mut uplink = chain(1);
    let mut leg = join(&mut uplink, &Sound { denoiser: Denoiser::Off, ..Sound::default() }, 8000);
    let voice = quantised(&speech(8000, 8000, 0.9, 3));
    let mut reports = Vec::new();
    for n in 0..600 {
        // Half a second of quiet, a second of speech, and then no packets.
        let mut pcm = match n {
            0..25 => vec![0; FRAME],
            25..75 => voice[(n - 25) * FRAME..(n - 24) * FRAME].to_vec(),
            _ => Vec::new(),
        };
        reports.push(tick(&mut uplink, &mut leg, &mut [], &mut pcm).endpoint);
    }
    let at = |of: &dyn Fn(usize) -> bool| (0..600).filter(|n| of(*n)).collect::<Vec<_>>();
    let (started, ended) = (at(&|n| reports[n].started), at(&|n| reports[n].ended));
    assert_eq!((started.len(), ended.len()), (1, 1), "{started:?} {ended:?}");
    assert!((25..40).contains(&started[0]) && (90..=101).contains(&ended[0]), "{started:?} {ended:?}");
    let end = reports[ended[0] - 1];
    assert!(end.speaking && (980..=1500).contains(&end.speech_ms) && end.silence_ms == 480, "{end:?}");
    assert_eq!((reports[ended[0]].speech_ms, reports[ended[0]].silence_ms), (0, 500));
    assert_eq!(reports[599].silence_ms, (599 - ended[0] as u32) * 20 + 500);
    assert_eq!(at(&|n| reports[n].silent), [ended[0] + 375], "eight seconds after the last word");
}

#[test]
fn a_sound_changes_in_mid_call_and_what_is_left_over_leaves_with_the_change() {
    let mut uplink = chain(4);
    let mut leg = join(&mut uplink, &Sound::default(), 8000);
    let _other = join(&mut uplink, &Sound::default(), 16_000);
    // Louder noise of this kind the reference's network takes for a voice at 8 kHz.
    let noisy = quantised(&noise(-40.0, 3 * 8000, 4));
    let run = |uplink: &mut UplinkChain, leg: &mut LegDsp| {
        let mut out = Vec::new();
        for frame in noisy.chunks_exact(FRAME) {
            let mut pcm = frame.to_vec();
            tick(uplink, leg, &mut [], &mut pcm);
            out.extend_from_slice(&pcm);
        }
        rms_dbfs(&out[2 * 8000..])
    };
    let cleaned = run(&mut uplink, &mut leg);
    assert!(cleaned < -60.0, "{cleaned}");
    let sounds = [
        Sound { denoiser: Denoiser::Off, echo_gate: false, ..Sound::default() },
        Sound { denoiser: Denoiser::Reference, noise_gate: Some(GateConfig::default()), ..Sound::default() },
        Sound {
            denoiser: Denoiser::Economy,
            agc: Some(AgcConfig::default()),
            vad: VadConfig::HELD,
            ..Sound::default()
        },
        Sound {
            ceiling_dbfs: -12.0,
            barge_in: BargeInConfig { needed_ms: 300, ..BargeInConfig::default() },
            ..Sound::default()
        },
    ];
    let mut levels = Vec::new();
    for sound in &sounds {
        let mut change = leg.prepare(sound).unwrap();
        assert!(uplink.apply(&mut leg, &mut change));
        assert_eq!((leg.sound(), uplink.denoiser(&leg)), (sound, sound.denoiser));
        levels.push(run(&mut uplink, &mut leg));
    }
    assert!((levels[0] + 40.0).abs() < 0.5, "off leaves it as it is: {levels:?}");
    assert!(levels[1..].iter().all(|level| *level < -55.0), "{levels:?}");
    let mut loud = vec![i16::MAX; FRAME];
    DownlinkChain::new().process(&mut [DownlinkFrame { leg: &mut leg, pcm: &mut loud }]);
    assert!(loud.iter().all(|sample| *sample <= 8232), "the new ceiling holds");
    let mut wrong = LegDsp::new(&sounds[0], 16_000).unwrap().prepare(&sounds[0]).unwrap();
    assert!(!uplink.apply(&mut leg, &mut wrong), "made for another rate");
    assert_eq!(leg.sound(), &sounds[3]);
}

#[test]
fn shedding_takes_effort_away_and_gives_it_back_without_a_jump() {
    let mut uplink = chain(9);
    let mut legs: Vec<_> = DENOISERS
        .iter()
        .map(|denoiser| join(&mut uplink, &Sound { denoiser: *denoiser, ..Sound::default() }, 8000))
        .collect();
    let engines =
        |uplink: &UplinkChain, legs: &[LegDsp]| legs.iter().map(|leg| uplink.denoiser(leg)).collect::<Vec<_>>();
    assert_eq!(engines(&uplink, &legs), DENOISERS);
    uplink.set_shedding(Shedding::Economy);
    assert_eq!(engines(&uplink, &legs), [Denoiser::Off, Denoiser::Economy, Denoiser::Economy, Denoiser::Economy]);
    uplink.set_shedding(Shedding::NoDenoiser);
    assert_eq!(engines(&uplink, &legs), [Denoiser::Off; 4]);
    let mut thrifty = UplinkChain::new(ChainConfig { economy: false, ..ChainConfig::new(1) });
    let leg = join(&mut thrifty, &Sound::default(), 8000);
    thrifty.set_shedding(Shedding::Economy);
    assert_eq!(thrifty.denoiser(&leg), Denoiser::Lanes, "economy is skipped");

    // A tone of 500 Hz passes every level as it is, and no change of level breaks it.
    let tone: Vec<i16> =
        (0..10 * 8000).map(|n| ((n as f32 * 500.0 / 8000.0 * std::f32::consts::TAU).sin() * 8000.0) as i16).collect();
    uplink.set_shedding(Shedding::NoDenoiser);
    let (leg, mut out) = (&mut legs[2], Vec::new());
    let delay = uplink.delay_us(leg);
    for (n, frame) in tone.chunks_exact(FRAME).enumerate() {
        uplink.set_shedding([Shedding::NoDenoiser, Shedding::Economy][n / 5 % 2]);
        assert_eq!(uplink.delay_us(leg), delay);
        let mut pcm = frame.to_vec();
        tick(&mut uplink, leg, &mut [], &mut pcm);
        out.extend_from_slice(&pcm);
    }
    let largest = out[FRAME..].windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap();
    assert!(largest <= 3400, "a step of {largest} in a tone that steps by 3060");
}

#[test]
fn a_leg_that_is_recovered_is_as_good_as_a_new_one() {
    for denoiser in DENOISERS {
        let sound = Sound { denoiser, agc: Some(AgcConfig::default()), ..Sound::default() };
        let mut uplink = chain(3);
        let (mut used, mut fresh) = (join(&mut uplink, &sound, 8000), join(&mut uplink, &sound, 8000));
        let pcm = quantised(&speech(2 * 8000, 8000, 0.9, 12));
        for frame in pcm.chunks_exact(FRAME) {
            tick(&mut uplink, &mut used, &mut frame.to_vec(), &mut frame.to_vec());
        }
        uplink.recover(&mut used);
        if denoiser == Denoiser::Reference {
            continue; // its engine keeps its state: it has no other than numbers
        }
        for (n, frame) in pcm.chunks_exact(FRAME).enumerate() {
            let (mut a, mut b) = (frame.to_vec(), frame.to_vec());
            let (first, second) =
                (tick(&mut uplink, &mut used, &mut [], &mut a), tick(&mut uplink, &mut fresh, &mut [], &mut b));
            assert_eq!((first.activity, first.echo), (second.activity, second.echo), "{denoiser:?}, frame {n}");
            assert_eq!(a, b, "{denoiser:?}, frame {n}");
        }
    }
}

#[test]
fn odd_and_absurd_frames_leave_the_next_one_sound() {
    let mut uplink = chain(3);
    let mut leg = join(&mut uplink, &Sound::default(), 8000);
    let mut rng = Rng::new(9);
    for length in [0, 1, 159, 161, 320, 4000] {
        let before: Vec<i16> = (0..length).map(|_| to_i16(rng.normal())).collect();
        let mut heard = before.clone();
        let report = tick(&mut uplink, &mut leg, &mut vec![i16::MIN; length], &mut heard);
        let nothing = UplinkReport { endpoint: report.endpoint, ..UplinkReport::default() };
        assert_eq!((heard, report), (before, nothing), "{length} samples");
    }
    for level in [i16::MIN, i16::MAX, 0] {
        for _ in 0..50 {
            tick(&mut uplink, &mut leg, &mut [level; FRAME], &mut [level; FRAME]);
        }
    }
    let sound = quantised(&speech(8000, 8000, 0.9, 3));
    let loudest = sound
        .chunks_exact(FRAME)
        .map(|frame| tick(&mut uplink, &mut leg, &mut [], &mut frame.to_vec()).activity.confidence)
        .fold(0.0, f32::max);
    assert!(loudest > 0.5, "speech after absurd sound is still found, {loudest}");
}

#[test]
fn what_is_played_never_exceeds_the_ceiling() {
    let mut leg = LegDsp::new(&Sound { ceiling_dbfs: -6.0, ..Sound::default() }, 8000).unwrap();
    let mut rng = Rng::new(4);
    for _ in 0..100 {
        let mut said: Vec<i16> = (0..FRAME).map(|_| to_i16(rng.normal() * 0.5)).collect();
        DownlinkChain::new().process(&mut [DownlinkFrame { leg: &mut leg, pcm: &mut said }]);
        assert!(said.iter().all(|sample| i32::from(*sample).abs() <= 16_423 + 1));
    }
}

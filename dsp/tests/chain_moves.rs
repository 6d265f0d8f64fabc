//! A leg that moves between workers forgets nothing: it hears, bit for bit, what it would have heard had it stayed.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod tone_signals;

use tone_signals::{add, noise, speech};
use trunkline_dsp::chain::{
    ChainConfig, Denoiser, DownlinkChain, DownlinkFrame, LegDsp, Shedding, Sound, UplinkChain, UplinkFrame,
    UplinkReport,
};
use trunkline_dsp::echo::Interruption;
use trunkline_dsp::gain::AgcConfig;
use trunkline_dsp::gate::GateConfig;
use trunkline_dsp::to_i16;

/// Calls that are computed together.
const LANES: usize = 8;

/// A leg, what it hears and what is said to it, and its frame in the works.
struct Call {
    leg: LegDsp,
    line: Vec<i16>,
    agent: Vec<i16>,
    pcm: Vec<i16>,
    raw: Vec<i16>,
    said: Vec<i16>,
    report: UplinkReport,
}

impl Call {
    fn new(number: u64, seconds: usize, sound: &Sound, rate: u32) -> Self {
        let samples = seconds * rate as usize;
        let agent = speech(samples, rate, 0.9, 50 + number);
        let mut line = speech(samples, rate, 1.2, 80 + number);
        add(&mut line, &noise(-45.0, samples, number));
        let back = rate as usize / 10;
        for n in back..samples {
            // The caller speaks for three seconds of six; echo comes back all the time, and for a second nothing does.
            let second = n / rate as usize;
            let caller = line[n] * if second % 6 < 3 { 1.0 } else { 0.02 };
            line[n] = caller + agent[n - back] * 0.2;
            if second % 9 == 8 {
                line[n] = 0.0;
            }
        }
        let quantise = |pcm: &[f32]| pcm.iter().map(|sample| to_i16(*sample)).collect();
        let frame = rate as usize / 50;
        Self {
            leg: LegDsp::new(sound, rate).unwrap(),
            line: quantise(&line),
            agent: quantise(&agent),
            pcm: vec![0; frame],
            raw: vec![0; frame],
            said: vec![0; frame],
            report: UplinkReport::default(),
        }
    }

    fn load(&mut self, tick: usize) {
        let frame = self.leg.frame();
        self.pcm.copy_from_slice(&self.line[tick * frame..(tick + 1) * frame]);
        self.said.copy_from_slice(&self.agent[tick * frame..(tick + 1) * frame]);
    }

    fn frame(&mut self) -> UplinkFrame<'_> {
        UplinkFrame { leg: &mut self.leg, pcm: &mut self.pcm, raw: &mut self.raw, report: UplinkReport::default() }
    }
}

/// A tick of those of `calls` that `here` says, in the order that the chain likes.
fn run(chain: &mut UplinkChain, calls: &mut [Call], tick: usize, here: impl Fn(usize) -> bool) {
    let mut batch: Vec<_> = calls.iter_mut().enumerate().filter(|(n, _)| here(*n)).map(|(_, call)| call).collect();
    batch.sort_by_key(|call| chain.order(&call.leg));
    for call in &mut batch {
        call.load(tick);
        DownlinkChain::new().process(&mut [DownlinkFrame { leg: &mut call.leg, pcm: &mut call.said }]);
    }
    let mut frames: Vec<_> = batch.iter_mut().map(|call| call.frame()).collect();
    chain.process(&mut frames);
    let reports: Vec<_> = frames.iter().map(|frame| frame.report).collect();
    for (call, report) in batch.into_iter().zip(reports) {
        call.report = report;
    }
}

#[test]
fn a_leg_that_moves_every_second_hears_what_one_hears_that_stays() {
    const SECONDS: usize = 14;
    const DENOISERS: [Denoiser; 4] = [Denoiser::Lanes, Denoiser::Economy, Denoiser::Reference, Denoiser::Off];
    let sound = |n: usize| Sound {
        denoiser: DENOISERS[[0, 0, 1, 0, 2, 0, 3][n % 7]],
        agc: n.is_multiple_of(3).then(AgcConfig::default),
        noise_gate: (n % 4 == 1).then(GateConfig::default),
        ..Sound::default()
    };
    let calls = || -> Vec<Call> {
        (0..14).map(|n| Call::new(n as u64, SECONDS, &sound(n), [8000, 8000, 16_000][n % 3])).collect()
    };
    let (mut stay, mut move_about) = (calls(), calls());
    let mut home = UplinkChain::new(ChainConfig::new(14));
    let mut workers = [UplinkChain::new(ChainConfig::new(14)), UplinkChain::new(ChainConfig::new(14))];
    assert!(stay.iter_mut().all(|call| home.adopt(&mut call.leg)));
    // Not all at once: at any time some legs are with the one worker and some with the other.
    let worker_of = |n: usize, tick: usize| (tick + n * 7) / 50 % 2;
    for (n, call) in move_about.iter_mut().enumerate() {
        assert!(workers[worker_of(n, 0)].adopt(&mut call.leg));
    }
    let mut interruptions = 0;
    for tick in 0..SECONDS * 50 {
        for (n, call) in move_about.iter_mut().enumerate() {
            let (from, to) = (worker_of(n, tick.saturating_sub(1)), worker_of(n, tick));
            if from != to {
                workers[from].detach(&mut call.leg);
                assert!(workers[to].adopt(&mut call.leg));
            }
        }
        let shedding = [Shedding::None, Shedding::Economy, Shedding::None, Shedding::NoDenoiser][tick / 130 % 4];
        home.set_shedding(shedding);
        run(&mut home, &mut stay, tick, |_| true);
        for (index, worker) in workers.iter_mut().enumerate() {
            worker.set_shedding(shedding);
            run(worker, &mut move_about, tick, |n| worker_of(n, tick) == index);
        }
        for (n, (a, b)) in stay.iter().zip(&move_about).enumerate() {
            assert_eq!(a.report, b.report, "leg {n}, tick {tick}");
            assert!(a.pcm == b.pcm && a.raw == b.raw && a.said == b.said, "leg {n}, tick {tick}");
            interruptions += usize::from(a.report.interruption == Some(Interruption::Confirmed));
        }
    }
    assert!(interruptions > 0, "the callers interrupt now and then");
}

#[test]
fn legs_of_four_phases_share_few_groups_once_they_have_settled() {
    const LEGS: usize = 217 * 4;
    let mut chain = UplinkChain::new(ChainConfig::new(LEGS));
    let mut legs: Vec<_> = (0..LEGS).map(|_| LegDsp::new(&Sound::default(), 8000).unwrap()).collect();
    assert!(legs.iter_mut().all(|leg| chain.adopt(leg)));
    // Phases have nothing to do with the order in which legs came.
    let phase = |leg: usize| leg * 7919 % 1009 % 4;
    let mut silent = vec![vec![0_i16; 160]; LEGS];
    let mut arrangement = 0;
    for _ in 0..600 {
        let before = chain.arrangement();
        for wanted in 0..4 {
            let mut batch: Vec<_> = legs
                .iter_mut()
                .zip(&mut silent)
                .enumerate()
                .filter(|(leg, _)| phase(*leg) == wanted)
                .map(|(_, (leg, pcm))| UplinkFrame { leg, pcm, raw: &mut [], report: UplinkReport::default() })
                .collect();
            batch.sort_by_key(|frame| chain.order(frame.leg));
            chain.process(&mut batch);
        }
        arrangement = chain.arrangement();
        if arrangement == before {
            break;
        }
    }
    let groups = |wanted: usize| {
        let mine = legs.iter().enumerate().filter(|(leg, _)| phase(*leg) == wanted);
        let groups: std::collections::BTreeSet<_> =
            mine.clone().map(|(_, leg)| chain.order(leg) / LANES as u32).collect();
        (groups.len(), mine.count())
    };
    for wanted in 0..4 {
        let (groups, calls) = groups(wanted);
        assert!(groups <= calls.div_ceil(LANES) + 4, "phase {wanted}: {calls} legs in {groups} groups");
    }
    let settled = chain.arrangement();
    assert_eq!(settled, arrangement, "nobody moves any more");
}

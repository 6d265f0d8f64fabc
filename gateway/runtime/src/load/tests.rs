//! Admission by load: at three times what a host can carry nobody who was taken waits, one late tick refuses nobody, and a
//! host that nobody uses takes whoever comes.

use proptest::prelude::*;

use super::host::{Crowd, Outcome, run};
use super::*;

/// Share of a call in which the host's callers speak, in thousandths.
const SPEAKING_PERMILLE: u64 = 500;
/// How long the words of a turn may be owed before a call asks the next recogniser (`turn.final_wait_ms`).
const FINAL_WORDS_US: u64 = 1_500_000;
/// A policy without limits.
const NONE: LoadPolicy = LoadPolicy { busy_permille: 1001, late_ms: 0, untried_sessions: 1 };

/// Crowds of three times what hosts can carry: recognisers that take 3 to 20 % of a thread, one to four threads, callers
/// that would fill the host three times within a minute, or within five seconds of its start; and they go on coming.
fn crowds() -> impl Iterator<Item = (Crowd, LoadPolicy)> {
    let usual = LoadPolicy::default();
    // Where a session is known to be dear an operator says so.
    let dear = LoadPolicy { untried_sessions: 8, ..usual };
    let hosts = [(1, 30, usual), (1, 100, usual), (2, 60, usual), (4, 200, dear)];
    hosts.into_iter().flat_map(|(threads, speech_ms, policy)| {
        let capacity = f64::from(threads) * 1000.0 / (speech_ms * SPEAKING_PERMILLE / 1000) as f64;
        [5.0, 60.0].map(|within_s| {
            let a_second = 3.0 * capacity / within_s;
            (Crowd { threads, speech_ms, a_second, lasts_s: (40, 80), for_s: 180 }, policy)
        })
    })
}

#[test]
fn at_three_times_the_capacity_nobody_who_is_up_waits_for_words_and_the_host_is_well_used() {
    for (crowd, policy) in crowds() {
        for seed in 1..=2 {
            let Outcome { taken, refused, worst_wait_us, answers, busy_permille, .. } = run(crowd, policy, seed);
            assert!(worst_wait_us < FINAL_WORDS_US, "{crowd:?} seed {seed}: {worst_wait_us} us");
            assert!(refused > taken, "{crowd:?} seed {seed}: {taken} taken, {refused} refused");
            assert!(answers > 5 * taken, "{crowd:?} seed {seed}: {answers} answers in {taken} calls");
            assert!(busy_permille > 500, "{crowd:?} seed {seed}: {busy_permille}");
        }
    }
}

#[test]
fn without_limits_they_all_wait() {
    for (crowd, _) in crowds() {
        let outcome = run(Crowd { for_s: 60, ..crowd }, NONE, 1);
        assert_eq!(outcome.refused, 0);
        assert!(outcome.worst_wait_us > 5 * FINAL_WORDS_US, "{crowd:?}: {outcome:?}");
    }
}

#[test]
fn a_host_that_can_carry_its_callers_refuses_nobody_from_its_first_second_on() {
    // A third of what one thread can do.
    let crowd = Crowd { threads: 1, speech_ms: 30, a_second: 0.25, lasts_s: (40, 80), for_s: 240 };
    for seed in 1..=5 {
        let outcome = run(crowd, LoadPolicy::default(), seed);
        assert_eq!(outcome.refused, 0, "seed {seed}: {outcome:?}");
    }
}

#[test]
fn the_refused_are_told_to_come_again_at_many_times() {
    let (crowd, policy) = crowds().next().unwrap();
    let mut retries = run(crowd, policy, 1).retries;
    retries.sort_unstable();
    let (least, most) = (retries[0], retries[retries.len() - 1]);
    assert!(least >= 3 && most <= 120, "{least} to {most}");
    let busiest = retries.chunk_by(|a, b| a == b).map(<[u32]>::len).max().unwrap();
    assert!(busiest * 20 < retries.len(), "{busiest} of {} at the same second", retries.len());
}

/// A load whose both parts have `units`, and were like this for `samples`.
fn after(load: &mut Load, samples: u32, busy_us: u64, late_us: u64, units: u32) -> u64 {
    for _ in 0..samples {
        let measured = Measured { busy_us, late_us, units };
        let now_us = load.sampled_us + SAMPLE_EVERY_US;
        load.sample(now_us, [measured; 2], units);
    }
    load.sampled_us
}

fn load() -> Load {
    Load::new(LoadPolicy::default(), [1, 1])
}

#[test]
fn one_late_tick_refuses_nobody_and_a_second_of_them_does_until_two_are_calm() {
    let mut load = load();
    after(&mut load, 40, 20_000, 1_000, 10);
    let now_us = after(&mut load, 1, 250_000, 5_000_000, 10);
    assert_eq!(load.admit(now_us, [1, 1], 0), Ok(()));
    let now_us = after(&mut load, LATE_AFTER - 1, 20_000, 300_000, 10);
    let overload = load.admit(now_us, [1, 1], 0).unwrap_err();
    assert_eq!((overload.part, overload.why), (Part::AgentWorkers, Why::Late { late_ms: 300 }));
    // Better, but not well: it goes on refusing, and does not go to and fro.
    for _ in 0..20 {
        after(&mut load, CALM_AFTER - 1, 20_000, 1_000, 10);
        let now_us = after(&mut load, 1, 20_000, 200_000, 10);
        assert!(load.admit(now_us, [1, 1], 0).is_err());
    }
    let now_us = after(&mut load, CALM_AFTER, 20_000, 1_000, 10);
    assert_eq!(load.admit(now_us, [1, 1], 0), Ok(()));
    assert_eq!(load.parts(now_us).map(|part| (part.refuses, part.refused)), [(false, 21), (false, 0)]);
}

#[test]
fn a_part_that_a_call_needs_nothing_of_does_not_keep_it_out() {
    let mut load = load();
    let busy = Measured { busy_us: SAMPLE_EVERY_US, late_us: 9_000_000, units: 40 };
    for n in 1..=20 {
        load.sample(n * SAMPLE_EVERY_US, [Measured { units: 20, ..Measured::default() }, busy], 20);
    }
    let now_us = 20 * SAMPLE_EVERY_US;
    assert_eq!(load.admit(now_us, [1, 2], 0).map_err(|overload| overload.part), Err(Part::SidePool));
    assert_eq!(load.admit(now_us, [1, 0], 0), Ok(()));
    let [agents, pool] = load.parts(now_us);
    assert_eq!((agents.refused, pool.refused, pool.refuses), (0, 1, true));
}

#[test]
fn as_many_as_nothing_is_known_of_are_taken_at_once_and_no_more() {
    let mut load = load();
    let taken = (0..100).take_while(|_| load.admit(1, [1, 2], 0).is_ok()).count();
    // Twenty sessions, two a call.
    assert_eq!(taken, 10);
    let refused = load.admit(1, [1, 2], 0).unwrap_err();
    assert!(matches!(refused.why, Why::Busy { expected_permille: 751..=900 }), "{refused:?}");
}

proptest! {
    /// Whatever was measured: a host without calls takes the next one, a part is refused for in stretches only, and no
    /// figure is beyond its range.
    #[test]
    fn whoever_is_alone_is_taken(
        past in proptest::collection::vec((0_u64..2_000_000, 0_u64..2_000_000, 0_u64..3_000_000, 0_u32..50), 0..200),
        random in any::<u32>(),
    ) {
        let mut load = load();
        for (passes_us, busy_us, late_us, units) in past {
            let now_us = load.sampled_us + passes_us;
            load.sample(now_us, [Measured { busy_us, late_us, units }; 2], units);
            if let Err(overload) = load.admit(now_us, [1, 2], random) {
                prop_assert!(units > 0 || load.parts.iter().any(|state| !state.young.is_empty()));
                prop_assert!((3..=120).contains(&overload.retry_after_s));
            }
            for part in load.parts(now_us) {
                prop_assert!(part.busy_permille <= 1000);
            }
        }
        let now_us = after(&mut load, 20, 0, 0, 0);
        prop_assert_eq!(load.admit(now_us, [1, 2], random), Ok(()));
    }
}

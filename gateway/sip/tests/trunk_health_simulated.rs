//! A trunk's health on virtual time: hysteresis, Retry-After, and trunks that come and go on seeds.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use trunkline_sip::Draw;
use trunkline_sip::health::{Health, HealthConfig, HealthEvent, HealthReason, HealthState, Ping};

struct Rig {
    health: Health,
    now: u64,
}

impl Rig {
    fn new() -> Self {
        Self { health: Health::new(HealthConfig::default(), 0, Draw::from_seed(1)), now: 0 }
    }

    /// Goes on to the next OPTIONS.
    fn ping(&mut self) -> Ping {
        loop {
            self.now = self.health.poll_timeout().max(self.now);
            self.health.handle_timeout(self.now);
            if let Some(ping) = self.health.poll_transmit() {
                return ping;
            }
        }
    }

    fn answered(&mut self, after_ms: u64, status: u16) -> HealthState {
        let ping = self.ping();
        self.now += after_ms;
        self.health.handle_answer(self.now, ping, status, None);
        self.health.state()
    }

    fn silent(&mut self) -> HealthState {
        self.ping();
        self.now = self.health.poll_timeout();
        self.health.handle_timeout(self.now);
        self.health.state()
    }
}

#[test]
fn one_lost_answer_is_doubt_three_are_down_and_two_good_ones_are_up() {
    use HealthState::{Degraded, Down, Unknown, Up};
    let mut rig = Rig::new();
    assert!(rig.health.state() == Unknown && rig.health.takes_calls());
    assert_eq!(rig.answered(50, 200), Up);
    assert_eq!([rig.silent(), rig.answered(50, 200), rig.answered(50, 404)], [Degraded, Degraded, Up]);
    assert_eq!([rig.silent(), rig.silent(), rig.silent()], [Degraded, Degraded, Down]);
    assert!(!rig.health.takes_calls());
    assert_eq!([rig.answered(50, 200), rig.silent(), rig.answered(50, 200)], [Down, Down, Down], "two in a row");
    assert_eq!(rig.answered(50, 405), Up, "any answer shows that somebody is there");
    let events: Vec<HealthEvent> = std::iter::from_fn(|| rig.health.poll_event()).collect();
    let states: Vec<_> = events.iter().map(|event| event.to).collect();
    assert_eq!(states, [Up, Degraded, Up, Degraded, Down, Up]);
    assert!(events.windows(2).all(|pair| pair[0].to == pair[1].from));
    assert_eq!(events[4].why, HealthReason::Silent);
}

#[test]
fn a_late_answer_is_neither_a_fall_nor_a_rise() {
    use HealthState::{Degraded, Down, Up};
    let mut rig = Rig::new();
    assert_eq!([rig.answered(50, 200), rig.answered(1001, 200), rig.answered(2000, 200)], [Up, Degraded, Degraded]);
    assert_eq!([rig.answered(50, 200), rig.answered(1500, 200), rig.answered(50, 200)], [Degraded, Degraded, Degraded]);
    assert_eq!(rig.answered(50, 200), Up);
    assert_eq!([rig.answered(50, 500), rig.answered(50, 408), rig.answered(50, 503)], [Degraded, Degraded, Down]);
}

#[test]
fn a_trunk_that_asks_to_be_left_alone_is_left_alone_for_so_long() {
    let mut rig = Rig::new();
    assert_eq!(rig.answered(50, 200), HealthState::Up);
    let ping = rig.ping();
    rig.health.handle_answer(rig.now, ping, 503, Some(120));
    assert_eq!((rig.health.state(), rig.health.poll_timeout()), (HealthState::Down, rig.now + 120_000));
    rig.health.handle_call(true);
    rig.health.handle_timeout(rig.now + 119_999);
    assert_eq!((rig.health.poll_transmit(), rig.health.state()), (None, HealthState::Down));
    assert_eq!([rig.answered(50, 200), rig.answered(50, 200)], [HealthState::Down, HealthState::Up]);
    let ping = rig.ping();
    rig.health.handle_answer(rig.now, ping, 503, Some(u32::MAX));
    assert_eq!(rig.health.poll_timeout(), rig.now + 3_600_000, "an hour at most");
}

#[test]
fn an_answer_to_an_earlier_question_says_nothing() {
    let mut rig = Rig::new();
    let first = rig.ping();
    rig.now = rig.health.poll_timeout();
    rig.health.handle_timeout(rig.now);
    let _ = rig.ping();
    rig.health.handle_answer(rig.now, first, 200, None);
    assert_eq!(rig.health.state(), HealthState::Unknown);
}

#[test]
fn calls_say_as_much_as_questions() {
    let mut rig = Rig::new();
    assert_eq!(rig.answered(50, 200), HealthState::Up);
    for expected in [HealthState::Degraded, HealthState::Degraded, HealthState::Down] {
        rig.health.handle_call(false);
        assert_eq!(rig.health.state(), expected);
    }
}

/// On seeds: a trunk that is down is known to be within some questions, one that is up as well, and it is never asked
/// more often than once a second.
#[test]
fn what_is_so_is_known_soon_and_nobody_is_flooded() {
    for seed in 0..300 {
        let mut draw = Draw::from_seed(seed);
        let config = HealthConfig { interval_ms: draw.between(1000, 60_000), ..HealthConfig::default() };
        let mut health = Health::new(config, 0, Draw::from_seed(seed + 1));
        let (mut now, mut up, mut flip, mut since) = (0, true, 0, 0);
        let mut asked: Option<(Ping, u64)> = None;
        let mut last_ping: Option<u64> = None;
        for _ in 0..2000 {
            let arrives = asked.map(|(_, at)| at);
            now = [Some(health.poll_timeout()), arrives, Some(flip)].into_iter().flatten().min().unwrap().max(now);
            if now >= flip {
                up = !up;
                since = now;
                flip = now + draw.between(1, 40) * config.interval_ms;
            }
            if let Some((ping, _)) = asked.take_if(|(_, at)| *at <= now) {
                health.handle_answer(now, ping, 200, None);
            }
            health.handle_timeout(now);
            if let Some(ping) = health.poll_transmit() {
                assert!(last_ping.is_none_or(|last| now - last >= 900), "seed {seed}");
                last_ping = Some(now);
                asked = up.then(|| (ping, now + draw.between(1, 300)));
            }
            // Six intervals, each a tenth longer, and three answers waited for.
            if now - since > config.interval_ms * 7 + 3 * config.answer_ms {
                let expected = if up { HealthState::Up } else { HealthState::Down };
                assert_eq!(health.state(), expected, "seed {seed} at {now}, so since {since}");
            }
        }
    }
}

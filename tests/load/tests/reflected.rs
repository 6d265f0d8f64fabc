//! Callers against the reflector: everything that is sent comes back, and the figures say so.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline_load::{Figures, Generator, Hold, Plan, Reflector, Sound, Weather, quantile};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn sound() -> Arc<Sound> {
    let word = |hz: f64, ms: usize| -> Vec<i16> {
        (0..ms * 8).map(|n| ((n as f64 / 8000.0 * hz * std::f64::consts::TAU).sin() * 9000.0) as i16).collect()
    };
    Arc::new(Sound::speech(&[word(180.0, 500), word(230.0, 700)]).unwrap())
}

fn run(change: impl FnOnce(&mut Plan), lasting: Duration) -> Figures {
    let reflector = Reflector::start(LOOPBACK, None, None).unwrap();
    let mut plan = Plan::new(reflector.sip(), 20, sound());
    plan.per_second = 100.0;
    change(&mut plan);
    let generator = Generator::start(plan).unwrap();
    generator.await_up(Duration::from_secs(20)).unwrap();
    generator.measure(true);
    let end = Instant::now() + lasting;
    while Instant::now() < end {
        std::thread::park_timeout(end.saturating_duration_since(Instant::now()));
    }
    generator.finish().unwrap()
}

#[test]
fn nothing_is_lost_and_marks_come_back_at_once() {
    let figures = run(|_| {}, Duration::from_secs(4));
    assert_eq!((figures.placed, figures.answered, figures.calls_failed()), (20, 20, 0), "{}", figures.why_failed());
    assert_eq!((figures.frames_lost(), figures.duplicate, figures.send_errors), (0, 0, 0));
    assert!(figures.sent - figures.received <= 20 && figures.received > 3000, "{figures:?}");
    assert!(figures.marks >= 20 && figures.marks == figures.marks_heard, "{figures:?}");
    assert!(quantile(&figures.delay_ms, 0.5) < 5.0, "{:?}", figures.delay_ms);
    assert!(quantile(&figures.setup_ms, 0.5) < 50.0, "{:?}", figures.setup_ms);
    assert!(figures.late.count() > 1000);
}

#[test]
fn calls_that_end_are_replaced_and_everything_still_adds_up() {
    let short = Hold::Between(Duration::from_millis(300), Duration::from_millis(900));
    let figures = run(|plan| (plan.calls, plan.hold) = (8, short), Duration::from_secs(4));
    assert!(figures.placed > 24, "{}", figures.placed);
    assert_eq!((figures.answered, figures.calls_failed()), (figures.placed, 0), "{}", figures.why_failed());
    assert_eq!(figures.frames_lost(), 0);
}

#[test]
fn weather_does_to_the_packets_what_it_says() {
    let weather = Weather { loss: 0.1, burst: 1.0, jitter_ms: 30.0, duplicate: 0.05, ..Weather::default() };
    let figures = run(|plan| (plan.calls, plan.weather) = (10, Some(weather)), Duration::from_secs(4));
    let sent = figures.sent as f64;
    let share = |count: u64| count as f64 / sent;
    assert!((0.07..0.14).contains(&share(figures.shaped_away)), "{figures:?}");
    assert!((0.07..0.14).contains(&share(figures.lost)), "{figures:?}");
    assert!((0.03..0.07).contains(&share(figures.duplicate)), "{figures:?}");
    assert_eq!(figures.calls_failed(), 0, "{}", figures.why_failed());
}

#[test]
fn a_target_that_refuses_is_counted_with_its_reason() {
    let reflector =
        Reflector::start(LOOPBACK, None, Some(Box::new(|_, _, _| anyhow::bail!("no relay today")))).unwrap();
    let generator = Generator::start(Plan::new(reflector.sip(), 3, sound())).unwrap();
    assert!(generator.await_up(Duration::from_millis(500)).is_err());
    let figures = generator.finish().unwrap();
    assert_eq!((figures.placed, figures.answered), (3, 0));
    assert_eq!(figures.why_failed(), "3 x 503 Service Unavailable");
}

//! A binding's life against registrars that are slow, deaf, strict or gone, on virtual time and seeds.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;

use trunkline_sip::Draw;
use trunkline_sip::auth::{Algorithm, Credentials, DigestClientError, DigestServer, Ha1, Judged, ServerConfig};
use trunkline_sip::registration::{
    Bindings, RegisterAnswer, RegisterRequest, Registration, RegistrationConfig, RegistrationEvent, RegistrationState,
    RegistrationTimers, WhyNot,
};

const A: &str = "sip:a.example";
const B: &str = "sip:b.example";
const CONTACT: &str = "sip:gw@192.0.2.1:5060";

fn config(registrars: &[&str], password: Option<&str>) -> RegistrationConfig {
    RegistrationConfig {
        address: "sip:alice@pbx.example".to_owned(),
        registrars: registrars.iter().map(|&registrar| registrar.to_owned()).collect(),
        contact: CONTACT.to_owned(),
        instance: Some("urn:uuid:00000000-0000-1000-8000-000a95a0e128".to_owned()),
        expires_s: 300,
        credentials: password.map(|password| Credentials {
            user: "alice".to_owned(),
            password: password.to_owned().into(),
            realm: None,
        }),
        call_id: "reg".to_owned(),
        timers: RegistrationTimers::default(),
    }
}

fn begun(registrars: &[&str], password: Option<&str>) -> (Registration, RegisterRequest) {
    let mut registration = Registration::new(config(registrars, password), 0, Draw::from_seed(1));
    registration.start(0);
    let first = registration.poll_transmit().unwrap();
    (registration, first)
}

fn answer(request: &RegisterRequest, status: u16) -> RegisterAnswer {
    RegisterAnswer { status, cseq: request.cseq, ..RegisterAnswer::default() }
}

fn granted(request: &RegisterRequest, expires_s: u32) -> RegisterAnswer {
    RegisterAnswer { contacts: vec![(CONTACT.to_owned(), Some(expires_s))], ..answer(request, 200) }
}

#[test]
fn a_binding_is_refreshed_well_before_it_expires() {
    let (mut registration, first) = begun(&[A], None);
    assert_eq!((first.registrar.as_str(), first.expires_s, first.authorization.is_none()), (A, 300, true));
    assert!(first.contact.contains(";reg-id=1;+sip.instance=\"<urn:uuid:"), "{}", first.contact);
    registration.handle_answer(100, &granted(&first, 200));
    let registered = RegistrationEvent::Registered { registrar: A.to_owned(), expires_s: 200 };
    assert_eq!((registration.poll_event(), registration.state()), (Some(registered), RegistrationState::Registered));
    let due = registration.poll_timeout().unwrap();
    assert!((100_100..=180_100).contains(&due), "{due}");
    registration.handle_timeout(due - 1);
    assert_eq!(registration.poll_transmit(), None);
    registration.handle_timeout(due);
    let refresh = registration.poll_transmit().unwrap();
    assert_eq!((refresh.call_id.as_str(), refresh.cseq), (first.call_id.as_str(), first.cseq + 1));
    registration.handle_answer(due, &granted(&first, 200));
    assert!(registration.poll_event().is_none(), "an answer to another request says nothing");
}

#[test]
fn a_registrar_that_closes_every_connection_is_not_asked_without_end() {
    let (mut registration, mut request) = begun(&[A], None);
    let (mut now, mut asked) = (0, 0);
    while now < 600_000 && asked < 1000 {
        registration.handle_answer(now, &granted(&request, 300));
        now += 5;
        registration.handle_flow_lost(now);
        request = loop {
            if let Some(next) = registration.poll_transmit() {
                break next;
            }
            now = registration.poll_timeout().unwrap();
            registration.handle_timeout(now);
        };
        asked += 1;
    }
    assert!((50..=61).contains(&asked), "{asked} times in ten minutes");
    registration.handle_answer(now, &granted(&request, 300));
    registration.handle_flow_lost(now + 60_000);
    assert!(registration.poll_transmit().is_some(), "one that has lasted is made anew at once");
}

#[test]
fn a_longer_time_is_asked_for_when_the_registrar_insists_and_only_then() {
    let (mut registration, first) = begun(&[A], None);
    let brief =
        |request: &RegisterRequest, least_s| RegisterAnswer { min_expires_s: Some(least_s), ..answer(request, 423) };
    registration.handle_answer(0, &brief(&first, 1800));
    let second = registration.poll_transmit().unwrap();
    assert_eq!(second.expires_s, 1800);
    registration.handle_answer(0, &brief(&second, 1800));
    let failed = RegistrationEvent::Failed { registrar: A.to_owned(), why: WhyNot::Status(423), lost: true };
    assert_eq!(registration.poll_event(), Some(failed), "it asks for what it was given");
    assert_eq!(registration.state(), RegistrationState::Waiting);
    let (mut registration, first) = begun(&[A], None);
    registration.handle_answer(0, &brief(&first, u32::MAX));
    assert_eq!(registration.poll_transmit(), None, "a century is too long");
}

#[test]
fn it_goes_to_the_next_registrar_and_waits_longer_and_longer_when_all_fail() {
    let (mut registration, mut request) = begun(&[A, B], None);
    let (mut now, mut pauses) = (0, Vec::new());
    for round in 0..12 {
        assert_eq!(request.registrar, A, "round {round}");
        registration.handle_answer(now, &answer(&request, 500));
        request = registration.poll_transmit().unwrap();
        assert_eq!(request.registrar, B);
        registration.handle_no_answer(now, request.cseq);
        assert_eq!((registration.poll_transmit(), registration.state()), (None, RegistrationState::Waiting));
        let due = registration.poll_timeout().unwrap();
        pauses.push(due - now);
        now = due;
        registration.handle_timeout(now);
        request = registration.poll_transmit().unwrap();
    }
    for (round, pause) in pauses.iter().enumerate() {
        let ceiling = (30_000 << round).min(1_800_000);
        assert!((ceiling / 2..=ceiling).contains(pause), "round {round}: {pause}");
    }
    registration.handle_answer(now, &granted(&request, 300));
    assert_eq!(registration.state(), RegistrationState::Registered);
}

#[test]
fn a_wrong_password_is_not_tried_again_and_again() {
    let mut server = DigestServer::new(ServerConfig::new("pbx.example"), &[3; 32]);
    let (mut registration, mut request) = begun(&[A, B], Some("guess"));
    let mut sent = 1;
    loop {
        let credentials: Vec<&str> = request.authorization.iter().map(|(_, value)| value.as_str()).collect();
        let judged = server.judge(0, b"p", "REGISTER", &request.registrar, &credentials, |user, algorithm| {
            Some(Ha1::of(algorithm, user, "pbx.example", "secret"))
        });
        let Judged::Challenge(challenge) = judged else { panic!("a guess was taken") };
        let challenges = challenge.headers.into_iter().map(|value| ("WWW-Authenticate".to_owned(), value)).collect();
        registration.handle_answer(0, &RegisterAnswer { challenges, ..answer(&request, 401) });
        let Some(next) = registration.poll_transmit() else { break };
        request = next;
        sent += 1;
    }
    assert_eq!(sent, 4, "twice for each registrar: without and with the password");
    let refused = std::iter::from_fn(|| registration.poll_event()).filter(|event| {
        matches!(event, RegistrationEvent::Failed { why: WhyNot::Password(DigestClientError::Refused), .. })
    });
    assert_eq!(refused.count(), 2);
    assert!(registration.poll_timeout().unwrap() >= 1_800_000, "half an hour before it is tried again");
}

#[test]
fn a_busy_registrar_is_left_alone_for_as_long_as_it_says() {
    let (mut registration, first) = begun(&[A, B], None);
    registration.handle_answer(0, &RegisterAnswer { retry_after_s: Some(120), ..answer(&first, 503) });
    let second = registration.poll_transmit().unwrap();
    assert_eq!(second.registrar, B);
    registration.handle_no_answer(1000, second.cseq);
    let due = registration.poll_timeout().unwrap();
    assert!(due < 120_000, "the other one may be asked before");
    registration.handle_timeout(due);
    assert_eq!(registration.poll_transmit().unwrap().registrar, B);
    let (mut alone, first) = begun(&[A], None);
    alone.handle_answer(0, &RegisterAnswer { retry_after_s: Some(120), ..answer(&first, 503) });
    assert_eq!(alone.poll_timeout(), Some(120_000));
}

#[test]
fn it_takes_its_binding_back_at_the_end() {
    let (mut registration, first) = begun(&[A], None);
    registration.handle_answer(0, &granted(&first, 300));
    registration.stop(1000);
    let last = registration.poll_transmit().unwrap();
    assert_eq!((last.expires_s, last.contact.ends_with(";expires=0"), last.cseq), (0, true, first.cseq + 1));
    registration.stop(1001);
    assert_eq!(registration.poll_transmit(), None, "once is enough");
    registration.handle_answer(1100, &answer(&last, 200));
    assert_eq!((registration.state(), registration.poll_timeout()), (RegistrationState::Ended, None));
    let (mut deaf, first) = begun(&[A], None);
    deaf.handle_answer(0, &granted(&first, 300));
    deaf.stop(1000);
    assert_eq!(deaf.poll_timeout(), Some(5000));
    deaf.handle_timeout(5000);
    let events: Vec<_> = std::iter::from_fn(|| deaf.poll_event()).collect();
    assert_eq!(events.last(), Some(&RegistrationEvent::Ended { confirmed: false }));
    let mut idle = Registration::new(config(&[A], None), 0, Draw::from_seed(1));
    idle.stop(0);
    assert_eq!((idle.poll_transmit(), idle.state()), (None, RegistrationState::Ended));
}

#[test]
fn several_bindings_begin_with_different_registrars() {
    let mut bindings = Bindings::new(&config(&[A, B], None), 2, &mut Draw::from_seed(1));
    let requests: Vec<RegisterRequest> = bindings
        .each()
        .map(|binding| {
            binding.start(0);
            binding.poll_transmit().unwrap()
        })
        .collect();
    assert_eq!((requests[0].registrar.as_str(), requests[1].registrar.as_str()), (A, B));
    assert!(requests[1].contact.contains("reg-id=2") && requests[0].call_id != requests[1].call_id);
    assert!(!bindings.is_registered());
    bindings.each().nth(1).unwrap().handle_answer(0, &granted(&requests[1], 300));
    assert!(bindings.is_registered() && bindings.poll_timeout().is_some());
    bindings.each().for_each(|binding| binding.stop(1));
    assert!(!bindings.is_ended());
    let nameless = RegistrationConfig { instance: None, ..config(&[A, B], None) };
    assert_eq!(Bindings::new(&nameless, 3, &mut Draw::from_seed(1)).each().count(), 1);
}

/// A registrar that is up and down by turns, loses messages, wants a password and keeps bindings until they expire.
struct Registrar {
    server: DigestServer,
    up: bool,
    bound_until: Option<u64>,
    /// What is older than it comes too late (RFC 3261 10.3).
    last_cseq: u32,
}

/// What is on its way.
enum Travels {
    Request(RegisterRequest),
    Answer(RegisterAnswer),
}

struct World {
    draw: Draw,
    now: u64,
    registrars: BTreeMap<&'static str, Registrar>,
    /// In order of arrival.
    wires: BTreeMap<(u64, u64), Travels>,
    sent: u64,
    loss_percent: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let registrar = |key| Registrar {
            server: DigestServer::new(ServerConfig::new("pbx.example"), &[key; 32]),
            up: true,
            bound_until: None,
            last_cseq: 0,
        };
        let registrars = BTreeMap::from([(A, registrar(1)), (B, registrar(2))]);
        Self { draw: Draw::from_seed(seed), now: 0, registrars, wires: BTreeMap::new(), sent: 0, loss_percent: 10 }
    }

    fn travel(&mut self, what: Travels) {
        if self.draw.up_to(99) >= self.loss_percent {
            self.sent += 1;
            let arrives = self.now + self.draw.between(5, 400);
            self.wires.insert((arrives, self.sent), what);
        }
    }

    fn arrive(&mut self, registration: &mut Registration) {
        while let Some(first) = self.wires.first_entry().filter(|first| first.key().0 <= self.now) {
            match first.remove() {
                Travels::Answer(answer) => registration.handle_answer(self.now, &answer),
                Travels::Request(request) => {
                    let registrar = self.registrars.get_mut(request.registrar.as_str()).unwrap();
                    if !registrar.up || request.cseq < registrar.last_cseq {
                        continue;
                    }
                    registrar.last_cseq = request.cseq;
                    let credentials: Vec<&str> =
                        request.authorization.iter().map(|(_, value)| value.as_str()).collect();
                    let judged = registrar.server.judge(
                        self.now,
                        b"p",
                        "REGISTER",
                        &request.registrar,
                        &credentials,
                        |user, algorithm: Algorithm| Some(Ha1::of(algorithm, user, "pbx.example", "secret")),
                    );
                    let reply = match judged {
                        Judged::Challenge(challenge) => RegisterAnswer {
                            challenges: challenge
                                .headers
                                .into_iter()
                                .map(|value| ("WWW-Authenticate".to_owned(), value))
                                .collect(),
                            ..answer(&request, 401)
                        },
                        Judged::Authentic { .. } if (1..600).contains(&request.expires_s) => {
                            RegisterAnswer { min_expires_s: Some(600), ..answer(&request, 423) }
                        }
                        Judged::Authentic { .. } => {
                            let expires = u64::from(request.expires_s) * 1000;
                            registrar.bound_until = (expires > 0).then_some(self.now + expires);
                            granted(&request, request.expires_s)
                        }
                    };
                    self.travel(Travels::Answer(reply));
                }
            }
        }
    }

    fn is_bound(&self) -> bool {
        self.registrars.values().any(|registrar| registrar.bound_until.is_some_and(|until| until > self.now))
    }
}

#[test]
fn whatever_registrars_do_it_comes_back_does_not_storm_and_leaves_nothing() {
    for seed in 0..300 {
        let mut world = World::new(seed);
        let mut registration =
            Registration::new(config(&[A, B], Some("secret")), (seed % 2) as u32, Draw::from_seed(seed + 1000));
        registration.start(0);
        let (mut requests, mut last_cseq) = (0_u64, 0);
        let hours = 6;
        let mut flip = world.draw.between(60_000, 1_800_000);
        let end = hours * 3_600_000;
        while world.now < end {
            while let Some(request) = registration.poll_transmit() {
                assert!(request.cseq > last_cseq, "seed {seed}");
                (last_cseq, requests) = (request.cseq, requests + 1);
                world.travel(Travels::Request(request));
            }
            let next_wire = world.wires.first_key_value().map(|((at, _), _)| *at);
            let next = [registration.poll_timeout(), next_wire, Some(flip)].into_iter().flatten().min().unwrap();
            world.now = next.max(world.now);
            if world.now >= flip {
                let name = if world.draw.up_to(1) == 0 { A } else { B };
                let registrar = world.registrars.get_mut(name).unwrap();
                registrar.up = !registrar.up;
                // One that was restarted remembers nothing.
                if !registrar.up {
                    registrar.bound_until = None;
                }
                flip = world.now + world.draw.between(60_000, 1_800_000);
            }
            world.arrive(&mut registration);
            registration.handle_timeout(world.now);
            while let Some(event) = registration.poll_event() {
                if let RegistrationEvent::Registered { .. } = event {
                    assert_eq!(registration.state(), RegistrationState::Registered, "seed {seed}");
                }
            }
            assert!(registration.poll_timeout().is_some(), "seed {seed}: it waits for nothing");
        }
        // A binding of ten minutes needs two requests, every round of an outage at most eight.
        assert!(requests < hours * 60 * 4, "seed {seed}: {requests} requests in {hours} hours");
        // From now on everything is well: within the longest pause it is back.
        world.registrars.values_mut().for_each(|registrar| registrar.up = true);
        world.loss_percent = 0;
        let patience = world.now + 2 * 1_800_000 + 600_000;
        while !(registration.state() == RegistrationState::Registered && world.is_bound()) {
            assert!(world.now < patience, "seed {seed}: not back");
            while let Some(request) = registration.poll_transmit() {
                world.travel(Travels::Request(request));
            }
            let next_wire = world.wires.first_key_value().map(|((at, _), _)| *at);
            world.now = [registration.poll_timeout(), next_wire].into_iter().flatten().min().unwrap().max(world.now);
            world.arrive(&mut registration);
            registration.handle_timeout(world.now);
        }
        let registrar = registration.registrar().to_owned();
        registration.stop(world.now);
        while registration.state() != RegistrationState::Ended {
            while let Some(request) = registration.poll_transmit() {
                world.travel(Travels::Request(request));
            }
            let next_wire = world.wires.first_key_value().map(|((at, _), _)| *at);
            world.now = [registration.poll_timeout(), next_wire].into_iter().flatten().min().unwrap().max(world.now);
            world.arrive(&mut registration);
            registration.handle_timeout(world.now);
        }
        let events: Vec<_> = std::iter::from_fn(|| registration.poll_event()).collect();
        assert_eq!(events.last(), Some(&RegistrationEvent::Ended { confirmed: true }), "seed {seed}");
        assert_eq!(world.registrars[registrar.as_str()].bound_until, None, "seed {seed}");
    }
}

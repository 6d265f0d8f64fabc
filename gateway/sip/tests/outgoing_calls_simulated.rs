//! Calls of ours on virtual time and seeds: servers that are silent, full, ask for passwords or fork, messages that are
//! lost and overtake one another, callers who give up at any moment.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use trunkline_sip::auth::{Credentials, DigestServer, Ha1, Judged, ServerConfig};
use trunkline_sip::client::{Answer, ClientCall, ClientEvent, Ourselves, Transmit};
use trunkline_sip::locate::{Server, Transport};
use trunkline_sip::{CallTerms, Draw, Hop, Locals, Outgoing, TrunkToken};

const T1_MS: u64 = 500;

/// A request as a server reads it.
#[derive(Debug, Clone)]
struct Request {
    method: String,
    headers: BTreeMap<String, String>,
}

impl Request {
    fn read(text: &str) -> Self {
        let (head, _) = text.split_once("\r\n\r\n").expect("an empty line");
        let mut lines = head.split("\r\n");
        let method = lines.next().unwrap().split(' ').next().unwrap().to_owned();
        let headers = lines.map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{line}")));
        Self { method, headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    fn get(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn branch(&self) -> String {
        self.get("Via").split("branch=").nth(1).unwrap().split(';').next().unwrap().to_owned()
    }

    fn to_tag(&self) -> Option<String> {
        self.get("To").split(";tag=").nth(1).map(str::to_owned)
    }

    fn cseq(&self) -> u32 {
        self.get("CSeq").split(' ').next().unwrap().parse().unwrap()
    }

    fn answer(&self, status: u16, tag: &str, source: SocketAddr) -> Answer {
        Answer {
            status,
            branch: self.branch(),
            cseq: self.cseq(),
            method: self.get("CSeq").split(' ').nth(1).unwrap().to_owned(),
            call_id: self.get("Call-ID").to_owned(),
            from_tag: self.get("From").split(";tag=").nth(1).unwrap().to_owned(),
            to: if tag.is_empty() { self.get("To").to_owned() } else { format!("<sip:b@x>;tag={tag}") },
            to_tag: (!tag.is_empty()).then(|| tag.to_owned()),
            contacts: vec![format!("<sip:{tag}@{source}>")],
            record_routes: Vec::new(),
            rseq: None,
            challenges: Vec::new(),
            retry_after_s: None,
            expires_s: None,
            min_expires_s: None,
            session_expires: None,
            min_se_s: None,
            takes_update: false,
            reason: None,
            sdp: None,
            source: Hop::udp(source),
        }
    }
}

/// How a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Silent,
    Full,
    Password,
    Serving,
}

/// A far end behind a server.
#[derive(Debug, Default)]
struct Phone {
    invite: Option<Request>,
    answered: bool,
    acked: bool,
    hung_up: bool,
    /// Its 200 is sent again until it is acknowledged.
    again: Option<(u64, u64)>,
    rseq: Option<u32>,
    pracked: bool,
}

struct Place {
    address: SocketAddr,
    kind: Kind,
    digest: DigestServer,
    phones: BTreeMap<String, Phone>,
    /// Finals of INVITEs by branch, for retransmissions; `None` while it is proceeding.
    invites: BTreeMap<String, Option<u16>>,
    cancelled: BTreeSet<String>,
    plan: BTreeMap<(u64, u64), (Request, String, u16)>,
}

enum Travels {
    Request(Transmit),
    Answer(Box<Answer>),
}

struct World {
    draw: Draw,
    now: u64,
    count: u64,
    wires: BTreeMap<(u64, u64), Travels>,
    places: Vec<Place>,
    loss_percent: u64,
    /// Branches of which something provisional has reached the caller.
    known: BTreeSet<String>,
    sent: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut draw = Draw::from_seed(seed);
        let count = draw.between(1, 3);
        let places = (0..count).map(|at| {
            let kind = match draw.up_to(5) {
                0 => Kind::Silent,
                1 => Kind::Full,
                2 => Kind::Password,
                _ => Kind::Serving,
            };
            Place {
                address: format!("192.0.2.{}:5060", at + 1).parse().unwrap(),
                kind,
                digest: DigestServer::new(ServerConfig::new("pbx"), &[1; 32]),
                phones: BTreeMap::new(),
                invites: BTreeMap::new(),
                cancelled: BTreeSet::new(),
                plan: BTreeMap::new(),
            }
        });
        let places = places.collect();
        let loss_percent = [0, 5, 20][draw.up_to(2) as usize];
        Self { draw, now: 0, count: 0, wires: BTreeMap::new(), places, loss_percent, known: BTreeSet::new(), sent: 0 }
    }

    fn travel(&mut self, what: Travels) {
        if self.draw.up_to(99) >= self.loss_percent {
            self.count += 1;
            let arrives = self.now + self.draw.between(1, 300);
            self.wires.insert((arrives, self.count), what);
        }
    }

    fn reply(&mut self, answer: Answer) {
        self.travel(Travels::Answer(Box::new(answer)));
    }

    /// A request has arrived.
    fn serve(&mut self, transmit: &Transmit) {
        let request = Request::read(&transmit.text);
        let at = self.places.iter().position(|place| place.address == transmit.to.address).unwrap();
        let (address, kind) = (self.places[at].address, self.places[at].kind);
        match request.method.as_str() {
            "INVITE" => self.serve_invite(at, &request),
            "ACK" => {
                if let Some(phone) = request.to_tag().and_then(|tag| self.places[at].phones.get_mut(&tag)) {
                    phone.acked |= phone.answered;
                }
            }
            "CANCEL" => {
                assert!(self.known.contains(&request.branch()), "CANCEL before anything came (RFC 3261 9.1)");
                self.reply(request.answer(200, "x", address));
                let place = &mut self.places[at];
                place.cancelled.insert(request.branch());
                place.plan.retain(|_, (invite, ..)| invite.branch() != request.branch());
                let waits = place.invites.get(&request.branch()).is_some_and(Option::is_none);
                if waits {
                    place.invites.insert(request.branch(), Some(487));
                    let mut answer = request.answer(487, "x", address);
                    answer.method = "INVITE".to_owned();
                    self.reply(answer);
                }
            }
            "BYE" => {
                self.reply(request.answer(200, "", address));
                let tag = request.to_tag().unwrap();
                self.places[at].phones.get_mut(&tag).unwrap().hung_up = true;
            }
            "PRACK" => {
                self.reply(request.answer(200, "", address));
                let tag = request.to_tag().unwrap();
                let phone = self.places[at].phones.get_mut(&tag).unwrap();
                let rack = format!("{} {} INVITE", phone.rseq.unwrap(), phone.invite.as_ref().unwrap().cseq());
                assert_eq!(request.get("RAck"), rack);
                phone.pracked = true;
            }
            other => panic!("{other} to a place that is {kind:?}"),
        }
    }

    fn serve_invite(&mut self, at: usize, request: &Request) {
        let (address, kind, branch) = (self.places[at].address, self.places[at].kind, request.branch());
        if kind == Kind::Silent {
            return;
        }
        match self.places[at].invites.get(&branch) {
            Some(Some(status)) if *status >= 300 => {
                let again = request.answer(*status, "x", address);
                return self.reply(again);
            }
            Some(_) => return self.reply(request.answer(100, "", address)),
            None => {}
        }
        if kind == Kind::Full {
            self.places[at].invites.insert(branch, Some(503));
            return self.reply(request.answer(503, "x", address));
        }
        if kind == Kind::Password {
            let proof = request.get("Authorization");
            let proofs: Vec<&str> = if proof.is_empty() { Vec::new() } else { vec![proof] };
            let uri = "sip:1@pbx";
            let judged = self.places[at].digest.judge(self.now, b"", "INVITE", uri, &proofs, |user, algorithm| {
                Some(Ha1::of(algorithm, user, "pbx", "secret"))
            });
            if let Judged::Challenge(challenge) = judged {
                self.places[at].invites.insert(branch, Some(401));
                let mut answer = request.answer(401, "x", address);
                let named = |value| ("WWW-Authenticate".to_owned(), value);
                answer.challenges = challenge.headers.into_iter().map(named).collect();
                return self.reply(answer);
            }
        }
        self.places[at].invites.insert(branch.clone(), None);
        self.reply(request.answer(100, "", address));
        for fork in 0..self.draw.between(1, 3) {
            let tag = format!("{at}-{}-{fork}", request.cseq());
            self.places[at].phones.insert(tag.clone(), Phone { invite: Some(request.clone()), ..Phone::default() });
            let mut when = self.now;
            for status in [180, 183, [200, 200, 486, 0][self.draw.up_to(3) as usize]] {
                when += self.draw.between(10, 8000);
                self.count += 1;
                let planned = (request.clone(), tag.clone(), status);
                self.places[at].plan.insert((when, self.count), planned);
            }
        }
    }

    /// Carries out what phones do by themselves.
    fn phones(&mut self) {
        for at in 0..self.places.len() {
            let address = self.places[at].address;
            while let Some(first) = self.places[at].plan.first_entry().filter(|first| first.key().0 <= self.now) {
                let (invite, tag, status) = first.remove();
                let mut answer = invite.answer(status, &tag, address);
                let place = &mut self.places[at];
                let phone = place.phones.get_mut(&tag).unwrap();
                match status {
                    0 => continue,
                    180 => {}
                    183 => {
                        phone.rseq = Some(9);
                        answer.rseq = Some(9);
                        answer.sdp = Some("v=0\r\n".to_owned());
                    }
                    200 => {
                        // A proxy ends the others when one answers, unless they were as fast.
                        place.invites.insert(invite.branch(), Some(200));
                        phone.answered = true;
                        phone.again = Some((self.now + T1_MS, T1_MS));
                        answer.sdp = Some("v=0\r\n".to_owned());
                        if self.draw.up_to(2) > 0 {
                            let branch = invite.branch();
                            place.plan.retain(|_, (other, ..)| other.branch() != branch);
                        }
                    }
                    _ => {
                        // A refusal of one of several goes no further, unless it was the last.
                        let last = place.invites[&invite.branch()].is_none()
                            && !place.plan.values().any(|(other, ..)| other.branch() == invite.branch());
                        if !last {
                            continue;
                        }
                        place.invites.insert(invite.branch(), Some(status));
                    }
                }
                self.reply(answer);
            }
            let tags: Vec<String> = self.places[at].phones.keys().cloned().collect();
            for tag in tags {
                let now = self.now;
                let phone = self.places[at].phones.get_mut(&tag).unwrap();
                if let Some((due, pause)) = phone.again.filter(|(due, _)| *due <= now && !phone.acked) {
                    let pause = (2 * pause).min(4000);
                    phone.again = Some((due + pause, pause));
                    let mut answer = phone.invite.as_ref().unwrap().answer(200, &tag, address);
                    answer.sdp = Some("v=0\r\n".to_owned());
                    self.reply(answer);
                }
            }
        }
    }

    fn next(&self) -> Option<u64> {
        let wire = self.wires.first_key_value().map(|((at, _), _)| *at);
        let places = self.places.iter().flat_map(|place| {
            let plan = place.plan.first_key_value().map(|((at, _), _)| *at);
            let again = place.phones.values().filter(|phone| !phone.acked).filter_map(|phone| phone.again);
            plan.into_iter().chain(again.map(|(due, _)| due))
        });
        wire.into_iter().chain(places).min()
    }
}

/// A call of a server at an address.
fn outgoing(servers: Vec<Server>, ring_ms: u64) -> (Ourselves, Outgoing) {
    let call = Outgoing {
        trunk: TrunkToken("trk_sim".into()),
        target: "sip:1@pbx".to_owned(),
        servers,
        from: "<sip:100@gw>".to_owned(),
        headers: Vec::new(),
        offer: "v=0\r\n".to_owned(),
        credentials: Some(Credentials { user: "gw".to_owned(), password: "secret".to_owned().into(), realm: None }),
        max_forwards: 70,
        ring_ms,
    };
    let us = Ourselves {
        locals: Locals::udp("203.0.113.1:5060".parse().unwrap()),
        user_agent: "t".to_owned(),
        branch_prefix: "z9hG4bKsim".to_owned(),
        t1_ms: T1_MS,
        session_expires_s: 1800,
        min_se_s: 90,
        terms: CallTerms::default(),
    };
    (us, call)
}

#[test]
fn a_far_end_that_rings_without_end_is_acknowledged_so_often_and_no_more() {
    let address: SocketAddr = "192.0.2.1:5060".parse().unwrap();
    let server = Server { address, transport: Transport::Udp, certificate_name: String::new() };
    let (us, call) = outgoing(vec![server], 120_000);
    let mut machine = ClientCall::begin(0, us, call, Draw::from_seed(1)).unwrap();
    let invite = Request::read(&machine.poll_transmit().unwrap().text);
    let mut branches = BTreeSet::new();
    for rseq in 1..5000 {
        let mut answer = invite.answer(183, "b", address);
        answer.rseq = Some(rseq);
        machine.handle_answer(u64::from(rseq), &answer);
        while let Some(transmit) = machine.poll_transmit() {
            branches.extend(transmit.branch);
        }
    }
    assert!((8..=64).contains(&branches.len()), "{} requests wait for their answers", branches.len());
    let mut sent = 0;
    while let Some(due) = machine.poll_timeout().filter(|due| *due < 100_000) {
        machine.handle_timeout(due);
        sent += std::iter::from_fn(|| machine.poll_transmit()).count();
    }
    assert!(sent <= 64 * 10, "{sent} sent again");
    let mut answer = invite.answer(200, "b", address);
    answer.sdp = Some("v=0\r\n".to_owned());
    machine.handle_answer(100_000, &answer);
    assert!(std::iter::from_fn(|| machine.poll_event()).any(|event| matches!(event, ClientEvent::Answered { .. })));
}

#[test]
fn whatever_comes_in_whatever_order_one_end_is_told_and_nobody_is_left_ringing_or_up() {
    let (mut answers, mut refusals, mut elsewhere, mut crossed) = (0, 0, 0, 0);
    for seed in 0..2000 {
        let mut world = World::new(seed);
        let servers = world.places.iter().map(|place| Server {
            address: place.address,
            transport: Transport::Udp,
            certificate_name: String::new(),
        });
        let (us, call) = outgoing(servers.collect(), world.draw.between(1000, 120_000));
        let ring_ms = call.ring_ms;
        let mut machine = ClientCall::begin(0, us, call, Draw::from_seed(seed + 10_000)).unwrap();
        let gives_up = (world.draw.up_to(2) == 0).then(|| world.draw.up_to(30_000));
        let mut cancelled = false;
        let (mut answered, mut refused, mut winner) = (0, 0, None);
        loop {
            while let Some(event) = machine.poll_event() {
                assert!(answered + refused == 0, "seed {seed}: {event:?} after the end");
                match event {
                    ClientEvent::Answered { .. } => answered += 1,
                    ClientEvent::Refused(_) => refused += 1,
                    ClientEvent::Trying | ClientEvent::Ringing { .. } => {}
                }
            }
            while let Some(transmit) = machine.poll_transmit() {
                world.sent += 1;
                let request = Request::read(&transmit.text);
                if answered == 1 && winner.is_none() && request.method == "ACK" {
                    winner = request.to_tag();
                }
                world.travel(Travels::Request(transmit));
            }
            let cancels = gives_up.filter(|_| !cancelled);
            // Once the machine is done, phones that are up are left to themselves.
            let theirs = if machine.is_done() { None } else { world.next() };
            let due = machine.poll_timeout();
            let Some(next) = [theirs, due, cancels].into_iter().flatten().min() else { break };
            world.now = next.max(world.now);
            assert!(world.now < ring_ms + 400_000, "seed {seed}: it never ends");
            if cancels.is_some_and(|at| at <= world.now) {
                cancelled = true;
                machine.cancel(world.now);
            }
            while let Some(first) = world.wires.first_entry().filter(|first| first.key().0 <= world.now) {
                match first.remove() {
                    Travels::Request(transmit) => world.serve(&transmit),
                    Travels::Answer(answer) => {
                        if answer.status < 200 {
                            world.known.insert(answer.branch.clone());
                        }
                        machine.handle_answer(world.now, &answer);
                    }
                }
            }
            world.phones();
            machine.handle_timeout(world.now);
        }
        assert_eq!(answered + refused, 1, "seed {seed}: the end is told once");
        assert!(world.sent < 300, "seed {seed}: {} messages", world.sent);
        answers += answered;
        refusals += refused;
        for phone in world.places.iter().flat_map(|place| &place.phones) {
            let (tag, Phone { answered, acked, hung_up, .. }) = phone;
            if *answered {
                assert!(acked, "seed {seed}: {tag} answered and was never acknowledged");
                let is_winner = winner.as_ref() == Some(tag);
                assert_eq!(*hung_up, !is_winner, "seed {seed}: {tag} of {winner:?}");
                elsewhere += u32::from(!is_winner);
                crossed += u32::from(!is_winner && refused == 1);
            }
        }
        if world.loss_percent == 0 {
            for place in &world.places {
                for (branch, status) in &place.invites {
                    let settled = status.is_some() || place.cancelled.contains(branch);
                    assert!(settled, "seed {seed}: {} is left ringing", place.address);
                }
            }
        }
    }
    // The rig is worth nothing when one of these never happens.
    assert!(answers > 300 && refusals > 300, "{answers} answers, {refusals} refusals");
    assert!(elsewhere > 30 && crossed > 5, "{elsewhere} hung up, {crossed} of them crossed a CANCEL");
}

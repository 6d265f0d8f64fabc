//! Rules of a worker, phase by phase, with real sockets and a clock that the test turns.

use std::net::UdpSocket;
use std::time::Instant;

use rtrb::RingBuffer;
use trunkline_leg::{AgentEnd, CallTime, Codec, LegFact, MediaSpec, UpFrame, leg_rings};

use super::*;
use crate::config::{LegSound, LegStart};
use crate::leg::{Leg, OwnerEnd, Seed};
use crate::ports::Ports;

/// A worker whose legs come and go by the test's hand.
struct Rig {
    worker: Worker,
    arrivals: Producer<Box<Seat>>,
    gone: Consumer<Box<Seat>>,
    ports: Arc<Ports>,
    batch: Batch,
    /// Of the phase that is served next.
    deadline: u64,
}

impl Rig {
    fn new() -> Self {
        Self::several(1).remove(0)
    }

    fn several(count: usize) -> Vec<Self> {
        let shared: Vec<_> = (0..count).map(|_| Arc::new(WorkerShared::default())).collect();
        let signals: Vec<_> = (0..count).map(|_| PhaseSignal::new().unwrap()).collect();
        Peers::connect(&shared, 16)
            .into_iter()
            .map(|peers| {
                let (arrivals, taken) = RingBuffer::new(16);
                let (leaving, gone) = RingBuffer::new(16);
                let shared = shared[peers.index()].clone();
                let doors = Doors { arrivals: taken, departures: leaving, peers, signals: signals.clone() };
                let ports = Arc::new(Ports::new("127.0.0.1".parse().unwrap(), &(0..=0)).unwrap());
                let worker = Worker::new(shared, doors, 16);
                Self { worker, arrivals, gone, ports, batch: Batch::new(), deadline: 1_000 * TICK_US }
            })
            .collect()
    }

    /// A leg with a far end, which arrives with the next phase.
    fn attach(&mut self, change: impl FnOnce(&mut Seat)) -> (AgentEnd, UdpSocket, std::net::SocketAddr) {
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        let spec = MediaSpec::new(Codec::Pcmu, 0, far.local_addr().unwrap());
        let mut start = LegStart::new(spec, Instant::now());
        start.sound = LegSound::untouched();
        let (media, agent) = leg_rings(start.rings);
        let (orders, spent) = (RingBuffer::new(1).1, RingBuffer::new(1).0);
        let owner = OwnerEnd { orders, spent };
        let (leg, shared) =
            Leg::new(&start, media, owner, crate::tapping::Taps::new(None).0, Seed([1; 32]), CallTime::ZERO).unwrap();
        let sockets = self.ports.allocate(0).unwrap();
        let address = sockets.local_addr();
        let mut seat = Box::new(Seat::new(leg, shared, sockets.into(), self.deadline, 0));
        change(&mut seat);
        self.worker.shared.legs.fetch_add(1, Ordering::Relaxed);
        self.arrivals.push(seat).unwrap();
        (agent, far, address)
    }

    /// Serves the next phase.
    fn phase(&mut self) {
        let phase = (self.deadline / PHASE_US) as usize % PHASES;
        let now = Now { mono_us: self.deadline, ..Now::read() };
        self.worker.adopt();
        self.worker.serve(phase, self.deadline, now, &mut self.batch);
        self.worker.give(phase);
        self.deadline += PHASE_US;
    }

    fn ticks(&mut self, ticks: usize) {
        (0..ticks * PHASES).for_each(|_| self.phase());
    }

    fn seats(&self) -> Vec<&Seat> {
        self.worker.phases.iter().flat_map(|phase| &phase.seats).map(|seat| &**seat).collect()
    }

    fn seat(&mut self) -> &mut Seat {
        self.worker.phases.iter_mut().flat_map(|phase| &mut phase.seats).next().unwrap()
    }
}

/// RTP packets that have come to a far end.
fn packets(far: &UdpSocket) -> Vec<Vec<u8>> {
    far.set_nonblocking(true).unwrap();
    let mut buffer = [0; 2000];
    std::iter::from_fn(|| far.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec()))
        .filter(|packet| packet[1] & 0x7f < 64)
        .collect()
}

fn frames(agent: &mut AgentEnd) -> Vec<UpFrame> {
    std::iter::from_fn(|| agent.up.pop().ok()).collect()
}

fn rtp(seq: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(seq.to_be_bytes());
    packet.extend((u32::from(seq) * 160).to_be_bytes());
    packet.extend([0, 0, 0, 7]);
    packet.extend([0x55; 160]);
    packet
}

#[test]
fn a_leg_that_panics_ends_alone_and_is_released() {
    let mut rig = Rig::new();
    let (mut its_agent, ..) = rig.attach(|seat| seat.leg.explode = true);
    let (mut other_agent, ..) = rig.attach(|_| {});
    rig.ticks(5);
    assert_eq!(rig.worker.stats.panics, 1);
    let facts: Vec<LegFact> = std::iter::from_fn(|| its_agent.facts.pop().ok()).collect();
    assert!(matches!(facts[..], [LegFact::Ended { cause: EndCause::Failed, .. }]), "{facts:?}");
    assert!(rig.gone.pop().is_ok() && rig.gone.pop().is_err(), "one leg left");
    assert_eq!(rig.worker.shared.legs.load(Ordering::Relaxed), 1);
    assert!(matches!(other_agent.facts.pop(), Ok(LegFact::SoundApplied { .. })));
    assert!(other_agent.facts.pop().is_err());
    assert_eq!(rig.seats().len(), 1);
}

#[test]
fn a_batch_that_panics_ends_only_the_leg_at_fault_and_nobody_else_misses_a_frame() {
    let mut rig = Rig::new();
    let mut legs: Vec<_> = (0..8).map(|_| rig.attach(|_| {})).collect();
    let mut sent = 0;
    let mut talk = |legs: &[(AgentEnd, UdpSocket, std::net::SocketAddr)], rig: &mut Rig| {
        for (_, far, to) in legs {
            far.send_to(&rtp(sent), to).unwrap();
        }
        sent += 1;
        rig.ticks(1);
    };
    (0..20).for_each(|_| talk(&legs, &mut rig));
    let before: Vec<usize> = legs.iter_mut().map(|(agent, ..)| frames(agent).len()).collect();
    assert!(before.iter().all(|count| (18..=20).contains(count)), "{before:?}");
    rig.seat().leg.explode_in_chain = true;
    (0..20).for_each(|_| talk(&legs, &mut rig));
    assert_eq!(rig.worker.stats.panics, 1);
    assert!(rig.worker.stats.batches_redone >= 1);
    let mut after: Vec<usize> = legs.iter_mut().map(|(agent, ..)| frames(agent).len()).collect();
    after.sort_unstable();
    assert_eq!(after[1..], [20; 7], "all but the one at fault");
    let ended = |agent: &mut AgentEnd| {
        std::iter::from_fn(|| agent.facts.pop().ok()).any(|fact| matches!(fact, LegFact::Ended { .. }))
    };
    assert_eq!(legs.iter_mut().filter_map(|(agent, ..)| ended(agent).then_some(())).count(), 1);
}

#[test]
fn a_leg_is_placed_just_after_its_packets() {
    let mut rig = Rig::new();
    rig.attach(|_| {});
    rig.ticks(1);
    let epoch = 1_000 * TICK_US;
    // Phase 1 is served at 1 005 000 us; 5 ms are waited in any case.
    for (arrival, phase) in
        [(1_004_900, 2), (1_000_100, 2), (1_000_000, 1), (999_900, 1), (989_000, 3), (995_100, 1), (994_900, 0)]
    {
        assert_eq!(rig.seat().best_phase(1, epoch + 1_005_000, arrival), phase, "{arrival}");
    }
}

/// Serves `phases` phases, a packet coming in 10 ms before each tick of the first phase; tells in which of them a packet
/// went out.
fn sends_of(rig: &mut Rig, far: &UdpSocket, to: std::net::SocketAddr, sent: &mut u16, phases: usize) -> Vec<u64> {
    let mut times = Vec::new();
    for _ in 0..phases {
        let now = rig.deadline / PHASE_US;
        if now as usize % PHASES == 2 {
            far.send_to(&rtp(*sent), to).unwrap();
            *sent += 1;
        }
        rig.phase();
        times.extend(packets(far).iter().map(|_| now));
    }
    times
}

#[test]
fn a_leg_that_changes_its_phase_sends_and_hears_no_frame_too_many() {
    for to in 1..PHASES {
        let mut rig = Rig::new();
        let (mut agent, far, address) = rig.attach(|_| {});
        let mut sent = 0;
        let mut times = sends_of(&mut rig, &far, address, &mut sent, 10 * PHASES + 1);
        // Its first packet has placed it; from there it goes to another phase right after it was served.
        let from = rig.seat().phase();
        while (rig.deadline / PHASE_US) as usize % PHASES != (from + 1) % PHASES {
            times.extend(sends_of(&mut rig, &far, address, &mut sent, 1));
        }
        let moved = times.len() - 1;
        let seat = rig.worker.phases[from].remove(0);
        rig.worker.phases[(from + to) % PHASES].push(seat);
        times.extend(sends_of(&mut rig, &far, address, &mut sent, 10 * PHASES));
        let steps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // In phases of 5 ms: later by one or two phases, or earlier by one.
        assert_eq!(steps[moved], [5, 6, 3][to - 1], "{steps:?}");
        let others = steps.iter().enumerate().filter(|(n, _)| *n != moved);
        assert_eq!(others.filter(|(_, step)| **step != 4).count(), 1, "and once when it was placed: {steps:?}");
        assert!(steps.iter().all(|step| *step >= 3), "{steps:?}");
        let heard = frames(&mut agent).len();
        assert!((usize::from(sent) - 2..=usize::from(sent)).contains(&heard), "{heard} of {sent}");
    }
}

#[test]
fn a_leg_that_moves_to_another_worker_goes_on_as_if_nothing_had_happened() {
    let mut rigs = Rig::several(2);
    let (mut one, mut other) = (rigs.remove(0), rigs.remove(0));
    let mut legs: Vec<_> = (0..4).map(|_| one.attach(|_| {})).collect();
    let mut sent = 0;
    let mut served = |one: &mut Rig, other: &mut Rig, legs: &[(AgentEnd, UdpSocket, std::net::SocketAddr)]| {
        for n in 0..10 * PHASES {
            if n % PHASES == 0 {
                for (_, far, to) in legs {
                    far.send_to(&rtp(sent), to).unwrap();
                }
                sent += 1;
            }
            one.phase();
            other.phase();
        }
    };
    served(&mut one, &mut other, &legs);
    for _ in 0..2 {
        one.worker.gives = Some((1, 1));
        served(&mut one, &mut other, &legs);
    }
    assert_eq!((one.worker.stats.moved_out, other.worker.stats.moved_in), (2, 2));
    assert_eq!((one.seats().len(), other.seats().len()), (2, 2), "exactly one owner");
    let legs_of = |rig: &Rig| rig.worker.shared.legs.load(Ordering::Relaxed);
    assert_eq!((legs_of(&one), legs_of(&other)), (2, 2));
    assert!(other.seats().iter().all(|seat| seat.shared.worker.load(Ordering::Relaxed) == 1 && seat.agent == 0));
    served(&mut one, &mut other, &legs);
    for (agent, far, _) in &mut legs {
        let heard = frames(agent);
        let positions: Vec<u64> = heard.iter().map(|frame| frame.position).collect();
        assert!(positions.windows(2).all(|pair| pair[1] == pair[0] + 160), "{positions:?}");
        assert!((38..=40).contains(&heard.len()) && heard.iter().all(|frame| !frame.concealed), "{}", heard.len());
        let seqs: Vec<u16> = packets(far).iter().map(|packet| u16::from_be_bytes([packet[2], packet[3]])).collect();
        assert!(seqs.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)) && seqs.len() >= 38, "{seqs:?}");
    }
}

//! Reports written and read, lengths and bits, damage, and the round trip of two ends that talk to each other.

use proptest::prelude::*;

use super::*;

const CNAME: &[u8; 16] = b"0123456789abcdef";

fn sent() -> Sent {
    Sent { ssrc: 7, ntp: ntp(1_700_000_000_500_000), rtp_timestamp: 99, packets: 50, bytes: 8000 }
}

fn heard() -> Heard {
    let report = ReceptionReport { fraction_lost: 3, cumulative_lost: 12, highest_seq: 4000, jitter: 17 };
    Heard { ssrc: 42, report, last_report: Since { ntp_middle: 0x1234_5678, delay: 65536 } }
}

fn voip() -> VoipMetrics {
    VoipMetrics {
        ssrc: 42,
        loss_rate: 5,
        discard_rate: 6,
        burst_density: 130,
        gap_density: 2,
        burst_duration_ms: 180,
        gap_duration_ms: 1840,
        round_trip_ms: 73,
        end_system_delay_ms: 65,
        gmin: 16,
        r_factor: Some(81),
        mos_lq: Some(41),
        mos_cq: None,
        jitter_buffer_ms: [40, 60, 300],
    }
}

fn full() -> Report<'static> {
    let extended = Extended {
        voip: Some(voip()),
        reference: Some(ntp(1_700_000_000_500_000)),
        answer: Some((42, Since { ntp_middle: 77, delay: 88 })),
    };
    Report { sent: sent(), heard: Some(heard()), extended, cname: CNAME, bye: true }
}

fn kinds(mut rest: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while !rest.is_empty() {
        kinds.push(rest[1]);
        rest = &rest[4 * (usize::from(u16::from_be_bytes([rest[2], rest[3]])) + 1)..];
    }
    kinds
}

#[test]
fn a_report_reads_back_as_written() {
    let mut buffer = [0; BUFFER];
    let length = full().write(&mut buffer);
    assert_eq!(length, 52 + 28 + 8 + 12 + 16 + 36 + 8);
    assert_eq!(kinds(&buffer[..length]), [200, 202, 207, 203]);
    let learned = read(&buffer[..length], 42).unwrap();
    assert_eq!(learned.sender_report, Some((7, ntp_middle(sent().ntp))));
    assert_eq!(learned.about_us, Some(AboutUs { fraction_lost: 3, lost: 12, jitter: 17 }));
    assert_eq!(learned.echo, Some((0x1234_5678, 65536)), "the report block goes before the extended report");
    assert_eq!(learned.voip, Some(voip()));
    assert_eq!(learned.reference, Some((7, ntp_middle(sent().ntp))));
    assert_eq!(learned.bye, Some(7));
    let others = read(&buffer[..length], 43).unwrap();
    assert_eq!((others.about_us, others.voip, others.echo), (None, None, None), "about somebody else");
}

#[test]
fn whatever_a_report_holds_to_read_it_allocates_nothing() {
    let mut buffer = [0; BUFFER];
    let length = full().write(&mut buffer);
    assert_eq!(trunkline_allocations::allocations(|| assert!(read(&buffer[..length], 42).is_some())), 0);
}

#[test]
fn the_answer_to_a_clock_is_an_echo_when_there_is_no_report_block() {
    let mut buffer = [0; BUFFER];
    let length = Report { heard: None, ..full() }.write(&mut buffer);
    assert_eq!(read(&buffer[..length], 42).unwrap().echo, Some((77, 88)));
}

#[test]
fn before_anything_was_sent_it_is_a_receiver_report() {
    let mut buffer = [0; BUFFER];
    let report = Report {
        sent: Sent { packets: 0, ..sent() },
        heard: None,
        extended: Extended::default(),
        cname: CNAME,
        bye: false,
    };
    let length = report.write(&mut buffer);
    assert_eq!(kinds(&buffer[..length]), [201, 202]);
    assert_eq!(read(&buffer[..length], 7).unwrap(), Learned::default());
}

#[test]
fn the_time_is_seconds_since_1900_and_a_binary_fraction() {
    assert_eq!(ntp(500_000), NTP_EPOCH_S << 32 | 0x8000_0000);
}

#[test]
fn an_extended_report_whose_block_is_longer_than_it_is_malformed() {
    let mut buffer = [0; BUFFER];
    let length = Report { bye: false, ..full() }.write(&mut buffer);
    // The length of the last block, VoIP metrics, in words.
    buffer[length - 33] = 9;
    assert_eq!(read(&buffer[..length], 42), None);
}

/// Two ends whose packets take 30 ms there and 50 ms back; the first sends sound, the second only hears.
#[test]
fn both_ends_measure_the_round_trip_whoever_sends() {
    const WALL: u64 = 1_700_000_000_000_000;
    // Their clocks do not agree: only differences count.
    let (mut a, mut b) = (RtcpSession::new(1, &[3; 32], 80_000, 0), RtcpSession::new(2, &[9; 32], 80_000, 0));
    let figures = |wall_us: u64, sends: bool| Figures {
        wall_us,
        rtp_timestamp: 0,
        packets: u64::from(sends) * 100,
        bytes: 100,
        heard: (!sends)
            .then_some((1, ReceptionReport { fraction_lost: 0, cumulative_lost: 0, highest_seq: 1, jitter: 0 })),
        voip: None,
        sends,
    };
    let mut on_the_way: Vec<(u64, bool, Vec<u8>)> = Vec::new();
    for now in (0..60_000_000_u64).step_by(1_000) {
        for (session, to_b, delay, offset) in [(&mut a, true, 30_000, 0), (&mut b, false, 50_000, 777_000)] {
            session.handle_time(now);
            if session.is_due() {
                let length = session.build(now, &figures(WALL + now + offset, to_b));
                assert!(!session.is_due());
                on_the_way.push((now + delay, to_b, session.packet(length).to_vec()));
            }
        }
        on_the_way.retain(|(at, to_b, data)| {
            if *at == now {
                let (session, offset) = if *to_b { (&mut b, 777_000) } else { (&mut a, 0) };
                session.handle(now, WALL + now + offset, data).unwrap();
            }
            *at != now
        });
    }
    for (name, session) in [("sender", &a), ("receiver", &b)] {
        let round_trip = session.round_trip_us().unwrap();
        assert!(round_trip.abs_diff(80_000) < 100, "{name}: {round_trip}");
    }
}

#[test]
fn a_goodbye_waits_for_no_interval() {
    let mut session = RtcpSession::new(1, &[3; 32], 80_000, 0);
    session.handle_time(20_000);
    assert!(!session.is_due());
    session.say_goodbye();
    let figures =
        Figures { wall_us: 0, rtp_timestamp: 0, packets: 3, bytes: 480, heard: None, voip: None, sends: false };
    let length = session.build(20_000, &figures);
    assert_eq!(kinds(session.packet(length)), [200, 202, 203]);
    assert!(!session.is_due());
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_or_read_and_never_panic(data in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&data, 1);
    }

    #[test]
    fn damaged_reports_never_panic(at in 0..BUFFER, value: u8, cut in 0..BUFFER) {
        let mut buffer = [0; BUFFER];
        let length = full().write(&mut buffer);
        buffer[at] = value;
        let _ = read(&buffer[..length.saturating_sub(cut)], 42);
    }
}

//! Whoever is not the caller is not heard on a call and hears nothing of it: strangers that know its port, its
//! synchronisation source and its sequence numbers, packets that claim to come from the caller and do not fit, and
//! packets that are too long or too short to be one.

use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use trunkline_tests::gateway::Options;
use trunkline_tests::line::{Line, packet, shout, silence};
use trunkline_tests::mutate::Seeded;
use trunkline_tests::{capture, echo, ports, wait};

/// Two seconds.
const FRAMES: usize = 100;

/// Samples as loud as nothing but a shout is.
fn shouts(heard: &[u8]) -> usize {
    heard.iter().filter(|code| capture::from_ulaw(**code).saturating_abs() > 4000).count()
}

/// A pair of ports, and how a gateway is started that has no other.
fn one_pair(scratch: &Path) -> (u16, Options) {
    let pair = ports::free_range(2).unwrap();
    let options = echo::options(scratch, 4).unwrap();
    let options = options.with("TRUNKLINE_RTP__PORT_MIN", &pair.to_string());
    (pair, options.with("TRUNKLINE_RTP__PORT_MAX", &(pair + 1).to_string()))
}

#[test]
fn strangers_and_packets_that_do_not_fit_are_not_heard() {
    let scratch = tempfile::tempdir().unwrap();
    let (pair, options) = one_pair(scratch.path());
    let mut gateway = echo::gateway(scratch.path(), options).unwrap();
    let mut line = Line::open(gateway.sip(), "1000", 0x7a11).unwrap();
    assert_eq!(line.remote.port(), pair);

    // The caller itself is heard.
    let heard = line.talk(FRAMES, |frame| if frame > 50 { shout() } else { silence() }, |_, _| Ok(())).unwrap();
    assert!(shouts(&heard) > 2000, "the caller hears {} loud samples of its own", shouts(&heard));
    // What it said last has come back before anybody else tries.
    line.talk(FRAMES, |_| silence(), |_, _| Ok(())).unwrap();

    let next_door = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let neighbour = UdpSocket::bind(("127.0.0.2", 0)).unwrap();
    for stranger in [&next_door, &neighbour] {
        stranger.set_nonblocking(true).unwrap();
    }
    let forged_sources = line.talk(
        FRAMES,
        |_| silence(),
        |line, _| {
            for stranger in [&next_door, &neighbour] {
                // Everything about the packet is right but where it comes from.
                for ahead in 0..2 {
                    stranger.send_to(&packet(line.ssrc, line.sequence + ahead, &shout()), line.remote)?;
                }
            }
            Ok(())
        },
    );
    assert_eq!(shouts(&forged_sources.unwrap()), 0, "forged sources");

    let mut seeded = Seeded::new(3711);
    let forged_ssrc = line.talk(
        FRAMES,
        |_| silence(),
        |line, _| {
            let (ssrc, sequence) = (seeded.bits() as u32, seeded.bits() as u16);
            line.rtp.send_to(&packet(ssrc, sequence, &shout()), line.remote)?;
            // And one that takes the place of the packet that is due.
            line.rtp.send_to(&packet(ssrc ^ 1, line.sequence, &shout()), line.remote)?;
            Ok(())
        },
    );
    assert_eq!(shouts(&forged_ssrc.unwrap()), 0, "forged synchronisation sources");

    let misshapen = line.talk(
        FRAMES,
        |_| silence(),
        |line, frame| {
            let due = packet(line.ssrc, line.sequence, &shout());
            let long: Vec<u8> = due.iter().copied().chain(shout().into_iter().cycle()).take(1900).collect();
            let oversized: Vec<u8> = due.iter().copied().chain(shout().into_iter().cycle()).take(1200).collect();
            let mut extension = due.clone();
            extension[0] |= 0x10;
            extension[14..16].copy_from_slice(&u16::MAX.to_be_bytes());
            let mut padding = due.clone();
            padding[0] |= 0x20;
            padding[171] = 200;
            let mut sources = due[..40].to_vec();
            sources[0] |= 0x0f;
            let all = [&long[..], &oversized, &extension, &padding, &sources, &due[..frame % 12]];
            for datagram in all {
                line.rtp.send_to(datagram, line.remote)?;
            }
            Ok(())
        },
    );
    assert_eq!(shouts(&misshapen.unwrap()), 0, "misshapen packets");

    // Nothing of the call has leaked to those who knocked.
    let mut buffer = [0; 2048];
    for stranger in [&next_door, &neighbour] {
        assert!(stranger.recv_from(&mut buffer).is_err(), "a stranger was sent {:?}", &buffer[..12]);
    }
    // And the caller is still heard.
    let heard = line.talk(FRAMES, |frame| if frame > 50 { shout() } else { silence() }, |_, _| Ok(())).unwrap();
    assert!(shouts(&heard) > 2000, "afterwards the caller hears {} loud samples of its own", shouts(&heard));
    line.hang_up().unwrap();
    // All of it was counted, by its reason.
    let counted = |page: &str, what: &str| -> u64 {
        let value = page.lines().find_map(|line| line.strip_prefix(&format!("trunkline_media_dropped_{what}_total ")));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{what} is not counted:\n{page}"))
    };
    wait::until_true("the record of the call", Duration::from_secs(10), || {
        gateway.metrics().is_ok_and(|page| page.contains("trunkline_calls_finished_total 1\n"))
    })
    .unwrap();
    let page = gateway.metrics().unwrap();
    for (what, least) in [("source", 4 * FRAMES), ("ssrc", FRAMES), ("size", FRAMES), ("malformed", FRAMES)] {
        assert!(counted(&page, what) >= least as u64, "{what}: {}", counted(&page, what));
    }
    assert!(gateway.process().is_running() && !gateway.process().log().contains("panicked"));
}

#[test]
fn the_call_before_is_not_heard_on_the_next_one() {
    let scratch = tempfile::tempdir().unwrap();
    let (pair, options) = one_pair(scratch.path());
    let gateway = echo::gateway(scratch.path(), options).unwrap();
    let mut first = Line::open(gateway.sip(), "1000", 1).unwrap();
    first.talk(20, |_| shout(), |_, _| Ok(())).unwrap();
    let (old, ssrc, sequence) = (first.rtp.try_clone().unwrap(), first.ssrc, first.sequence);
    first.hang_up().unwrap();

    // The only pair of ports rests for a while, so that the first tries are refused.
    let mut tries = 1..;
    let mut second = wait::until("the ports to be given out again", Duration::from_secs(20), || {
        Line::open(gateway.sip(), "1000", 100 + tries.next()?).ok()
    })
    .unwrap();
    assert_eq!(second.remote.port(), pair);
    let heard = second.talk(
        FRAMES,
        |_| silence(),
        |line, frame| {
            let late = sequence.wrapping_add(u16::try_from(frame)?);
            old.send_to(&packet(ssrc, late, &shout()), line.remote)?;
            Ok(())
        },
    );
    assert_eq!(shouts(&heard.unwrap()), 0, "the caller before");
    let mut buffer = [0; 2048];
    let (mut left, began) = (0, std::time::Instant::now());
    while old.recv_from(&mut buffer).is_ok() && began.elapsed().as_secs() < 5 {
        left += 1;
    }
    // What it was sent before it hung up is still there; a hundred frames of the next call would be more.
    assert!(left < 60, "the caller before was sent {left} packets");
    second.hang_up().unwrap();
}

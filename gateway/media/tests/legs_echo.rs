//! Many legs at once: what each caller says comes back to that caller, complete and in order.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::collections::HashSet;
use std::net::UdpSocket;

use support::{Phone, Talker, attach, plane, until};
use trunkline_dsp::codec::{ulaw_decode, ulaw_encode};
use trunkline_leg::{DownFrame, EndCause, LegFact};

const LEGS: usize = 20;
const FRAMES: usize = 150;

/// A constant level that names its caller.
fn voice(caller: usize) -> u8 {
    ulaw_encode(2000 + 600 * caller as i16)
}

#[test]
fn every_caller_hears_itself_and_nothing_is_lost() {
    let plane = plane(LEGS);
    let mut phones: Vec<Phone> = (0..LEGS).map(|_| Phone::new()).collect();
    let mut legs: Vec<_> = phones.iter_mut().map(|phone| attach(&plane, phone)).collect();
    assert_eq!(plane.legs(), LEGS);
    assert!(plane.attach(plane.allocate().unwrap(), start_of(&phones[0])).is_err(), "the plane is full");
    let ears: Vec<UdpSocket> = phones.iter().map(|phone| phone.socket.try_clone().unwrap()).collect();
    let talker = Talker::start(phones, |caller| [voice(caller); 160]);

    let mut echoed = [0; LEGS];
    until(&plane, "the echo of every frame", || {
        for (count, (agent, _)) in echoed.iter_mut().zip(&mut legs) {
            while let Ok(frame) = agent.up.pop() {
                if !frame.concealed {
                    *count += 1;
                    let back = DownFrame::new(frame.pcm(), frame.rate, 1, frame.position, 0).unwrap();
                    let _ = agent.down.push(back);
                }
            }
        }
        echoed.iter().all(|count| *count >= FRAMES).then_some(())
    });
    let sent = talker.stop();

    for (caller, (agent, handle)) in legs.iter_mut().enumerate() {
        let stats = handle.stats();
        assert_eq!((stats.lost, stats.late, stats.dropped_source, stats.dropped_malformed), (0, 0, 0, 0));
        assert!(stats.packets_in <= sent && stats.packets_in + 5 >= sent, "{} of {sent}", stats.packets_in);
        assert!(stats.packets_out > 0 && stats.send_errors == 0);
        handle.end(EndCause::RemoteHangUp);
        let ended = support::fact(&plane, agent, |fact| match fact {
            LegFact::Ended { cause, .. } => Some(cause),
            _ => None,
        });
        assert_eq!(ended, EndCause::RemoteHangUp);

        // What this caller was sent: packets in order, and only its own voice.
        let (mut heard, mut last_seq, mut ssrcs) = (0, None::<u16>, HashSet::new());
        ears[caller].set_nonblocking(true).unwrap();
        let mut buffer = [0; 2000];
        while let Ok((length, _)) = ears[caller].recv_from(&mut buffer) {
            let seq = u16::from_be_bytes([buffer[2], buffer[3]]);
            ssrcs.insert(buffer[8..12].to_vec());
            assert!(last_seq.is_none_or(|last| seq == last.wrapping_add(1)), "a gap in our own numbers");
            last_seq = Some(seq);
            let full = buffer[12..length].iter().filter(|code| **code == voice(caller)).count();
            heard += usize::from(full > 120);
            let foreign = buffer[12..length].iter().filter(|code| {
                ulaw_decode(**code) > 2000 && **code > 0x80 && ulaw_decode(**code) > ulaw_decode(voice(caller)) + 300
            });
            assert_eq!(foreign.count(), 0, "another caller's voice");
        }
        assert_eq!(ssrcs.len(), 1);
        assert!(heard * 10 >= FRAMES * 9, "caller {caller} heard {heard} frames of itself");
    }
    until(&plane, "the legs to leave", || (plane.legs() == 0).then_some(()));
    assert_eq!(plane.worker_stats(0).panics, 0);
}

fn start_of(phone: &Phone) -> trunkline_media::LegStart {
    trunkline_media::LegStart::new(support::spec(phone.address()), std::time::Instant::now())
}

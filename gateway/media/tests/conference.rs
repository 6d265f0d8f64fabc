//! A conference of thirty-two: each leg hears the other thirty-one, never itself, whichever phase serves it; who leaves is
//! missed and nobody else is.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::net::UdpSocket;

use support::{Phone, Talker, attach, plane, until};
use trunkline_dsp::codec::{ulaw_decode, ulaw_encode};
use trunkline_media::{Conference, MAX_CONFERENCE, MediaError};

/// A level of its own for each, small enough that the sum of all fits.
fn level(n: usize) -> i16 {
    ulaw_decode(ulaw_encode(150 + 40 * n as i16))
}

/// The newest packet that has come, as its mean level.
fn newest(ear: &UdpSocket, known: &mut i32) -> i32 {
    let mut buffer = [0; 2000];
    while let Ok((length, _)) = ear.recv_from(&mut buffer) {
        if buffer[1] & 0x7f == 0 && length > 12 {
            let sum: i32 = buffer[12..length].iter().map(|code| i32::from(ulaw_decode(*code))).sum();
            *known = sum / (length as i32 - 12);
        }
    }
    *known
}

#[test]
fn each_of_thirty_two_hears_the_others_and_who_leaves_is_missed() {
    let plane = plane(MAX_CONFERENCE + 1);
    let mut phones: Vec<Phone> = (0..=MAX_CONFERENCE).map(|_| Phone::new()).collect();
    let mut legs: Vec<_> = phones.iter_mut().map(|phone| attach(&plane, phone)).collect();
    let ears: Vec<UdpSocket> = phones.iter().map(|phone| phone.socket.try_clone().unwrap()).collect();
    ears.iter().for_each(|ear| ear.set_nonblocking(true).unwrap());
    let conference = Conference::new(MAX_CONFERENCE);
    for (_, handle) in &legs[..MAX_CONFERENCE] {
        handle.join(&conference).unwrap();
    }
    assert!(matches!(
        legs[MAX_CONFERENCE].1.join(&conference),
        Err(MediaError::ConferenceFull { legs: MAX_CONFERENCE })
    ));
    assert_eq!(conference.legs(), MAX_CONFERENCE);

    let talker = Talker::start(phones, |n| [ulaw_encode(level(n)); 160]);
    let mut known = vec![0; legs.len()];
    let sum = |members: std::ops::Range<usize>| members.map(|n| i32::from(level(n))).sum::<i32>();
    // mu-law rounds the sum to one step in thirty-two.
    let near = |heard: i32, expected: i32| (heard - expected).abs() <= expected / 24;
    until(&plane, "everybody to hear all others", || {
        (0..MAX_CONFERENCE)
            .all(|n| near(newest(&ears[n], &mut known[n]), sum(0..MAX_CONFERENCE) - i32::from(level(n))))
            .then_some(())
    });
    legs[31].1.mute(true);
    until(&plane, "who is muted to be missed, and to hear the others", || {
        let missed = (0..31).all(|n| near(newest(&ears[n], &mut known[n]), sum(0..31) - i32::from(level(n))));
        (missed && near(newest(&ears[31], &mut known[31]), sum(0..31))).then_some(())
    });
    legs[31].1.mute(false);
    until(&plane, "them to be heard again", || {
        near(newest(&ears[0], &mut known[0]), sum(1..MAX_CONFERENCE)).then_some(())
    });
    // Eight of the loudest leave one way or the other.
    for (_, handle) in &legs[28..MAX_CONFERENCE] {
        handle.leave().unwrap();
    }
    legs.drain(24..28).for_each(drop);
    until(&plane, "the others to miss them", || {
        (0..24).all(|n| near(newest(&ears[n], &mut known[n]), sum(0..24) - i32::from(level(n)))).then_some(())
    });
    until(&plane, "their places", || (conference.legs() == 24).then_some(()));
    talker.stop();
    assert_eq!(plane.worker_stats(0).panics, 0);
}

//! Recordings hold both voices, survive a kill, and are complete when the leg has ended.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::time::Duration;

use support::{Phone, Talker, attach_with, plane, until};
use trunkline_dsp::codec::ulaw_encode;
use trunkline_leg::{DownFrame, EndCause};

/// The two voices of a WAV file, as many samples as its header promises.
fn voices(bytes: &[u8]) -> (Vec<i16>, Vec<i16>) {
    assert_eq!((&bytes[..4], &bytes[8..16], &bytes[36..40]), (&b"RIFF"[..], &b"WAVEfmt "[..], &b"data"[..]));
    let promised = u32::from_le_bytes(bytes[40..44].try_into().unwrap()) as usize;
    assert!(promised <= bytes.len() - 44, "the header promises more than there is");
    bytes[44..44 + promised]
        .chunks_exact(4)
        .map(|frame| (i16::from_le_bytes([frame[0], frame[1]]), i16::from_le_bytes([frame[2], frame[3]])))
        .unzip()
}

#[test]
fn both_voices_are_in_the_file_and_it_is_playable_before_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("call.wav");
    let plane = plane(2);
    let mut phone = Phone::new();
    let (mut agent, handle) = attach_with(&plane, &mut phone, |start| start.recording = Some(path.clone()));
    let caller = ulaw_encode(6000);
    let ear = phone.socket.try_clone().unwrap();
    let talker = Talker::start(vec![phone], move |_| [caller; 160]);
    let recording = handle.recording().unwrap().clone();

    // What is on disk at any moment is what a killed process would leave.
    let mut pushed = 0;
    until(&plane, "three seconds on disk", || {
        while agent.up.pop().is_ok() {}
        if agent.down.push(DownFrame::new(&[-3000; 160], 8000, 1, pushed * 160, 0).unwrap()).is_ok() {
            pushed += 1;
        }
        let (left, right) = voices(&std::fs::read(&path).unwrap());
        assert_eq!(left.len(), right.len());
        (left.len() > 16_000).then_some(())
    });
    assert!(!recording.wait_finished(Duration::ZERO));
    handle.end(EndCause::Local);
    talker.stop();
    assert!(recording.wait_finished(support::DEADLINE));

    let bytes = std::fs::read(&path).unwrap();
    let (left, right) = voices(&bytes);
    assert_eq!(bytes.len(), 44 + left.len() * 4, "the final header covers everything");
    assert_eq!(recording.samples() as usize, left.len());
    let near = |voice: &[i16], level: i16| voice.iter().filter(|sample| (**sample - level).abs() < 200).count();
    assert!(near(&left, 6000) * 10 > left.len() * 8, "the caller is on the left");
    assert!(near(&right, -3000) * 10 > right.len() * 8, "the agent is on the right");
    assert_eq!(near(&left, -3000), 0, "and only there");
    assert!(!recording.failed() && recording.dropped_frames() == 0);
    drop(ear);
}

#[test]
fn dropping_the_plane_completes_recordings() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("call.wav");
    let plane = plane(2);
    let mut phone = Phone::new();
    let (_agent, handle) = attach_with(&plane, &mut phone, |start| start.recording = Some(path.clone()));
    (0..10).for_each(|_| drop(phone.receive()));
    let recording = handle.recording().unwrap().clone();
    drop(plane);
    assert!(recording.wait_finished(Duration::ZERO), "complete when the plane is gone");
    assert!(handle.ended());
    assert!(voices(&std::fs::read(&path).unwrap()).0.len() >= 1600);
}

#[test]
fn a_recording_that_cannot_be_created_refuses_the_leg_by_name() {
    let plane = plane(1);
    let phone = Phone::new();
    let mut start = trunkline_media::LegStart::new(support::spec(phone.address()), std::time::Instant::now());
    start.recording = Some("/nonexistent-folder/call.wav".into());
    let refused = plane.attach(plane.allocate().unwrap(), start);
    let message = refused.err().unwrap().to_string();
    assert!(message.contains("/nonexistent-folder/call.wav"), "{message}");
    assert_eq!(plane.legs(), 0, "its place is free again");
}

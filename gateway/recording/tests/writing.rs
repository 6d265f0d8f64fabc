//! What a leg leaves in its tap is in the file: whole, in time, on its side, and playable at every moment.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use support::{DEADLINE, Memory, Shared, ogg_length, plan, speak, until, voices};
use trunkline_leg::{Beep, TapMode, Tapped};
use trunkline_recording::{
    Container, Ending, Fault, FolderDisk, OpenError, Opener, Recorder, RecorderConfig, SecretKey, Span, open,
};

fn recorder() -> (Recorder, Arc<Memory>) {
    let memory = Arc::<Memory>::default();
    (Recorder::start(RecorderConfig::default(), Arc::new(Shared(memory.clone()))).unwrap(), memory)
}

#[test]
fn both_voices_are_in_a_file_of_their_owner_only_that_plays_before_its_end() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let disk = FolderDisk::open(folder.path()).unwrap();
    let recorder = Recorder::start(RecorderConfig::default(), Arc::new(disk)).unwrap();
    let mut started = recorder.begin(&plan("call_1", Container::Wav)).unwrap();
    assert_eq!(started.name.to_str(), Some("call_1.wav"));
    let path = folder.path().join(&started.name);
    speak(&mut started, 130, 6000, -3000);
    // What is on disk at any moment is what a killed process would leave.
    let early = until("more than a second on disk", || {
        let bytes = std::fs::read(&path).ok()?;
        let (left, right) = voices(&bytes);
        (left.len() > 8000).then_some((left, right))
    });
    assert!(early.0.iter().all(|sample| *sample == 6000) && early.1.iter().all(|sample| *sample == -3000));
    assert!(!started.status.is_finished());
    drop(started.tap);
    assert!(started.status.wait_finished(DEADLINE));
    let bytes = std::fs::read(&path).unwrap();
    let (left, right) = voices(&bytes);
    assert_eq!((left.len(), bytes.len()), (130 * 160, 44 + 4 * 130 * 160));
    assert!(left.iter().all(|sample| *sample == 6000) && right.iter().all(|sample| *sample == -3000));
    assert_eq!((started.status.samples(), started.status.fault()), (130 * 160, None));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // The name is taken: what is there is never overwritten.
    let mut again = recorder.begin(&plan("call_1", Container::Wav)).unwrap();
    speak(&mut again, 1, 1, 1);
    assert!(again.status.wait_finished(DEADLINE));
    assert_eq!(again.status.fault(), Some(Fault::Disk));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    let names = ["../x", "a/b", "", ".x", "/etc/x"];
    assert!(names.iter().all(|name| recorder.begin(&plan(name, Container::Wav)).is_err()));
}

#[test]
fn a_sealed_recording_opens_with_the_tenants_key_whole_or_cut() {
    let (recorder, memory) = recorder();
    let secret = SecretKey::generate().unwrap();
    for container in [Container::Wav, Container::Opus] {
        let plan = trunkline_recording::Plan { key: Some(secret.public()), ..plan("call_2", container) };
        let mut started = recorder.begin(&plan).unwrap();
        assert!(started.name.to_string_lossy().ends_with(".sealed"));
        speak(&mut started, 120, 1000, 2000);
        until("two seconds on disk", || (started.status.samples() >= 16_000).then_some(()));
        // A kill now: what is there opens, up to the last second.
        let mut killed = Cursor::new(Vec::new());
        let left = memory.file(&started.name);
        assert_eq!(open(&left[..], &secret, &mut killed).unwrap(), Ending::Cut);
        drop(started.tap);
        assert!(started.status.wait_finished(DEADLINE));
        let file = memory.file(&started.name);
        let mut whole = Cursor::new(Vec::new());
        assert_eq!(open(&file[..], &secret, &mut whole).unwrap(), Ending::Complete);
        let length = |bytes: &[u8]| match container {
            Container::Wav => {
                let (left, right) = voices(bytes);
                assert!(left.iter().all(|sample| *sample == 1000) && right.iter().all(|sample| *sample == 2000));
                left.len() as u64
            }
            Container::Opus => ogg_length(bytes).0 / 6,
            Container::Capture => unreachable!("a recording is no capture"),
        };
        assert_eq!(length(whole.get_ref()), 120 * 160);
        assert!(length(killed.get_ref()) >= 120 * 160 - 8000, "{}", length(killed.get_ref()));
        // No record is longer than a second.
        let mut opener = Opener::begin(&file[..], &secret).unwrap();
        assert_eq!((opener.header().container, opener.header().rate), (container, 8000));
        let mut records = 0;
        while let Some(record) = opener.next_record().unwrap() {
            assert!(record.len() <= 32_000 + 200);
            records += 1;
        }
        assert!(records >= 4);
        let mut stranger = Cursor::new(Vec::new());
        let refused = open(&file[..], &SecretKey::generate().unwrap(), &mut stranger);
        assert!(matches!(refused, Err(OpenError::WrongKey { .. })) && stranger.get_ref().is_empty());
    }
}

#[test]
fn an_opus_recording_plays_up_to_the_last_second_and_ends_as_it_should() {
    let (recorder, memory) = recorder();
    let mut started = recorder.begin(&plan("call_3", Container::Opus)).unwrap();
    assert_eq!(started.name.to_str(), Some("call_3.opus"));
    speak(&mut started, 110, 1000, -1000);
    until("two seconds on disk", || (started.status.samples() >= 16_000).then_some(()));
    let (length, ended) = ogg_length(&memory.file(&started.name));
    assert!(length + 48_000 >= 110 * 960 && !ended, "{length}");
    drop(started.tap);
    assert!(started.status.wait_finished(DEADLINE));
    assert_eq!(ogg_length(&memory.file(&started.name)), (110 * 960, true));
}

#[test]
fn muted_stretches_are_silence_in_their_place_and_told() {
    let (recorder, memory) = recorder();
    let mut started = recorder.begin(&plan("call_4", Container::Wav)).unwrap();
    for (muted, ticks) in [(false, 10), (true, 20), (false, 5), (true, 3)] {
        let _changed = if muted { started.control.mute() } else { started.control.unmute() };
        speak(&mut started, ticks, 500, 600);
    }
    assert_eq!(started.control.mode(), TapMode::Muted);
    drop(started.tap);
    assert!(started.status.wait_finished(DEADLINE));
    let spans = [Span { from: 1600, to: 4800 }, Span { from: 5600, to: 6080 }];
    assert_eq!(started.status.muted(), spans);
    let (left, right) = voices(&memory.file(&started.name));
    assert_eq!(left.len(), 38 * 160);
    for (at, (left, right)) in left.iter().zip(&right).enumerate() {
        let muted = spans.iter().any(|span| (span.from..span.to).contains(&(at as u64)));
        assert_eq!((*left, *right), if muted { (0, 0) } else { (500, 600) }, "sample {at}");
    }
}

#[test]
fn stopping_ends_the_file_while_the_leg_goes_on() {
    let (recorder, memory) = recorder();
    let mut started = recorder.begin(&plan("call_5", Container::Wav)).unwrap();
    speak(&mut started, 10, 1, 1);
    assert!(started.control.stop());
    assert_eq!(started.tap.record(&[2; 160], &[2; 160]), Tapped::Over);
    drop(started.tap);
    assert!(started.status.wait_finished(DEADLINE));
    assert_eq!(voices(&memory.file(&started.name)).0, vec![1; 1600]);
}

#[test]
fn skipped_ticks_and_other_rates_keep_the_file_as_long_as_the_call() {
    let (recorder, memory) = recorder();
    let mut started = recorder.begin(&plan("call_6", Container::Wav)).unwrap();
    speak(&mut started, 10, 100, 100);
    started.tap.skip(15);
    // The call moved to a codec of 16 kHz and back.
    for _ in 0..20 {
        assert_eq!(started.tap.record(&[200; 320], &[200; 320]), Tapped::Kept);
    }
    speak(&mut started, 10, 300, 300);
    drop(started.tap);
    assert!(started.status.wait_finished(DEADLINE));
    let (left, _) = voices(&memory.file(&started.name));
    assert!(left.len().abs_diff(55 * 160) <= 40, "{} samples", left.len());
    assert_eq!(left[..1600], [100; 1600]);
    assert_eq!(left[1600..4000], [0; 2400], "silence stands for what never happened");
    assert!(left[4400..7000].iter().all(|sample| sample.abs_diff(200) <= 4), "resampled");
    assert_eq!(left[left.len() - 1600..], [300; 1600]);
}

#[test]
fn a_recording_ends_at_its_length_and_at_its_size() {
    let (recorder, memory) = recorder();
    let limits = [("long", 1, 1 << 30, Fault::TooLong, 8000), ("large", 60, 40_000, Fault::TooLarge, 8000)];
    for (name, max_s, max_bytes, fault, samples) in limits {
        let plan = trunkline_recording::Plan { max_s, max_bytes, ..plan(name, Container::Wav) };
        let mut started = recorder.begin(&plan).unwrap();
        until("the limit", || {
            let over = (0..20).any(|_| started.tap.record(&[3; 160], &[3; 160]) == Tapped::Over);
            std::thread::park_timeout(Duration::from_millis(100));
            over.then_some(())
        });
        assert_eq!(started.status.fault(), Some(fault));
        assert!(started.status.is_finished(), "complete although the leg goes on");
        let (left, _) = voices(&memory.file(&started.name));
        assert_eq!(left.len(), samples, "{name}");
    }
}

#[test]
fn the_consent_tone_is_in_the_recording() {
    let (recorder, memory) = recorder();
    let plan = trunkline_recording::Plan { beep: Beep::Start, ..plan("call_7", Container::Wav) };
    let mut started = recorder.begin(&plan).unwrap();
    for _ in 0..20 {
        let mut said = [0; 160];
        started.tap.mix_beep(&mut said);
        assert_eq!(started.tap.record(&[0; 160], &said), Tapped::Kept);
    }
    drop(started.tap);
    assert!(started.status.wait_finished(DEADLINE));
    let (left, right) = voices(&memory.file(&started.name));
    assert!(left.iter().all(|sample| *sample == 0));
    assert!(right[400..1200].iter().any(|sample| *sample > 4000) && right[1600..].iter().all(|sample| *sample == 0));
}

#[test]
fn the_end_of_the_recorder_completes_every_file() {
    let (recorder, memory) = recorder();
    let mut started = recorder.begin(&plan("call_8", Container::Wav)).unwrap();
    speak(&mut started, 30, 4, 4);
    drop(recorder);
    assert!(started.status.is_finished());
    assert_eq!(voices(&memory.file(&started.name)).0.len(), 30 * 160);
    assert_eq!(started.tap.record(&[0; 160], &[0; 160]), Tapped::Over);
}

#[test]
fn a_call_that_is_never_answered_leaves_no_file() {
    let (recorder, memory) = recorder();
    let started = recorder.begin(&plan("unanswered", Container::Wav)).unwrap();
    drop(started.tap);
    assert!(started.status.wait_finished(DEADLINE));
    assert_eq!((started.status.fault(), memory.file(&started.name).len()), (None, 0));
}

//! Whatever a disk does, it costs its own recording, for as long as it does it.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{DEADLINE, Memory, Shared, plan, speak, until, voices};
use trunkline_leg::Tapped;
use trunkline_recording::{Container, Fault, Plan, Recorder, RecorderConfig, RecordingError, SecretKey, open};

const MIB: u64 = 1 << 20;

fn recorder(config: RecorderConfig) -> (Recorder, Arc<Memory>) {
    let memory = Arc::<Memory>::default();
    (Recorder::start(config, Arc::new(Shared(memory.clone()))).unwrap(), memory)
}

#[test]
fn files_that_are_stuck_hold_up_no_other_recording() {
    let (recorder, memory) = recorder(RecorderConfig::default());
    memory.set_stuck(Some("stuck"));
    // More of them than there are threads.
    let mut stuck: Vec<_> =
        (0..10).map(|n| recorder.begin(&plan(&format!("stuck_{n}"), Container::Wav)).unwrap()).collect();
    for started in &mut stuck {
        assert_eq!(started.tap.record(&[5; 160], &[5; 160]), Tapped::Kept, "and the leg never waits");
    }
    until("threads held by stuck files", || (memory.waiting() == 2).then_some(()));
    let began = Instant::now();
    let mut quick = recorder.begin(&plan("quick", Container::Wav)).unwrap();
    assert!(began.elapsed() < Duration::from_millis(500), "to begin one waits for no disk");
    // New recordings are not known to be quick, so this one waits for its turn among the stuck; one that was known
    // before goes on.
    assert_eq!(quick.tap.record(&[6; 160], &[6; 160]), Tapped::Kept);
    memory.set_stuck(None);
    for started in stuck.drain(..).chain([quick]) {
        drop(started.tap);
        assert!(started.status.wait_finished(DEADLINE));
        assert_eq!(voices(&memory.file(&started.name)).0.len(), 160, "{}", started.name.display());
    }
}

#[test]
fn recordings_in_progress_go_on_beside_stuck_ones() {
    let (recorder, memory) = recorder(RecorderConfig::default());
    let mut quick = recorder.begin(&plan("quick", Container::Wav)).unwrap();
    speak(&mut quick, 60, 1, 1);
    until("the first second", || (quick.status.samples() >= 8000).then_some(()));
    memory.set_stuck(Some("stuck"));
    let mut stuck: Vec<_> =
        (0..10).map(|n| recorder.begin(&plan(&format!("stuck_{n}"), Container::Wav)).unwrap()).collect();
    stuck.iter_mut().for_each(|started| speak(started, 1, 1, 1));
    until("threads held by stuck files", || (memory.waiting() == 2).then_some(()));
    // Three seconds, more than the ring holds: somebody must be writing.
    speak(&mut quick, 150, 2, 2);
    until("three seconds more", || (quick.status.samples() >= 8000 + 22_000).then_some(()));
    assert_eq!((memory.waiting(), quick.control.dropped()), (2, 0));
    drop(quick.tap);
    assert!(quick.status.wait_finished(DEADLINE));
    memory.set_stuck(None);
    drop(stuck);
}

#[test]
fn a_disk_that_stalls_costs_sound_but_not_time() {
    let (recorder, memory) = recorder(RecorderConfig::default());
    let mut started = recorder.begin(&plan("call", Container::Wav)).unwrap();
    speak(&mut started, 60, 1, 1);
    until("a second", || (started.status.samples() >= 8000).then_some(()));
    memory.set_stuck(Some("call"));
    until("the thread to be stuck", || {
        let _ = started.tap.record(&[1; 160], &[1; 160]);
        std::thread::park_timeout(Duration::from_millis(20));
        (memory.waiting() == 1).then_some(())
    });
    let dropped = (0..300).filter(|_| started.tap.record(&[2; 160], &[2; 160]) == Tapped::Dropped).count() as u64;
    assert!((100..=250).contains(&dropped), "{dropped} of 300: about two seconds fit");
    memory.set_stuck(None);
    until("room", || (started.tap.record(&[3; 160], &[3; 160]) == Tapped::Kept).then_some(()));
    let dropped = started.control.dropped();
    drop(started.tap);
    assert!(started.status.wait_finished(DEADLINE));
    let (left, _) = voices(&memory.file(&started.name));
    let silent = left.iter().filter(|sample| **sample == 0).count() as u64;
    assert_eq!(silent, dropped * 160, "silence stands for what was lost");
    assert_eq!(left[left.len() - 160..], [3; 160]);
}

#[test]
fn a_disk_that_is_nearly_full_takes_no_recording_and_keeps_its_last_room_for_others() {
    let config = RecorderConfig { min_free_bytes: 400 * MIB, ..RecorderConfig::default() };
    let (recorder, memory) = recorder(config);
    let mut started = recorder.begin(&plan("call", Container::Wav)).unwrap();
    speak(&mut started, 40, 1, 1);
    memory.set_free(399 * MIB);
    let refused = until("the look at the disk", || recorder.begin(&plan("other", Container::Wav)).err());
    assert!(matches!(refused, RecordingError::DiskLow { free_mib: 399, needed_mib: 400 }), "{refused}");
    assert!(refused.to_string().contains("make room"));
    assert_eq!(started.tap.record(&[1; 160], &[1; 160]), Tapped::Kept, "one in progress goes on");
    memory.set_free(99 * MIB);
    until("its end", || started.status.is_finished().then_some(()));
    assert_eq!(started.status.fault(), Some(Fault::DiskFull));
    assert_eq!(voices(&memory.file(&started.name)).0.len(), 41 * 160, "and what was said is there");
    memory.set_free(500 * MIB);
    until("room again", || recorder.admit().ok());
}

#[test]
fn a_write_that_fails_ends_its_recording_by_name_and_what_was_written_plays() {
    let (recorder, memory) = recorder(RecorderConfig::default());
    memory.set_room(44 + 4 * 20_000);
    let mut started = recorder.begin(&plan("call", Container::Wav)).unwrap();
    until("the end", || {
        let over = (0..20).any(|_| started.tap.record(&[1; 160], &[1; 160]) == Tapped::Over);
        std::thread::park_timeout(Duration::from_millis(100));
        over.then_some(())
    });
    assert!(started.status.is_finished());
    assert_eq!(started.status.fault(), Some(Fault::Disk));
    let (left, _) = voices(&memory.file(&started.name));
    assert!(left.len() >= 12_000, "{}", left.len());
    drop(started.tap);
    until("its place", || (recorder.stats().active == 0).then_some(()));
}

#[test]
fn no_more_recordings_than_allowed() {
    let (recorder, _memory) = recorder(RecorderConfig { max_recordings: 2, ..RecorderConfig::default() });
    let first = recorder.begin(&plan("a", Container::Wav)).unwrap();
    let _second = recorder.begin(&plan("b", Container::Wav)).unwrap();
    assert!(matches!(recorder.begin(&plan("c", Container::Wav)), Err(RecordingError::Full { max: 2 })));
    drop(first.tap);
    until("a place", || recorder.begin(&plan("c", Container::Wav)).ok());
    assert_eq!(recorder.stats().begun, 3);
}

/// A call of eight seconds, and a loss of power at any moment of it.
#[test]
fn after_a_loss_of_power_all_but_the_last_five_seconds_plays() {
    let (recorder, memory) = recorder(RecorderConfig::default());
    let secret = SecretKey::generate().unwrap();
    let sealed = Plan { key: Some(secret.public()), ..plan("sealed", Container::Wav) };
    let mut takes = [recorder.begin(&plan("clear", Container::Wav)).unwrap(), recorder.begin(&sealed).unwrap()];
    let began = Instant::now();
    let mut least = [f64::MAX; 2];
    for tick in 0..400_u32 {
        for take in &mut takes {
            assert_eq!(take.tap.record(&[7; 160], &[8; 160]), Tapped::Kept);
        }
        // What would be left if the power went now.
        let said = f64::from(tick + 1) / 50.0;
        for (take, least) in takes.iter().zip(&mut least) {
            let left = memory.durable(&take.name);
            let mut opened = std::io::Cursor::new(Vec::new());
            let bytes = if take.name.to_string_lossy().ends_with("sealed") {
                if !left.is_empty() {
                    open(&left[..], &secret, &mut opened).unwrap();
                }
                opened.into_inner()
            } else {
                left
            };
            let seconds = if bytes.len() >= 44 { voices(&bytes).0.len() as f64 / 8000.0 } else { 0.0 };
            assert!(said - seconds <= 5.0, "{seconds} of {said} s of {} are durable", take.name.display());
            *least = least.min(said - seconds);
        }
        // The pace of a call.
        let due = began + Duration::from_millis(20) * (tick + 1);
        std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
    }
    assert!(least.iter().all(|least| *least < 2.0), "something was made durable: {least:?}");
    assert!(recorder.stats().syncs >= 2);
}

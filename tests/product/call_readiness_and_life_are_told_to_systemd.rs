//! systemd's side of the gateway: ready only once calls can be taken, the watchdog fed while it is well, stopping when
//! it is asked to end.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use trunkline_tests::gateway::{Gateway, Options};
use trunkline_tests::objects;

/// Everything that is told, line by line. Read at once: a full socket would hold up whoever tells.
fn listen(path: &Path) -> Receiver<String> {
    let socket = UnixDatagram::bind(path).unwrap();
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(size) = socket.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..size]).into_owned();
            if text.lines().any(|line| sender.send(line.to_owned()).is_err()) {
                return;
            }
        }
    });
    lines
}

/// Waits for a line; every line up to it.
fn until(lines: &Receiver<String>, wanted: &str) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(Duration::from_secs(60)) {
            Ok(line) => seen.push(line),
            Err(_) => panic!("no {wanted} after {seen:?}"),
        }
        if seen.last().is_some_and(|line| line == wanted) {
            return seen;
        }
    }
}

#[test]
fn it_is_ready_watched_and_stopping_in_that_order() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("notify");
    let told = listen(&path);
    let agents = objects::answering(&objects::offline_agent("Hello.")).unwrap();
    // A cache of its own: the first start compiles, and asks for the time.
    let cache = scratch.path().join("gateway/state/cache").display().to_string();
    let options = Options::default()
        .with("NOTIFY_SOCKET", &path.display().to_string())
        .with("WATCHDOG_USEC", "2000000")
        .with("TRUNKLINE_PLUGINS__CACHE_DIR", &cache);
    let mut gateway = Gateway::standalone(scratch.path(), &agents, options).unwrap();
    let lines = until(&told, "READY=1");
    assert!(gateway.state().join("endpoints.json").exists());
    assert!(!lines.iter().any(|line| line == "WATCHDOG=1"), "{lines:?}");
    for plugin in ["grammar", "espeak", "scripted"] {
        assert!(lines.iter().any(|line| line.starts_with("STATUS=compiling") && line.contains(plugin)), "{lines:?}");
    }
    assert!(lines.iter().any(|line| line.starts_with("EXTEND_TIMEOUT_USEC=")), "{lines:?}");
    let log = gateway.process().log();
    assert!(log.contains("compiling for the first time"), "{log}");
    let lines = until(&told, "WATCHDOG=1");
    assert!(lines.iter().any(|line| line.contains("1 of 1 agents ready")), "{lines:?}");
    // Three more: beyond the first comparison of the threads with how they were.
    for _ in 0..3 {
        until(&told, "WATCHDOG=1");
    }
    gateway.stop().unwrap();
    until(&told, "STOPPING=1");
    until(&told, "STATUS=draining, 0 calls left");
}

//! rtpengine, told of each call by its own protocol, between the callers and a reflector.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use trunkline_tests::ports;
use trunkline_tests::process::Process;

use super::{LOOPBACK, Served, reflector_behind};
use crate::load::Ground;

/// How long an answer of the daemon may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Starts the daemon without its kernel module, and a reflector that asks it about every call.
pub(super) fn start(ground: &Ground, scratch: &Path) -> anyhow::Result<Served> {
    let control = SocketAddr::new(LOOPBACK, ports::free_range(2)?);
    // Two pairs a call.
    let first = ports::free_range(u16::try_from(4 * ground.calls + 40)?)?;
    let mut command = Command::new("rtpengine");
    command
        .args(["--config-file=none", "--foreground", "--table=-1", "--interface=127.0.0.1", "--log-stderr"])
        .args(["--log-level=5", &format!("--listen-ng={control}"), &format!("--port-min={first}")])
        .arg(format!("--port-max={}", usize::from(first) + 4 * ground.calls + 38));
    let process = Process::start("rtpengine", scratch, &mut command)?;
    let mut daemon = Daemon::new(control)?;
    trunkline_tests::wait::until("rtpengine to answer", Duration::from_secs(10), || daemon.ping().ok())?;
    let relay = move |call: &str, offer: &[u8], answer: &[u8]| {
        daemon.describe("offer", call, offer)?;
        daemon.describe("answer", call, answer)
    };
    let reflector = reflector_behind(ground, Box::new(relay))?;
    Ok(Served { sip: reflector.sip(), process, _beside: Some(Box::new(reflector)) })
}

/// The daemon's control port: a cookie and a bencoded dictionary a datagram.
struct Daemon {
    socket: UdpSocket,
    cookies: u64,
}

impl Daemon {
    fn new(control: SocketAddr) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((LOOPBACK, 0))?;
        socket.connect(control)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, cookies: 0 })
    }

    fn ping(&mut self) -> anyhow::Result<()> {
        let answer = self.ask(&[("command", b"ping")])?;
        ensure!(text(&answer, "result") == Some(b"pong"), "{}", String::from_utf8_lossy(&answer));
        Ok(())
    }

    /// Has a description rewritten.
    fn describe(&mut self, command: &str, call: &str, description: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut entries = vec![
            ("command", command.as_bytes()),
            ("call-id", call.as_bytes()),
            ("from-tag", b"caller"),
            ("sdp", description),
        ];
        if command == "answer" {
            entries.push(("to-tag", b"reflector"));
        }
        let answer = self.ask(&entries)?;
        let rewritten = text(&answer, "sdp").map(<[u8]>::to_vec);
        rewritten.with_context(|| format!("rtpengine: {}", String::from_utf8_lossy(&answer)))
    }

    fn ask(&mut self, entries: &[(&str, &[u8])]) -> anyhow::Result<Vec<u8>> {
        self.cookies += 1;
        let cookie = format!("{} ", self.cookies);
        let mut request = cookie.clone().into_bytes();
        request.push(b'd');
        let mut entries = entries.to_vec();
        entries.sort_unstable_by_key(|(key, _)| *key);
        for (key, value) in entries {
            request.extend(format!("{}:{key}{}:", key.len(), value.len()).into_bytes());
            request.extend_from_slice(value);
        }
        request.push(b'e');
        self.socket.send(&request)?;
        let mut answer = vec![0; 8192];
        loop {
            let length = self.socket.recv(&mut answer)?;
            // An answer to what was given up before is not this one.
            if let Some(body) = answer[..length].strip_prefix(cookie.as_bytes()) {
                return Ok(body.to_vec());
            }
        }
    }
}

/// The text of a key in a bencoded dictionary.
fn text<'a>(dictionary: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let key = format!("{}:{key}", key.len()).into_bytes();
    let at = dictionary.windows(key.len()).position(|window| window == key)? + key.len();
    let rest = &dictionary[at..];
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let length: usize = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
    rest.get(colon + 1..colon + 1 + length)
}

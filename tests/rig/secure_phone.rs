//! A phone whose sound is encrypted by libsrtp (Debian's `python3-pylibsrtp`), with keys that it changes in the middle of a call.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use trunkline_caller::Message;

use crate::line;
use crate::phone::Phone;

/// One line in, one line out: a key for a direction, or a packet in hexadecimal that is protected or opened with it.
const LIBSRTP: &str = r"
import base64, sys
from pylibsrtp import Error, Policy, Session
sessions = {}
for line in sys.stdin:
    act, text = line.split()
    if act.startswith('key-'):
        act = act[4:]
        side = Policy.SSRC_ANY_OUTBOUND if act == 'protect' else Policy.SSRC_ANY_INBOUND
        key, profile = base64.b64decode(text), Policy.SRTP_PROFILE_AES128_CM_SHA1_80
        sessions[act] = Session(Policy(key=key, ssrc_type=side, srtp_profile=profile))
        print('taken', flush=True)
        continue
    try:
        print(getattr(sessions[act], act)(bytes.fromhex(text)).hex(), flush=True)
    except Error:
        print('refused', flush=True)
";

/// The suite that it has.
const SUITE: &str = "AES_CM_128_HMAC_SHA1_80";
/// Debian's own Python, which its packages are for.
const PYTHON: &str = "/usr/bin/python3";

/// The synchronisation source of what it says, and its first packet: a turn of the numbers is far.
const SSRC: u32 = 7;
const FIRST: u16 = 1000;

/// A call of such a phone.
#[derive(Debug)]
pub struct SecurePhone {
    /// What signals for it.
    pub phone: Phone,
    libsrtp: Libsrtp,
    remote: SocketAddr,
    sequence: u16,
    /// How many keys it has had.
    keys: u32,
    /// The gateway's key.
    theirs: String,
}

/// What came back while the phone talked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// Packets that the gateway's key opened.
    pub opened: usize,
    /// Packets that it did not.
    pub refused: usize,
    /// Of those opened, packets that were loud.
    pub loud: usize,
}

/// Whether libsrtp is there. Where tests must be complete (`CI` is set) its absence is an error.
pub fn is_available() -> anyhow::Result<bool> {
    let import = Command::new(PYTHON).args(["-c", "import pylibsrtp"]).stderr(Stdio::null()).status();
    let found = import.is_ok_and(|status| status.success());
    ensure!(found || std::env::var_os("CI").is_none(), "install the Debian package python3-pylibsrtp");
    Ok(found)
}

impl SecurePhone {
    /// Calls `user` at `gateway`, with its first key.
    pub fn call(gateway: SocketAddr, user: &str, name: &str) -> anyhow::Result<Self> {
        let mut libsrtp = Libsrtp::start()?;
        let (phone, answer) = Phone::call_with(gateway, user, name, |phone| described(phone, 1, "1", "sendrecv"))?;
        libsrtp.key("protect", &key(1))?;
        let (remote, theirs) = (gateway, String::new());
        let mut phone = Self { phone, libsrtp, remote, sequence: FIRST, keys: 1, theirs };
        phone.learn(Described::by(&answer)?)?;
        Ok(phone)
    }

    /// Offers a new key. What it says first, once that is answered, is still under the key before.
    pub fn rekey(&mut self) -> anyhow::Result<()> {
        self.keys += 1;
        let answer = self.phone.offer(&described(&self.phone, self.keys, "1", "sendrecv")?)?;
        self.say(&line::shout())?;
        self.libsrtp.key("protect", &key(self.keys))?;
        self.learn(Described::by(&answer)?)
    }

    /// Accepts an offer of the gateway's with a new key.
    pub fn accept(&mut self, invite: &Message, way: &str) -> anyhow::Result<()> {
        self.keys += 1;
        let offered = Described::by(invite)?;
        self.phone.accept(invite, described(&self.phone, self.keys, &offered.tag, way)?)?;
        self.libsrtp.key("protect", &key(self.keys))?;
        self.learn(offered)
    }

    /// For `frames` times 20 ms: says `sound`, if anything, and listens.
    pub fn talk(&mut self, frames: u32, sound: Option<&[u8]>) -> anyhow::Result<Heard> {
        let (mut heard, began) = (Heard::default(), Instant::now());
        for frame in 1..=frames {
            sound.map_or(Ok(()), |sound| self.say(sound))?;
            // The phone's own clock.
            let next = began + frame * Duration::from_millis(20);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            self.listen(&mut heard)?;
        }
        Ok(heard)
    }

    fn say(&mut self, sound: &[u8]) -> anyhow::Result<()> {
        let packet = line::packet(SSRC, self.sequence, sound);
        self.sequence = self.sequence.wrapping_add(1);
        let protected = self.libsrtp.ask("protect", &packet)?.context("libsrtp does not protect our packet")?;
        self.phone.rtp().send_to(&protected, self.remote)?;
        Ok(())
    }

    fn listen(&mut self, heard: &mut Heard) -> anyhow::Result<()> {
        let mut buffer = [0; 2048];
        while let Ok((length, _)) = self.phone.rtp().recv_from(&mut buffer) {
            let Some(plain) = self.libsrtp.ask("unprotect", &buffer[..length])? else {
                heard.refused += 1;
                continue;
            };
            heard.opened += 1;
            let sound: Vec<i16> = plain.iter().skip(12).map(|code| crate::capture::from_ulaw(*code)).collect();
            heard.loud += usize::from(crate::wav::level_dbfs(&sound) > -40.0);
        }
        Ok(())
    }

    /// Does as the gateway described it.
    fn learn(&mut self, described: Described) -> anyhow::Result<()> {
        self.remote = described.address;
        if described.key != self.theirs {
            self.libsrtp.key("unprotect", &described.key)?;
            self.theirs = described.key;
        }
        Ok(())
    }
}

/// The phone's `number`th key; 30 bytes in Base64, whose digits these are.
fn key(number: u32) -> String {
    format!("{number:0>40}")
}

/// The phone's `number`th description, with its `number`th key under the tag of an offer.
fn described(phone: &Phone, number: u32, tag: &str, way: &str) -> anyhow::Result<String> {
    let crypto = format!("a=crypto:{tag} {SUITE} inline:{}\r\n", key(number));
    let plain = phone.description(number, way)?;
    Ok(plain.replace("RTP/AVP 0\r\n", &format!("RTP/SAVP 0\r\n{crypto}")))
}

/// What a description of the gateway's says.
struct Described {
    /// Where it has sound sent to.
    address: SocketAddr,
    /// The tag of the key for our suite, and the key.
    tag: String,
    key: String,
}

impl Described {
    fn by(message: &Message) -> anyhow::Result<Self> {
        let text = String::from_utf8_lossy(&message.body);
        let field = |before: &str| {
            let after = text.split_once(before).map(|(_, after)| after);
            after
                .and_then(|after| after.split_whitespace().next())
                .with_context(|| format!("no \"{before}\" in {text}"))
        };
        let address = format!("{}:{}", field("c=IN IP4 ")?, field("m=audio ")?).parse()?;
        let suite = format!(" {SUITE} inline:");
        let crypto = text.lines().find_map(|line| line.strip_prefix("a=crypto:")?.split_once(&suite));
        let (tag, key) = crypto.with_context(|| format!("no {SUITE} in {text}"))?;
        Ok(Self { address, tag: tag.to_owned(), key: key.trim_end().to_owned() })
    }
}

/// libsrtp in a process of its own.
#[derive(Debug)]
struct Libsrtp {
    process: Child,
    asked: ChildStdin,
    told: BufReader<ChildStdout>,
}

impl Libsrtp {
    fn start() -> anyhow::Result<Self> {
        let mut process = Command::new(PYTHON)
            .args(["-c", LIBSRTP])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {PYTHON}"))?;
        let asked = process.stdin.take().context("a pipe to it")?;
        let told = BufReader::new(process.stdout.take().context("a pipe from it")?);
        Ok(Self { process, asked, told })
    }

    /// Has it use this key, in Base64, for what it protects or opens from now on.
    fn key(&mut self, act: &str, key: &str) -> anyhow::Result<()> {
        let told = self.exchange(&format!("key-{act} {key}"))?;
        ensure!(told == "taken", "libsrtp does not take the key \"{key}\"");
        Ok(())
    }

    /// A packet protected or opened; nothing if libsrtp refuses it.
    fn ask(&mut self, act: &str, packet: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
        let hex: String = packet.iter().map(|byte| format!("{byte:02x}")).collect();
        let told = self.exchange(&format!("{act} {hex}"))?;
        if told == "refused" {
            return Ok(None);
        }
        let bytes = told.as_bytes().chunks(2).map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?));
        bytes.collect::<anyhow::Result<_>>().map(Some)
    }

    fn exchange(&mut self, line: &str) -> anyhow::Result<String> {
        writeln!(self.asked, "{line}")?;
        let mut told = String::new();
        if self.told.read_line(&mut told)? == 0 {
            bail!("libsrtp is gone");
        }
        Ok(told.trim_end().to_owned())
    }
}

impl Drop for Libsrtp {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

//! Somebody who is called: answers every call that comes to its port, shouts or is silent on it, and notes what it hears.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::json;
use trunkline_caller::{Message, Step};

use crate::caller::script;
use crate::capture::{from_ulaw, to_ulaw};
use crate::line::{packet, shout, silence};

/// A frame of sound.
const FRAME: Duration = Duration::from_millis(20);
/// Frames behind the answer after which it is heard.
const HELLO_AFTER: usize = 25;
/// Samples of a frame.
const FRAME_SAMPLES: usize = 160;
/// Samples beyond this are of a voice.
const LOUD: u16 = 4000;

/// What it is heard with.
enum Sound {
    Nothing,
    Shout,
    /// Frames of PCMU.
    Words(Vec<Vec<u8>>),
}

/// What it saw and heard.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    /// First lines of the requests that came, each once, in order.
    pub requests: Vec<String>,
    /// The INVITEs, whole.
    pub invites: Vec<String>,
    /// Packets of sound that came.
    pub packets: usize,
    /// Those of them in which somebody is heard.
    pub loud: usize,
    /// Whether the very first of them had its marker or the lowest number of all: nothing was lost before it.
    pub sequences: Vec<u16>,
}

/// Whoever is called.
pub struct Callee {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    hang_up: Arc<AtomicBool>,
    keys: Arc<Mutex<Vec<char>>>,
    referrals: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Callee {
    /// Waits for calls. Answers with `status`, after 180 where that is 200; who `shouts` is heard.
    pub fn new(status: u16, shouts: bool) -> anyhow::Result<Self> {
        Self::sounding(status, if shouts { Sound::Shout } else { Sound::Nothing })
    }

    /// Answers every call, and says these words once, half a second behind the answer.
    pub fn saying(words: &str) -> anyhow::Result<Self> {
        let spoken = script(&json!({ "voice": "rms", "steps": [{ "say": { "text": words } }] }))?;
        let Some(Step::Say(utterance)) = spoken.steps.into_iter().next() else { bail!("nothing is said") };
        let frames = utterance.pcm.chunks(FRAME_SAMPLES);
        let coded = frames.map(|frame| {
            let padded = frame.iter().copied().chain(std::iter::repeat(0)).take(FRAME_SAMPLES);
            padded.map(to_ulaw).collect()
        });
        Self::sounding(200, Sound::Words(coded.collect()))
    }

    fn sounding(status: u16, sound: Sound) -> anyhow::Result<Self> {
        let (sip, rtp) = (UdpSocket::bind(("127.0.0.1", 0))?, UdpSocket::bind(("127.0.0.1", 0))?);
        sip.set_nonblocking(true)?;
        rtp.set_nonblocking(true)?;
        let address = sip.local_addr()?;
        let (seen, hang_up, keys) = (Arc::default(), Arc::default(), Arc::default());
        let (referrals, stop) = (Arc::default(), Arc::default());
        let mut phone = Phone {
            sip,
            rtp,
            status,
            sound,
            said: 0,
            seen: Arc::clone(&seen),
            hang_up: Arc::clone(&hang_up),
            keys: Arc::clone(&keys),
            referrals: Arc::clone(&referrals),
            up: None,
            sequence: 1,
            cseq: 0,
        };
        let stops: Arc<AtomicBool> = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut next = Instant::now();
            while !stops.load(Ordering::Acquire) {
                phone.step();
                // Its own clock, at which it speaks.
                next += FRAME;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Ok(Self { address, seen, hang_up, keys, referrals, stop, thread: Some(thread) })
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it saw and heard so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Presses a key on the call it has, and tells it by INFO.
    pub fn press(&self, key: char) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).push(key);
    }

    /// Has the gateway dial somebody who takes its place: `to` is its Refer-To.
    pub fn refer(&self, to: &str) {
        self.referrals.lock().unwrap_or_else(PoisonError::into_inner).push(to.to_owned());
    }

    /// Hangs up the call it has.
    pub fn hang_up(&self) {
        self.hang_up.store(true, Ordering::Release);
    }
}

impl Drop for Callee {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Phone {
    sip: UdpSocket,
    rtp: UdpSocket,
    status: u16,
    sound: Sound,
    /// Frames since the answer.
    said: usize,
    seen: Arc<Mutex<Seen>>,
    hang_up: Arc<AtomicBool>,
    keys: Arc<Mutex<Vec<char>>>,
    referrals: Arc<Mutex<Vec<String>>>,
    /// The INVITE that was answered, where its sound goes, and where it came from.
    up: Option<(Message, SocketAddr, SocketAddr)>,
    sequence: u16,
    /// Of its last request.
    cseq: u32,
}

impl Phone {
    fn step(&mut self) {
        let mut buffer = [0; 8192];
        while let Ok((length, from)) = self.sip.recv_from(&mut buffer) {
            if let Some(message) = Message::parse(&buffer[..length]) {
                let whole = String::from_utf8_lossy(&buffer[..length]).into_owned();
                self.serve(&message, &whole, from);
            }
        }
        while let Ok((length, _)) = self.rtp.recv_from(&mut buffer) {
            let loud = buffer[12.min(length)..length].iter().any(|code| from_ulaw(*code).unsigned_abs() > LOUD);
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.packets += 1;
            seen.loud += usize::from(loud);
            seen.sequences.push(u16::from_be_bytes([buffer[2], buffer[3]]));
        }
        let Some((invite, media, from)) = &self.up else { return };
        self.said += 1;
        let frame = match &self.sound {
            Sound::Nothing => None,
            Sound::Shout => Some(shout()),
            Sound::Words(words) => {
                Some(self.said.checked_sub(HELLO_AFTER).and_then(|at| words.get(at)).cloned().unwrap_or_else(silence))
            }
        };
        if let Some(frame) = frame {
            let sound = packet(0xca11, self.sequence, &frame);
            self.sequence = self.sequence.wrapping_add(1);
            let _ = self.rtp.send_to(&sound, media);
        }
        let request = |method: &str, cseq: u32, kind: &str, body: &str| {
            let header = |name: &str| invite.header(name).unwrap_or_default();
            let contact = header("Contact").trim_matches(['<', '>']);
            let address = self.sip.local_addr().map(|address| address.to_string()).unwrap_or_default();
            let text = format!(
                "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bKcallee{}{cseq}\r\nMax-Forwards: 70\r\n\
                 From: {};tag=callee\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n{kind}Content-Length: {}\r\n\r\n{body}",
                self.sequence,
                header("To"),
                header("From"),
                header("Call-ID"),
                body.len(),
            );
            let _ = self.sip.send_to(text.as_bytes(), from);
        };
        for key in std::mem::take(&mut *self.keys.lock().unwrap_or_else(PoisonError::into_inner)) {
            self.cseq += 1;
            let body = format!("Signal={key}\r\nDuration=100\r\n");
            request("INFO", self.cseq, "Content-Type: application/dtmf-relay\r\n", &body);
        }
        for to in std::mem::take(&mut *self.referrals.lock().unwrap_or_else(PoisonError::into_inner)) {
            self.cseq += 1;
            let contact = self.sip.local_addr().map(|address| format!("Contact: <sip:callee@{address}>\r\n"));
            let headers = format!("{}Refer-To: {to}\r\n", contact.unwrap_or_default());
            request("REFER", self.cseq, &headers, "");
        }
        if self.hang_up.swap(false, Ordering::AcqRel) {
            self.cseq += 1;
            request("BYE", self.cseq, "", "");
            self.up = None;
        }
    }

    fn serve(&mut self, message: &Message, whole: &str, from: SocketAddr) {
        let Some(method) = message.method() else { return };
        let line = whole.lines().next().unwrap_or_default().to_owned();
        let again = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let again = seen.requests.contains(&line) && method == "INVITE" && self.up.is_some();
            if !again {
                seen.requests.push(line);
                if method == "INVITE" {
                    seen.invites.push(whole.to_owned());
                }
            }
            again
        };
        let respond = |status: u16, reason: &str, body: Option<Vec<u8>>| {
            let mut response = Message::response(message, status, reason);
            for header in &mut response.headers {
                if header.0.eq_ignore_ascii_case("To") && !header.1.contains(";tag=") && status > 100 {
                    header.1.push_str(";tag=callee");
                }
            }
            let address = self.sip.local_addr().map(|address| address.to_string()).unwrap_or_default();
            response = response.with("Contact", format!("<sip:callee@{address}>"));
            if let Some(body) = body {
                response = response.with_body("application/sdp", body);
            }
            let _ = self.sip.send_to(&response.to_bytes(), from);
        };
        match method {
            "INVITE" if again => {}
            "INVITE" if self.status == 200 => {
                respond(180, "Ringing", None);
                let media = media(whole).unwrap_or(from);
                let rtp = self.rtp.local_addr().map(|address| address.port()).unwrap_or_default();
                let sdp = format!(
                    "v=0\r\no=callee 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                     m=audio {rtp} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
                );
                respond(200, "OK", Some(sdp.into_bytes()));
                self.up = Some((message.clone(), media, from));
                self.said = 0;
            }
            "INVITE" => respond(self.status, "No", None),
            "ACK" => {}
            "BYE" => {
                respond(200, "OK", None);
                self.up = None;
            }
            _ => respond(200, "OK", None),
        }
    }
}

/// Where a description wants its sound.
fn media(text: &str) -> Option<SocketAddr> {
    let ip = text.lines().find_map(|line| line.strip_prefix("c=IN IP4 "))?.trim();
    let port = text.lines().find_map(|line| line.strip_prefix("m=audio "))?.split(' ').next()?;
    format!("{ip}:{port}").parse().ok()
}

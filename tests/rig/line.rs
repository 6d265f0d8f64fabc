//! A call whose every packet the test makes itself, and what comes back on it.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use trunkline_caller::{Dialog, DialogConfig, Message, News};

use crate::wait;

/// How long an answer or an end may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Messages of SIP that are kept.
const MOST_SAID: usize = 32;
/// Payload type of telephone events in our offers.
const EVENTS: u8 = 101;
/// Silence in PCMU.
const SILENCE: u8 = 0xff;

/// An answered call.
pub struct Line {
    sip: UdpSocket,
    gateway: SocketAddr,
    dialog: Dialog,
    /// Our RTP socket.
    pub rtp: UdpSocket,
    /// Where the gateway takes our RTP.
    pub remote: SocketAddr,
    /// Our synchronisation source.
    pub ssrc: u32,
    /// Of our next packet.
    pub sequence: u16,
    /// Provisional responses before the answer, in order.
    pub provisional: Vec<u16>,
    /// Its last messages of SIP, ours and the gateway's, in order.
    pub said: VecDeque<String>,
    /// Packets of sound that came while we talked.
    pub heard: u64,
    /// Packets of sound that others came behind and that never came themselves, as far as their numbers tell.
    pub missing: u64,
    last: Option<u16>,
    began: Instant,
    next: Instant,
}

impl Line {
    /// Calls `user` at `gateway` and waits for the answer; two calls need two seeds.
    pub fn open(gateway: SocketAddr, user: &str, seed: u64) -> anyhow::Result<Self> {
        let (sip, rtp) = (UdpSocket::bind(("127.0.0.1", 0))?, UdpSocket::bind(("127.0.0.1", 0))?);
        sip.set_nonblocking(true)?;
        rtp.set_nonblocking(true)?;
        let config = DialogConfig {
            target: format!("sip:{user}@{gateway}"),
            from: "sip:line@127.0.0.1".to_owned(),
            local_sip: sip.local_addr()?,
            local_rtp: rtp.local_addr()?,
            seed,
            headers: Vec::new(),
        };
        let (began, remote) = (Instant::now(), gateway);
        let dialog = Dialog::new(0, config);
        let (sequence, provisional) = (1, Vec::new());
        let mut line = Self {
            sip,
            gateway,
            dialog,
            rtp,
            remote,
            ssrc: seed as u32,
            sequence,
            provisional,
            said: VecDeque::new(),
            heard: 0,
            missing: 0,
            last: None,
            began,
            next: began,
        };
        let news = line.await_news("an answer", |news| !matches!(news, News::Provisional(_)))?;
        let News::Accepted(Some(media)) = news else { bail!("the call was not answered: {news:?}") };
        line.remote = media.remote;
        line.next = Instant::now();
        Ok(line)
    }

    /// Hangs up and waits until that is confirmed.
    pub fn hang_up(mut self) -> anyhow::Result<()> {
        self.dialog.hang_up(self.now());
        self.await_news("the end", |news| *news == News::Ended).map(drop)
    }

    /// The next RTP packet of this call, with these 20 ms of PCMU.
    pub fn packet(&mut self, sound: &[u8]) -> Vec<u8> {
        let packet = packet(self.ssrc, self.sequence, sound);
        self.sequence = self.sequence.wrapping_add(1);
        packet
    }

    /// Presses a key for 100 ms as a telephone event (RFC 4733), with the type that our offers give it.
    pub fn press(&mut self, key: char) -> anyhow::Result<()> {
        let event = "0123456789*#ABCD".find(key).context("no such key")? as u8;
        let timestamp = u32::from(self.sequence) * 160;
        for n in 1..=8_u16 {
            let end = n > 5;
            let mut packet = packet(self.ssrc, self.sequence, &[]);
            packet[1] = EVENTS | if n == 1 { 0x80 } else { 0 };
            packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
            packet.extend([event, if end { 0x8a } else { 0x0a }]);
            packet.extend((n.min(5) * 160).to_be_bytes());
            self.sequence = self.sequence.wrapping_add(1);
            self.rtp.send_to(&packet, self.remote)?;
        }
        Ok(())
    }

    /// For `frames` times 20 ms: sends what `say` gives, lets `meanwhile` do what it likes, and keeps what comes back.
    /// Returns the sound of all packets that came, in order.
    pub fn talk(
        &mut self,
        frames: usize,
        say: impl Fn(usize) -> Vec<u8>,
        mut meanwhile: impl FnMut(&mut Self, usize) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<u8>> {
        let mut heard = Vec::new();
        let mut buffer = [0; 2048];
        for frame in 0..frames {
            let packet = self.packet(&say(frame));
            self.rtp.send_to(&packet, self.remote)?;
            meanwhile(self, frame)?;
            // The caller's own clock.
            self.next += Duration::from_millis(20);
            std::thread::sleep(self.next.saturating_duration_since(Instant::now()));
            while let Ok((length, from)) = self.rtp.recv_from(&mut buffer) {
                anyhow::ensure!(from == self.remote, "sound from {from} instead of {}", self.remote);
                self.count(&buffer[..length]);
                heard.extend_from_slice(buffer.get(12..length).unwrap_or_default());
            }
            self.signals()?;
        }
        Ok(heard)
    }

    fn await_news(&mut self, what: &str, wanted: impl Fn(&News) -> bool) -> anyhow::Result<News> {
        wait::until(what, PATIENCE, || match self.signals() {
            Ok(()) => {
                let mut found = None;
                while let Some(news) = self.dialog.poll_news() {
                    if let News::Provisional(status) = news {
                        self.provisional.push(status);
                    }
                    found = found.or(Some(news).filter(&wanted));
                }
                found.map(Ok)
            }
            Err(error) => Some(Err(error)),
        })?
    }

    /// Sends and takes what there is to signal.
    fn signals(&mut self) -> anyhow::Result<()> {
        let mut buffer = [0; 8192];
        while let Ok((length, _)) = self.sip.recv_from(&mut buffer) {
            if let Some(message) = Message::parse(&buffer[..length]) {
                self.note(&buffer[..length]);
                self.dialog.handle_message(self.now(), &message);
            }
        }
        self.dialog.handle_timeout(self.now());
        while let Some(bytes) = self.dialog.poll_transmit() {
            self.note(&bytes);
            self.sip.send_to(&bytes, self.gateway).context("the SIP socket")?;
        }
        Ok(())
    }

    fn note(&mut self, message: &[u8]) {
        if self.said.len() == MOST_SAID {
            self.said.pop_front();
        }
        self.said.push_back(String::from_utf8_lossy(message).into_owned());
    }

    fn count(&mut self, packet: &[u8]) {
        let &[_, _, high, low, ..] = packet else { return };
        let sequence = u16::from_be_bytes([high, low]);
        let ahead = self.last.map_or(1, |last| sequence.wrapping_sub(last));
        self.heard += 1;
        // One that comes late was counted as missing.
        if ahead < 0x8000 {
            self.missing += u64::from(ahead.saturating_sub(1));
            self.last = Some(sequence);
        } else {
            self.missing = self.missing.saturating_sub(1);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// An RTP packet of PCMU whose timestamp goes with its sequence number.
#[must_use]
pub fn packet(ssrc: u32, sequence: u16, sound: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend_from_slice(sound);
    packet
}

/// 20 ms of silence in PCMU.
#[must_use]
pub fn silence() -> Vec<u8> {
    vec![SILENCE; 160]
}

/// 20 ms of a loud tone of 1 kHz in PCMU.
#[must_use]
pub fn shout() -> Vec<u8> {
    let tone = |n: usize| (n as f64 / 8.0 * std::f64::consts::TAU).sin() * 20_000.0;
    (0..160).map(|n| crate::capture::to_ulaw(tone(n) as i16)).collect()
}

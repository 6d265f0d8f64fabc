//! Somebody who wishes a gateway ill: sends what no honest peer would, from an address of its own or of somebody else.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use crate::mutate::Seeded;

/// A source of messages that are each of another call.
pub struct Attacker {
    socket: UdpSocket,
    gateway: SocketAddr,
    seeded: Seeded,
    number: u64,
}

impl Attacker {
    /// Sends from this address, which need not be its own: its port is, so that it sees what comes back.
    pub fn at(ip: Ipv4Addr, gateway: SocketAddr) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((ip, 0))?;
        socket.set_nonblocking(true)?;
        let seed = u64::from(ip.to_bits());
        Ok(Self { socket, gateway, seeded: Seeded::new(seed), number: 0 })
    }

    /// Where it sends from.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    /// A request of a call of its own; `to` stands behind To's address, `rest` is further headers, and behind an empty line a
    /// body.
    pub fn request(&mut self, method: &str, to: &str, rest: &str) -> anyhow::Result<String> {
        self.number += 1;
        let (gateway, here, n) = (self.gateway, self.address()?, self.number);
        let (headers, body) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
        let headers = if headers.is_empty() { String::new() } else { format!("{}\r\n", headers.trim_end()) };
        Ok(format!(
            "{method} sip:1000@{gateway} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{here}{n};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:1000@{gateway}>;tag=f{n}\r\nTo: <sip:1000@{gateway}>{to}\r\n\
             Call-ID: {n}@{here}\r\nCSeq: 1 {method}\r\nContact: <sip:1000@{here}>\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// An INVITE with a usual offer.
    pub fn invite(&mut self) -> anyhow::Result<String> {
        let offer =
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n";
        self.request("INVITE", "", &format!("Content-Type: application/sdp\r\n\r\n{offer}"))
    }

    /// A message of which something is broken.
    pub fn junk(&mut self) -> anyhow::Result<Vec<u8>> {
        let whole = self.invite()?;
        let mut damaged = self.seeded.damaged(whole.as_bytes());
        damaged.truncate(60_000);
        Ok(damaged)
    }

    /// A tag that nobody gave anybody.
    pub fn tag(&mut self) -> String {
        format!(";tag={:016x}", self.seeded.bits())
    }

    /// Sends.
    pub fn send(&self, message: &[u8]) -> anyhow::Result<()> {
        self.socket.send_to(message, self.gateway)?;
        Ok(())
    }

    /// What has come back, counted by its first line.
    pub fn answers(&self) -> BTreeMap<String, u64> {
        let mut answers = BTreeMap::new();
        for text in self.messages() {
            *answers.entry(text.lines().next().unwrap_or_default().to_owned()).or_default() += 1;
        }
        answers
    }

    /// What has come back.
    pub fn messages(&self) -> Vec<String> {
        let mut messages = Vec::new();
        let mut buffer = [0; 65_536];
        while let Ok((length, _)) = self.socket.recv_from(&mut buffer) {
            messages.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        messages
    }
}

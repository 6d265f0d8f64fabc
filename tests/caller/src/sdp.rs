//! The offer a caller makes and what it must know of the answer (RFC 8866, RFC 3264): PCMU and telephone-event.

use std::net::{IpAddr, SocketAddr};

/// Payload type of telephone-event in the offer (RFC 4733).
pub(crate) const TELEPHONE_EVENT: u8 = 101;

/// Offers PCMU with 20 ms packets and telephone-event at `local`.
#[must_use]
pub fn offer(local: SocketAddr, session: u64) -> Vec<u8> {
    let (family, address) = match local.ip() {
        IpAddr::V4(ip) => ("IP4", ip.to_string()),
        IpAddr::V6(ip) => ("IP6", ip.to_string()),
    };
    format!(
        "v=0\r\no=caller {session} 1 IN {family} {address}\r\ns=call\r\nc=IN {family} {address}\r\nt=0 0\r\n\
         m=audio {} RTP/AVP 0 {TELEPHONE_EVENT}\r\na=rtpmap:0 PCMU/8000\r\n\
         a=rtpmap:{TELEPHONE_EVENT} telephone-event/8000\r\na=fmtp:{TELEPHONE_EVENT} 0-15\r\na=ptime:20\r\na=sendrecv\r\n",
        local.port()
    )
    .into_bytes()
}

/// What an answer settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Where the other side receives RTP.
    pub remote: SocketAddr,
    /// The payload type for keys, when the other side takes them.
    pub telephone_event: Option<u8>,
}

/// Reads an answer; `None` when it has no audio stream with PCMU.
pub(crate) fn answer(body: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(body).ok()?;
    let (mut address, mut port, mut telephone_event) = (None::<IpAddr>, None::<u16>, None);
    let mut in_audio = true;
    for line in text.lines() {
        let (kind, value) = line.split_once('=')?;
        match kind {
            "c" if in_audio => address = value.split(' ').nth(2).and_then(|a| a.split('/').next()?.parse().ok()),
            "m" => {
                in_audio = port.is_none() && value.starts_with("audio ");
                let mut fields = value.split(' ').skip(1);
                let (announced, profile) = (fields.next()?, fields.next()?);
                if in_audio && profile == "RTP/AVP" && fields.any(|payload| payload == "0") {
                    port = announced.parse().ok().filter(|&p| p != 0);
                }
            }
            "a" if in_audio => {
                let mapped = value.strip_prefix("rtpmap:").and_then(|m| m.split_once(' '));
                if let Some((payload, encoding)) = mapped
                    && encoding.to_ascii_lowercase().starts_with("telephone-event/8000")
                {
                    telephone_event = payload.parse().ok();
                }
            }
            _ => {}
        }
    }
    Some(Answer { remote: SocketAddr::new(address?, port?), telephone_event })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_offer_can_be_read_as_an_answer() {
        let local = "127.0.0.1:4000".parse().unwrap();
        let read = answer(&offer(local, 1)).unwrap();
        assert_eq!(read, Answer { remote: local, telephone_event: Some(101) });
    }

    #[test]
    fn a_media_level_address_wins_and_a_refused_stream_is_no_answer() {
        let text = "v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 5000 RTP/AVP 0\r\nc=IN IP4 10.0.0.2\r\n";
        assert_eq!(answer(text.as_bytes()).unwrap().remote, "10.0.0.2:5000".parse().unwrap());
        assert_eq!(answer(b"v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 0 RTP/AVP 0\r\n"), None);
        assert_eq!(answer(b"v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 5000 RTP/AVP 8\r\n"), None);
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = answer(&body);
        }
    }
}

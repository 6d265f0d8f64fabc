//! A dialog as the answering side keeps it (RFC 3261 12): pure state, no socket, no clock, no stack.

use std::net::SocketAddr;

use crate::address;
use crate::error::CommandError;

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No final response yet.
    Ringing,
    /// 200 sent, ACK awaited.
    Answered,
    /// ACK received.
    Confirmed,
    /// Over; kept only until its last transaction is.
    Ended,
}

/// Names a dialog: Call-ID, our tag, their tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct DialogKey {
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
    pub(crate) remote_tag: String,
}

/// What an ACK meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Acked {
    /// The call is up, or a change of it is in force.
    Confirmed,
    /// The call is up, and a BYE was waiting for that.
    HangUp(String),
    /// Nothing.
    Ignored,
}

/// What a BYE of ours may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HangUp {
    /// Send it.
    Now,
    /// After the ACK (RFC 3261 15).
    Later,
}

/// The dialog.
#[derive(Debug)]
pub(crate) struct Dialog {
    pub(crate) key: DialogKey,
    /// To of the INVITE with our tag: our From.
    pub(crate) local: String,
    /// From of the INVITE: our To.
    pub(crate) remote: String,
    pub(crate) phase: Phase,
    pub(crate) remote_target: String,
    /// Record-Route of the INVITE in its order (RFC 3261 12.1.1), each a name-addr.
    pub(crate) routes: Vec<String>,
    /// Where the INVITE came from: the way back when a URI names a host we will not resolve.
    pub(crate) source: SocketAddr,
    pub(crate) remote_cseq: u32,
    pub(crate) local_cseq: u32,
    /// The CSeq of a re-INVITE or UPDATE that waits for its answer.
    reoffer: Option<u32>,
    hang_up: Option<String>,
}

/// The parts of an INVITE that make a dialog.
#[derive(Debug)]
pub(crate) struct Invite {
    pub(crate) key: DialogKey,
    pub(crate) local: String,
    pub(crate) remote: String,
    pub(crate) remote_target: String,
    pub(crate) routes: Vec<String>,
    pub(crate) source: SocketAddr,
    pub(crate) cseq: u32,
}

impl Dialog {
    pub(crate) fn new(invite: Invite) -> Self {
        Self {
            key: invite.key,
            local: invite.local,
            remote: invite.remote,
            phase: Phase::Ringing,
            remote_target: invite.remote_target,
            routes: invite.routes,
            source: invite.source,
            remote_cseq: invite.cseq,
            local_cseq: 0,
            reoffer: None,
            hang_up: None,
        }
    }

    /// A final response of ours is about to be sent.
    pub(crate) fn answer(&mut self, accepted: bool) -> Result<(), CommandError> {
        match self.phase {
            Phase::Ringing => {
                self.phase = if accepted { Phase::Answered } else { Phase::Ended };
                Ok(())
            }
            Phase::Answered | Phase::Confirmed => Err(CommandError::Answered),
            Phase::Ended => Err(CommandError::Over),
        }
    }

    /// The far end is done: CANCEL or BYE. True when the call was not over before.
    pub(crate) fn end(&mut self) -> bool {
        let was = self.phase != Phase::Ended;
        self.phase = Phase::Ended;
        was
    }

    /// A CANCEL: only a ringing call can be cancelled (RFC 3261 9.2).
    pub(crate) fn cancel(&mut self) -> bool {
        self.phase == Phase::Ringing && self.end()
    }

    /// An ACK of a 2xx.
    pub(crate) fn acked(&mut self) -> Acked {
        match self.phase {
            Phase::Answered | Phase::Confirmed => {
                self.phase = Phase::Confirmed;
                match self.hang_up.take() {
                    Some(reason) => {
                        self.phase = Phase::Ended;
                        Acked::HangUp(reason)
                    }
                    None => Acked::Confirmed,
                }
            }
            Phase::Ringing | Phase::Ended => Acked::Ignored,
        }
    }

    /// We hang up.
    pub(crate) fn hang_up(&mut self, reason: String) -> Result<HangUp, CommandError> {
        match self.phase {
            Phase::Ringing => Err(CommandError::NotAnswered),
            Phase::Answered if self.hang_up.is_some() => Err(CommandError::Over),
            Phase::Answered => {
                self.hang_up = Some(reason);
                Ok(HangUp::Later)
            }
            Phase::Confirmed => {
                self.phase = Phase::Ended;
                Ok(HangUp::Now)
            }
            Phase::Ended => Err(CommandError::Over),
        }
    }

    /// Whether the driver already hung up and only the ACK is awaited.
    pub(crate) const fn is_hanging_up(&self) -> bool {
        self.hang_up.is_some()
    }

    /// A re-INVITE or UPDATE came; false while another one waits (RFC 3261 14.2).
    pub(crate) fn reoffer(&mut self, cseq: u32) -> bool {
        let free = self.reoffer.is_none();
        self.reoffer.get_or_insert(cseq);
        free
    }

    /// It is being answered; false when it no longer waits.
    pub(crate) fn reoffer_done(&mut self, cseq: u32) -> bool {
        let waits = self.reoffer == Some(cseq);
        if waits {
            self.reoffer = None;
        }
        waits
    }

    /// A request of the far end: its number must be higher than the last one's, gaps are legal (RFC 3261 12.2.2).
    pub(crate) fn in_order(&mut self, cseq: u32) -> bool {
        let in_order = cseq > self.remote_cseq;
        self.remote_cseq = self.remote_cseq.max(cseq);
        in_order
    }

    /// Our next request within the dialog and where to send it; `headers` are whole lines.
    pub(crate) fn request(&mut self, method: &str, via: &str, user_agent: &str, headers: &str) -> (String, SocketAddr) {
        self.local_cseq += 1;
        let uri_of =
            |value: &str| address::NameAddr::parse(value).map_or(value.to_owned(), |route| route.uri.to_owned());
        let first = self.routes.first().map(|route| uri_of(route));
        let strict = first.as_deref().is_some_and(|uri| {
            !uri.split(';')
                .skip(1)
                .any(|parameter| parameter.split('=').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("lr")))
        });
        // A strict router is named in the request-URI and takes the target from the last Route (RFC 3261 12.2.1.1).
        let (uri, routes): (String, Vec<String>) = match &first {
            Some(first) if strict => {
                let target = format!("<{}>", self.remote_target);
                (first.clone(), self.routes.iter().skip(1).cloned().chain([target]).collect())
            }
            _ => (self.remote_target.clone(), self.routes.clone()),
        };
        let hop = first.as_deref().unwrap_or(&self.remote_target);
        let destination = address::socket_addr(hop).unwrap_or(self.source);
        let route_lines: String = routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\n{route_lines}From: {}\r\nTo: {}\r\n\
             Call-ID: {}\r\nCSeq: {} {method}\r\nUser-Agent: {user_agent}\r\n{headers}Content-Length: 0\r\n\r\n",
            self.local, self.remote, self.key.call_id, self.local_cseq
        );
        (text, destination)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialog(routes: &[&str]) -> Dialog {
        Dialog::new(Invite {
            key: DialogKey { call_id: "c".to_owned(), local_tag: "l".to_owned(), remote_tag: "r".to_owned() },
            local: "<sip:100@gw>;tag=l".to_owned(),
            remote: "<sip:a@b>;tag=r".to_owned(),
            remote_target: "sip:a@192.0.2.9:5070".to_owned(),
            routes: routes.iter().map(|route| (*route).to_owned()).collect(),
            source: "192.0.2.1:5060".parse().unwrap(),
            cseq: 10,
        })
    }

    #[test]
    fn an_old_number_is_out_of_order_and_a_gap_is_not() {
        let mut dialog = dialog(&[]);
        assert!(!dialog.in_order(10) && !dialog.in_order(9));
        assert!(dialog.in_order(500));
        assert!(!dialog.in_order(11));
    }

    #[test]
    fn a_bye_before_the_ack_waits_for_it() {
        let mut dialog = dialog(&[]);
        assert_eq!(dialog.hang_up("x".to_owned()), Err(CommandError::NotAnswered));
        dialog.answer(true).unwrap();
        assert_eq!(dialog.hang_up("x".to_owned()), Ok(HangUp::Later));
        assert_eq!(dialog.hang_up("y".to_owned()), Err(CommandError::Over));
        assert_eq!(dialog.acked(), Acked::HangUp("x".to_owned()));
        assert_eq!(dialog.acked(), Acked::Ignored);
    }

    #[test]
    fn a_cancel_ends_only_a_call_that_rings() {
        let mut ringing = dialog(&[]);
        assert!(ringing.cancel());
        assert_eq!(ringing.answer(true), Err(CommandError::Over));
        let mut answered = dialog(&[]);
        answered.answer(true).unwrap();
        assert!(!answered.cancel());
        assert_eq!(answered.acked(), Acked::Confirmed);
        assert_eq!(answered.answer(false), Err(CommandError::Answered));
    }

    #[test]
    fn requests_go_to_the_target_or_the_first_route() {
        let (text, to) = dialog(&[]).request("BYE", "v", "ua", "");
        assert!(text.starts_with("BYE sip:a@192.0.2.9:5070 SIP/2.0\r\n") && text.contains("CSeq: 1 BYE\r\n"));
        assert!(text.contains("From: <sip:100@gw>;tag=l\r\nTo: <sip:a@b>;tag=r\r\n"));
        assert_eq!(to, "192.0.2.9:5070".parse().unwrap());

        let (text, to) = dialog(&["<sip:192.0.2.2;lr>", "<sip:192.0.2.3;lr>"]).request("BYE", "v", "ua", "");
        assert!(text.contains("Route: <sip:192.0.2.2;lr>\r\nRoute: <sip:192.0.2.3;lr>\r\n"));
        assert_eq!(to, "192.0.2.2:5060".parse().unwrap());

        let (text, to) = dialog(&["<sip:192.0.2.2>", "<sip:192.0.2.3;lr>"]).request("BYE", "v", "ua", "");
        assert!(text.starts_with("BYE sip:192.0.2.2 SIP/2.0\r\n"), "{text}");
        assert!(text.contains("Route: <sip:192.0.2.3;lr>\r\nRoute: <sip:a@192.0.2.9:5070>\r\n"));
        assert_eq!(to, "192.0.2.2:5060".parse().unwrap());

        let (_, to) = dialog(&["<sip:proxy.example;lr>"]).request("BYE", "v", "ua", "");
        assert_eq!(to, "192.0.2.1:5060".parse().unwrap(), "names are not resolved: back to where it came from");
    }
}

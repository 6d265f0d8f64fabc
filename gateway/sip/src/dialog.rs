//! A dialog as the answering side keeps it (RFC 3261 12): pure state, no socket, no clock, no stack.

use std::net::IpAddr;

use crate::address;
use crate::admission::{CallTerms, TrunkToken};
use crate::error::CommandError;
use crate::target::{named, next_hop};
use crate::transport::{Hop, Origin};
use trunkline_api::cidr::Cidr;

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

/// Why a session cannot be changed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unable {
    /// What came before has no answer of ours yet: 500 with Retry-After (RFC 3261 14.2, RFC 3311 5.2).
    Unanswered,
    /// An offer of ours has no answer of theirs yet: 491 (RFC 3261 14.2, RFC 3311 5.2).
    Offering,
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
    /// Where the INVITE came from, and after it the last target refresh.
    pub(crate) source: Hop,
    /// Whose call it is.
    pub(crate) trunk: TrunkToken,
    terms: CallTerms,
    /// Whether the far end has acknowledged an answer, which only who sees our answers can.
    proven: bool,
    /// The number of the far end's last request; nothing before its first in a call of ours.
    pub(crate) remote_cseq: Option<u32>,
    pub(crate) local_cseq: u32,
    /// The CSeq of a re-INVITE or UPDATE that waits for its answer.
    reoffer: Option<u32>,
    /// The CSeq of the INVITE whose 2xx waits for its ACK.
    unacked: Option<u32>,
    /// Whether that 2xx carries an offer of ours, whose answer comes with the ACK (RFC 3261 13.2.1).
    offering: bool,
    /// Whether a re-INVITE of ours waits for its answer.
    changing: bool,
    /// Whether we have placed the call, and so made its Call-ID.
    ours: bool,
    hang_up: Option<String>,
    /// What the far end is to be asked to dial as soon as it has acknowledged our answer.
    refer_later: Option<String>,
}

/// The parts of an INVITE that make a dialog.
#[derive(Debug)]
pub(crate) struct Invite {
    pub(crate) key: DialogKey,
    pub(crate) local: String,
    pub(crate) remote: String,
    pub(crate) remote_target: String,
    pub(crate) routes: Vec<String>,
    pub(crate) source: Hop,
    pub(crate) trunk: TrunkToken,
    pub(crate) terms: CallTerms,
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
            trunk: invite.trunk,
            terms: invite.terms,
            proven: false,
            remote_cseq: Some(invite.cseq),
            local_cseq: 0,
            reoffer: None,
            unacked: None,
            offering: false,
            changing: false,
            ours: false,
            hang_up: None,
            refer_later: None,
        }
    }

    /// A call of ours was answered, by whom our INVITE had reached: nobody else knows its branch. `cseq` is the number of our
    /// last request.
    pub(crate) const fn placed(&mut self, cseq: u32) {
        self.phase = Phase::Confirmed;
        self.proven = true;
        self.ours = true;
        self.remote_cseq = None;
        self.local_cseq = cseq;
    }

    /// Whether a request, whose origin belongs to `trunk` now, is one of this dialog's: it comes from where the call came
    /// from, or from a peer of its trunk that may speak for it. The dialog outlives its trunk: of an address that belongs to
    /// none any more the terms of the call decide. Of a call that nobody can read along nothing is taken in clear.
    pub(crate) fn admits(&self, origin: &Origin<'_>, trunk: Option<&TrunkToken>) -> bool {
        let secret = origin.transport.is_secure() || !self.source.transport.is_secure();
        let near = |source: IpAddr| {
            source == self.source.address.ip()
                || (trunk.is_none_or(|trunk| *trunk == self.trunk)
                    && self.terms.peers.iter().any(|range| range.contains(source)))
        };
        // Who is known by a certificate may come from anywhere.
        let proven = !origin.names.is_empty() && trunk == Some(&self.trunk);
        secret && (proven || near(origin.address))
    }

    /// From where else requests of this dialog may come.
    pub(crate) fn peers(&self) -> &[Cidr] {
        &self.terms.peers
    }

    /// A target refresh took effect (RFC 3261 12.2.2): what the far end is to be reached by, and where it is now.
    pub(crate) fn refresh(&mut self, target: Option<String>, source: Hop) {
        if let Some(target) = target {
            self.remote_target = target;
            self.source = source;
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
                self.proven = true;
                self.unacked = None;
                self.offering = false;
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

    /// A re-INVITE, or an UPDATE with an offer, came. A 2xx of ours that is not acknowledged yet is no obstacle while it
    /// carries no offer: what it answered is agreed on (RFC 5407 3.1.4).
    pub(crate) fn reoffer(&mut self, cseq: u32) -> Result<(), Unable> {
        if self.phase == Phase::Ringing || self.reoffer.is_some() {
            return Err(Unable::Unanswered);
        }
        if self.offering || self.changing {
            return Err(Unable::Offering);
        }
        self.reoffer = Some(cseq);
        Ok(())
    }

    /// The far end is to be asked to dial: whether that can be said now, or is said behind its ACK, as a BYE is.
    pub(crate) fn refer(&mut self, to: &str) -> Result<bool, CommandError> {
        match self.phase {
            Phase::Ringing => Err(CommandError::NotAnswered),
            Phase::Answered => {
                self.refer_later = Some(to.to_owned());
                Ok(false)
            }
            Phase::Confirmed => Ok(true),
            Phase::Ended => Err(CommandError::Over),
        }
    }

    /// What is to be asked now that the ACK is here.
    pub(crate) const fn take_refer(&mut self) -> Option<String> {
        self.refer_later.take()
    }

    /// A re-INVITE of ours is about to be sent: not while another is under way, in either direction (RFC 3261 14.1).
    pub(crate) fn change(&mut self) -> Result<(), CommandError> {
        match self.phase {
            Phase::Ringing => return Err(CommandError::NotAnswered),
            // Its ACK is awaited.
            Phase::Answered => return Err(CommandError::Changing),
            Phase::Ended => return Err(CommandError::Over),
            Phase::Confirmed => {}
        }
        if self.changing || self.reoffer.is_some() || self.unacked.is_some() {
            return Err(CommandError::Changing);
        }
        self.changing = true;
        Ok(())
    }

    /// It has its answer, or never gets one.
    pub(crate) const fn change_done(&mut self) {
        self.changing = false;
    }

    /// Whether we have placed the call.
    pub(crate) const fn is_ours(&self) -> bool {
        self.ours
    }

    /// A 2xx to the INVITE of that number is about to be sent, with our answer or with an offer of ours.
    pub(crate) fn await_ack(&mut self, cseq: u32, offering: bool) {
        self.unacked = Some(cseq);
        self.offering = offering;
    }

    /// Whether an ACK of that number is the one that is awaited.
    pub(crate) fn awaits_ack(&self, cseq: u32) -> bool {
        self.phase != Phase::Ended && self.unacked == Some(cseq)
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
        let in_order = self.remote_cseq.is_none_or(|last| cseq > last);
        self.remote_cseq = self.remote_cseq.max(Some(cseq));
        in_order
    }

    /// Where our next request within the dialog goes.
    pub(crate) fn destination(&self) -> Hop {
        // Where nobody has acknowledged anything the call may be of somebody who forged its source: nothing goes to a third.
        if !self.proven {
            return self.source;
        }
        next_hop(self.terms.nat, self.first_route().as_deref(), &self.remote_target, self.source)
    }

    /// Where it goes when nobody can be reached there: the connection that the call came over is closed, or nobody listens
    /// where the far end says of itself.
    pub(crate) fn detour(&self) -> Option<Hop> {
        let (first, source) = (self.destination(), self.source);
        if first != source {
            return Some(source);
        }
        let said = named(self.first_route().as_deref().unwrap_or(&self.remote_target), source)?;
        let downgraded = source.transport.is_secure() && !said.transport.is_secure();
        (self.proven && said != source && !downgraded).then_some(said)
    }

    /// Whether every hop is to be encrypted (RFC 3261 12.1.1).
    pub(crate) fn is_secure(&self) -> bool {
        self.remote_target.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sips:"))
    }

    /// The address that our far end is to know us by, where its trunk says another than we listen on.
    pub(crate) const fn advertised(&self) -> Option<IpAddr> {
        self.terms.advertised
    }

    fn first_route(&self) -> Option<String> {
        let route = self.routes.first()?;
        Some(address::NameAddr::parse(route).map_or(route.clone(), |route| route.uri.to_owned()))
    }

    /// Our next request within the dialog and where to send it; `headers` are whole lines.
    pub(crate) fn request(&mut self, method: &str, via: &str, user_agent: &str, headers: &str) -> (String, Hop) {
        self.request_with(method, via, user_agent, headers, "")
    }

    /// The same with a body, of which `headers` say what it is.
    pub(crate) fn request_with(
        &mut self,
        method: &str,
        via: &str,
        user_agent: &str,
        headers: &str,
        body: &str,
    ) -> (String, Hop) {
        self.local_cseq += 1;
        self.written(method, self.local_cseq, via, user_agent, headers, body)
    }

    /// The ACK of a 2xx to our request of that number (RFC 3261 13.2.2.4).
    pub(crate) fn ack(&self, cseq: u32, via: &str, user_agent: &str, headers: &str) -> (String, Hop) {
        self.written("ACK", cseq, via, user_agent, headers, "")
    }

    fn written(
        &self,
        method: &str,
        cseq: u32,
        via: &str,
        user_agent: &str,
        headers: &str,
        body: &str,
    ) -> (String, Hop) {
        let first = self.first_route();
        let destination = self.destination();
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
        let route_lines: String = routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\n{route_lines}From: {}\r\nTo: {}\r\n\
             Call-ID: {}\r\nCSeq: {cseq} {method}\r\nUser-Agent: {user_agent}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            self.local,
            self.remote,
            self.key.call_id,
            body.len()
        );
        (text, destination)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(address: &str) -> Hop {
        Hop::udp(address.parse().unwrap())
    }

    fn dialog(routes: &[&str]) -> Dialog {
        Dialog::new(Invite {
            key: DialogKey { call_id: "c".to_owned(), local_tag: "l".to_owned(), remote_tag: "r".to_owned() },
            local: "<sip:100@gw>;tag=l".to_owned(),
            remote: "<sip:a@b>;tag=r".to_owned(),
            remote_target: "sip:a@192.0.2.9:5070".to_owned(),
            routes: routes.iter().map(|route| (*route).to_owned()).collect(),
            source: udp("192.0.2.1:5060"),
            trunk: TrunkToken("trk_a".into()),
            terms: CallTerms { peers: vec!["192.0.2.0/28".parse().unwrap()], ..CallTerms::default() },
            cseq: 10,
        })
    }

    fn confirmed(routes: &[&str]) -> Dialog {
        let mut dialog = dialog(routes);
        dialog.answer(true).unwrap();
        assert_eq!(dialog.acked(), Acked::Confirmed);
        dialog
    }

    #[test]
    fn requests_are_taken_from_where_the_call_came_from_and_from_its_trunks_peers_only() {
        let dialog = dialog(&[]);
        let [own, other] = ["trk_a", "trk_b"].map(|name| TrunkToken(name.into()));
        for (source, trunk, taken) in [
            ("192.0.2.1", Some(&own), true),
            ("192.0.2.1", None, true),
            ("192.0.2.1", Some(&other), true),
            ("192.0.2.14", Some(&own), true),
            ("192.0.2.14", None, true),
            ("192.0.2.14", Some(&other), false),
            ("192.0.2.16", Some(&own), false),
            ("198.51.100.1", Some(&own), false),
            ("198.51.100.1", Some(&other), false),
            ("198.51.100.1", None, false),
        ] {
            assert_eq!(dialog.admits(&Origin::udp(source.parse().unwrap()), trunk), taken, "{source} {trunk:?}");
        }
    }

    #[test]
    fn a_target_refresh_moves_where_requests_go_and_nothing_goes_elsewhere_before_an_ack() {
        let mut dialog = confirmed(&[]);
        dialog.refresh(Some("sip:a@10.0.0.1".to_owned()), udp("192.0.2.2:7000"));
        let (text, to) = dialog.request("BYE", "v", "ua", "");
        assert!(text.starts_with("BYE sip:a@10.0.0.1 SIP/2.0\r\n"), "{text}");
        assert_eq!(to, udp("192.0.2.2:7000"));
        dialog.refresh(None, udp("192.0.2.3:7000"));
        assert_eq!(dialog.request("BYE", "v", "ua", "").1, udp("192.0.2.2:7000"), "no Contact, no refresh");

        let mut unproven = super::tests::dialog(&["<sip:198.51.100.9;lr>"]);
        unproven.answer(true).unwrap();
        assert_eq!(unproven.request("BYE", "v", "ua", "").1, udp("192.0.2.1:5060"));
    }

    #[test]
    fn an_old_number_is_out_of_order_and_a_gap_is_not() {
        let mut dialog = dialog(&[]);
        assert!(!dialog.in_order(10) && !dialog.in_order(9));
        assert!(dialog.in_order(500));
        assert!(!dialog.in_order(11));

        let mut ours = super::tests::dialog(&[]);
        ours.placed(1);
        assert!(ours.in_order(0), "the far end of a call of ours begins where it likes (RFC 3261 12.1.2)");
        assert!(!ours.in_order(0) && ours.in_order(1));
    }

    #[test]
    fn a_change_waits_for_what_came_before_it_and_not_for_an_ack_that_says_nothing() {
        let mut dialog = dialog(&[]);
        assert_eq!(dialog.reoffer(11), Err(Unable::Unanswered));
        dialog.answer(true).unwrap();
        dialog.await_ack(10, false);
        assert!(dialog.awaits_ack(10) && !dialog.awaits_ack(11));
        assert_eq!(dialog.reoffer(11), Ok(()));
        assert_eq!(dialog.reoffer(12), Err(Unable::Unanswered));
        assert!(dialog.reoffer_done(11));
        dialog.await_ack(11, true);
        assert_eq!(dialog.reoffer(13), Err(Unable::Offering));
        assert_eq!(dialog.acked(), Acked::Confirmed);
        assert_eq!(dialog.reoffer(14), Ok(()));
    }

    #[test]
    fn one_side_at_a_time_changes_the_session() {
        let mut dialog = dialog(&[]);
        assert_eq!(dialog.change(), Err(CommandError::NotAnswered));
        dialog.answer(true).unwrap();
        dialog.await_ack(10, false);
        assert_eq!(dialog.change(), Err(CommandError::Changing));
        assert_eq!(dialog.acked(), Acked::Confirmed);
        assert_eq!(dialog.change(), Ok(()));
        assert_eq!(dialog.change(), Err(CommandError::Changing));
        assert_eq!(dialog.reoffer(11), Err(Unable::Offering), "491: both have offered at once");
        dialog.change_done();
        assert_eq!(dialog.reoffer(12), Ok(()));
        assert_eq!(dialog.change(), Err(CommandError::Changing));
        assert!(dialog.reoffer_done(12));
        dialog.await_ack(12, false);
        assert_eq!(dialog.change(), Err(CommandError::Changing), "their INVITE is not over before its ACK");
        assert_eq!(dialog.acked(), Acked::Confirmed);
        assert_eq!(dialog.change(), Ok(()));
        let (invite, _) = dialog.request_with("INVITE", "v", "ua", "Content-Type: application/sdp\r\n", "v=0\r\n");
        assert!(invite.ends_with(
            "CSeq: 1 INVITE\r\nUser-Agent: ua\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
        ));
        dialog.request("INFO", "v", "ua", "");
        assert!(dialog.ack(1, "v", "ua", "").0.contains("CSeq: 1 ACK\r\n"), "whatever was asked meanwhile");
        dialog.end();
        assert_eq!(dialog.change(), Err(CommandError::Over));
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
        let (text, to) = confirmed(&[]).request("BYE", "v", "ua", "");
        assert!(text.starts_with("BYE sip:a@192.0.2.9:5070 SIP/2.0\r\n") && text.contains("CSeq: 1 BYE\r\n"));
        assert!(text.contains("From: <sip:100@gw>;tag=l\r\nTo: <sip:a@b>;tag=r\r\n"));
        assert_eq!(to, udp("192.0.2.9:5070"));

        let (text, to) = confirmed(&["<sip:192.0.2.2;lr>", "<sip:192.0.2.3;lr>"]).request("BYE", "v", "ua", "");
        assert!(text.contains("Route: <sip:192.0.2.2;lr>\r\nRoute: <sip:192.0.2.3;lr>\r\n"));
        assert_eq!(to, udp("192.0.2.2:5060"));

        let (text, to) = confirmed(&["<sip:192.0.2.2>", "<sip:192.0.2.3;lr>"]).request("BYE", "v", "ua", "");
        assert!(text.starts_with("BYE sip:192.0.2.2 SIP/2.0\r\n"), "{text}");
        assert!(text.contains("Route: <sip:192.0.2.3;lr>\r\nRoute: <sip:a@192.0.2.9:5070>\r\n"));
        assert_eq!(to, udp("192.0.2.2:5060"));

        let (_, to) = confirmed(&["<sip:proxy.example;lr>"]).request("BYE", "v", "ua", "");
        assert_eq!(to, udp("192.0.2.1:5060"), "names are not resolved: back to where it came from");
    }
}

//! One of the far ends that an INVITE of ours may come to: a dialog, early or confirmed (RFC 3261 12.1.2, 13.2.2.4).

use super::answer::Answer;
use super::call::Transmit;
use super::outgoing::Outgoing;
use crate::admission::CallTerms;
use crate::dialog::{Dialog, DialogKey, Invite};

/// A far end, by the tag of its To.
#[derive(Debug)]
pub(super) struct Fork {
    pub(super) tag: String,
    /// The number in events.
    pub(super) number: u8,
    /// The last request of ours within it: the INVITE at first, then PRACKs.
    pub(super) cseq: u32,
    /// The last provisional answer that was acknowledged.
    pub(super) rseq: Option<u32>,
    /// The answer to our offer, when a provisional response had it.
    pub(super) sdp: Option<String>,
    /// Status and whether a description came with it: what the driver was told last.
    pub(super) told: Option<(u16, bool)>,
    /// The ACK of its 2xx.
    pub(super) acked: Option<Transmit>,
}

impl Fork {
    pub(super) const fn new(tag: String, number: u8, cseq: u32) -> Self {
        Self { tag, number, cseq, rseq: None, sdp: None, told: None, acked: None }
    }

    /// The dialog that an answer of this far end makes or confirms; `from` is our From with its tag, `call` what was
    /// called, for answers without a Contact.
    pub(super) fn dialog(&self, answer: &Answer, from: &str, call: &Outgoing, terms: &CallTerms) -> Dialog {
        let mut routes = answer.record_routes.clone();
        routes.reverse();
        let key = DialogKey {
            call_id: answer.call_id.clone(),
            local_tag: answer.from_tag.clone(),
            remote_tag: self.tag.clone(),
        };
        let mut dialog = Dialog::new(Invite {
            key,
            local: from.to_owned(),
            remote: answer.to.clone(),
            remote_target: answer.contact_uri().unwrap_or_else(|| call.target.clone()),
            routes,
            source: answer.source,
            trunk: call.trunk.clone(),
            terms: terms.clone(),
            cseq: 0,
        });
        dialog.placed(self.cseq);
        dialog
    }
}

//! A call's descriptions over its life (RFC 3264 8): the o= line's version grows exactly when what we say changes, media
//! lines and payload types keep their places and meanings, one offer is answered before the next, and a call that was
//! encrypted stays so.

use std::fmt;

use trunkline_leg::{Direction, MediaSpec};

use crate::answer::{Answer, Lines, answer_to};
use crate::crypto::redacted;
use crate::error::SdpError;
use crate::local::LocalMedia;
use crate::offer::{Offered, offer_within, settle};
use crate::payload::Numbers;
use crate::remote::{self, Description};
use crate::revision::{Origin, Revision};

/// One call's side of offer/answer, from the first description to the last re-INVITE.
#[derive(Clone)]
pub struct Session {
    local: LocalMedia,
    /// The last description we sent.
    sent: Option<String>,
    media: Option<MediaSpec>,
    /// An offer of ours that waits for its answer.
    pending: Option<Offered>,
    lines: Lines,
    numbers: Numbers,
    /// The o= line of their last description, and what else it said.
    theirs: Option<(Origin, u64)>,
    revision: Revision,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sent = self.sent.as_deref().map(redacted);
        f.debug_struct("Session")
            .field("local", &self.local)
            .field("sent", &sent)
            .field("media", &self.media)
            .field("pending", &self.pending.is_some())
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A session that has said nothing yet; `local.version` is the first version.
    #[must_use]
    pub fn new(local: LocalMedia) -> Self {
        Self {
            local,
            sent: None,
            media: None,
            pending: None,
            lines: Lines::default(),
            numbers: Numbers::default(),
            theirs: None,
            revision: Revision::First,
        }
    }

    /// Answers an offer, the first or a later one. A refused offer leaves the session as it was. Once media is
    /// encrypted, an offer of plain media is refused.
    ///
    /// # Errors
    /// As [`fn@crate::answer`], and [`SdpError::OfferPending`] while an offer of ours waits for its answer.
    pub fn answer(&mut self, offer: &str) -> Result<Answer, SdpError> {
        if self.pending.is_some() {
            return Err(SdpError::OfferPending);
        }
        let description = remote::parse(offer)?;
        let mut made = answer_to(&description, &self.local)?;
        if self.sent.as_ref().is_some_and(|sent| *sent != made.answer.sdp) {
            self.local.version += 1;
            made = answer_to(&description, &self.local)?;
        }
        self.sent = Some(made.answer.sdp.clone());
        self.lines = made.lines;
        self.numbers.learn(&made.payloads);
        self.judge(description);
        self.settle(made.answer.media.clone());
        Ok(made.answer)
    }

    /// Our offer: for a call of ours, or where the far end asked for one. The same until it is answered.
    pub fn offer(&mut self) -> String {
        if let Some(pending) = &self.pending {
            return pending.sdp.clone();
        }
        let mut made = offer_within(&self.local, &self.lines, &self.numbers);
        if self.sent.as_ref().is_some_and(|sent| *sent != made.sdp) {
            self.local.version += 1;
            made = offer_within(&self.local, &self.lines, &self.numbers);
        }
        self.sent = Some(made.sdp.clone());
        self.pending.insert(made).sdp.clone()
    }

    /// Our offer to go on as agreed in those directions, which are wanted from now on: the codec in force alone, and keys only
    /// where there are some, so that nothing else changes. [`Direction::SendOnly`] or [`Direction::Inactive`] puts the far end on
    /// hold.
    pub fn offer_directions(&mut self, direction: Direction) -> String {
        self.local.direction = direction;
        let Some(media) = &self.media else { return self.offer() };
        let as_agreed = LocalMedia {
            codecs: vec![media.codec],
            dtmf: self.local.dtmf && media.dtmf_payload_type.is_some(),
            comfort_noise: self.local.comfort_noise && media.comfort_noise_payload_type.is_some(),
            srtp: self.local.srtp.clone().filter(|_| media.srtp.is_some()),
            ptime_ms: media.ptime_ms,
            ..self.local.clone()
        };
        let usual = std::mem::replace(&mut self.local, as_agreed);
        let offer = self.offer();
        self.local = LocalMedia { version: self.local.version, ..usual };
        offer
    }

    /// Takes the far end's answer to [`Session::offer`]. One that does not fit leaves the session as it was, without an
    /// offer that waits; what was agreed on before is still in force.
    ///
    /// # Errors
    /// As [`crate::accept_answer`], and [`SdpError::Mismatch`] when no offer of ours waits.
    pub fn accept_answer(&mut self, answer: &str) -> Result<&MediaSpec, SdpError> {
        let offered = self.pending.take().ok_or(SdpError::Mismatch("no offer waits for one"))?;
        let description = remote::parse(answer)?;
        let media = settle(&description, &offered, &self.local)?;
        self.numbers.learn(offered.payloads());
        self.lines = offered.into_lines();
        self.judge(description);
        Ok(self.settle(media))
    }

    /// Whether an offer of ours waits for its answer.
    #[must_use]
    pub const fn is_offering(&self) -> bool {
        self.pending.is_some()
    }

    /// Our offer was refused, or nobody answered it; what was agreed on before is still in force.
    pub fn withdraw(&mut self) {
        self.pending = None;
    }

    /// The directions that we want from the next description on: [`Direction::SendOnly`] or [`Direction::Inactive`] puts the
    /// far end on hold.
    pub const fn set_direction(&mut self, direction: Direction) {
        self.local.direction = direction;
    }

    /// What is in force, `None` before the first exchange is complete.
    #[must_use]
    pub const fn media(&self) -> Option<&MediaSpec> {
        self.media.as_ref()
    }

    /// The RTP port that we receive at.
    #[must_use]
    pub const fn rtp_port(&self) -> u16 {
        self.local.port
    }

    /// Whether the o= line of the far end's last description told the truth.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    fn judge(&mut self, description: Description) {
        let Description { origin, fingerprint, .. } = description;
        self.revision = match (&origin, &self.theirs) {
            (Some(now), Some((before, body))) => now.revision(before, *body == fingerprint),
            _ => Revision::First,
        };
        self.theirs = origin.map(|origin| (origin, fingerprint));
    }

    fn settle(&mut self, media: MediaSpec) -> &MediaSpec {
        if let Some(srtp) = &mut self.local.srtp {
            srtp.required |= media.srtp.is_some();
        }
        self.media.insert(media)
    }
}

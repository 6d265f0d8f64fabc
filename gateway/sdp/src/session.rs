//! A call's descriptions over its life: the o= line's version grows exactly when what we say changes (RFC 3264 8), and a
//! call that was encrypted stays so.

use std::fmt;

use trunkline_leg::MediaSpec;

use crate::answer::{Answer, answer};
use crate::crypto::redacted;
use crate::error::SdpError;
use crate::local::LocalMedia;
use crate::offer::{accept_answer, offer};

/// One call's side of offer/answer, from the first description to the last re-INVITE.
#[derive(Clone)]
pub struct Session {
    local: LocalMedia,
    /// The last description we sent.
    sent: Option<String>,
    media: Option<MediaSpec>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sent = self.sent.as_deref().map(redacted);
        f.debug_struct("Session").field("local", &self.local).field("sent", &sent).field("media", &self.media).finish()
    }
}

impl Session {
    /// A session that has said nothing yet; `local.version` is the first version.
    #[must_use]
    pub const fn new(local: LocalMedia) -> Self {
        Self { local, sent: None, media: None }
    }

    /// Answers an offer, the first or a later one. A refused offer leaves the session as it was. Once media is
    /// encrypted, an offer of plain media is refused.
    ///
    /// # Errors
    /// As [`fn@answer`].
    pub fn answer(&mut self, offer: &str) -> Result<Answer, SdpError> {
        let mut made = answer(offer, &self.local)?;
        if self.sent.as_ref().is_some_and(|sent| *sent != made.sdp) {
            self.local.version += 1;
            made = answer(offer, &self.local)?;
        }
        self.sent = Some(made.sdp.clone());
        self.settle(made.media.clone());
        Ok(made)
    }

    /// Our offer, when the far end asked for one.
    pub fn offer(&mut self) -> String {
        let mut made = offer(&self.local);
        if self.sent.as_ref().is_some_and(|sent| *sent != made) {
            self.local.version += 1;
            made = offer(&self.local);
        }
        self.sent = Some(made.clone());
        made
    }

    /// Takes the far end's answer to [`Session::offer`].
    ///
    /// # Errors
    /// As [`accept_answer`].
    pub fn accept_answer(&mut self, answer: &str) -> Result<&MediaSpec, SdpError> {
        let media = accept_answer(answer, &self.local)?;
        Ok(self.settle(media))
    }

    /// What is in force, `None` before the first exchange is complete.
    #[must_use]
    pub const fn media(&self) -> Option<&MediaSpec> {
        self.media.as_ref()
    }

    fn settle(&mut self, media: MediaSpec) -> &MediaSpec {
        if let Some(srtp) = &mut self.local.srtp {
            srtp.required |= media.srtp.is_some();
        }
        self.media.insert(media)
    }
}

//! What the owner of a leg has its worker change: made ready off the worker's thread, so that the worker only swaps.

use std::net::IpAddr;

use trunkline_dsp::chain::SoundChange;
use trunkline_leg::{MediaSpec, SrtpSpec};

use crate::codec::LegCodec;
use crate::conference::ConferenceSeat;
use crate::config::{LegSound, SourcePolicy};
use crate::error::MediaError;
use crate::leg::Held;
use crate::plane::check_packet_time;
use crate::source::{Signalled, SourceGate};
use crate::srtp::Srtp;
use crate::tones::Tones;

/// A change. What it replaced is left in it, and it goes back to whoever made it to be dropped there.
#[derive(Debug)]
pub(crate) enum LegOrder {
    /// Another outcome of offer and answer.
    Media {
        spec: MediaSpec,
        /// Another codec, or one with other parameters, for the leg's own rate.
        codec: Option<Box<LegCodec>>,
        /// Other keys.
        srtp: Option<Box<Srtp>>,
        /// Another far end, and whose packets are believed of it.
        far_end: Option<Box<SourceGate>>,
    },
    /// A place in a conference, or none any more.
    Conference(Option<Box<ConferenceSeat>>),
    /// Sound of a hold, or none any more.
    Held(Option<Box<Held>>),
    /// Listens for tones, or no more.
    Tones(Option<Box<Tones>>),
    /// Another sound.
    Sound { sound: LegSound, change: Box<SoundChange> },
}

/// Whether a leg whose sound has `rate` Hz can be changed to a description: its packet time, codec and keys are ones that can
/// be had. What is agreed on with a far end is looked at first, since what was agreed on cannot be taken back.
///
/// # Errors
/// [`MediaError::PacketTime`], [`MediaError::Codec`] or [`MediaError::Keys`], saying which of them cannot.
pub fn check_change(spec: &MediaSpec, rate: u32) -> Result<(), MediaError> {
    check_packet_time(spec)?;
    LegCodec::new(spec, rate)?;
    spec.srtp.as_ref().map(encryption).transpose()?;
    Ok(())
}

impl LegOrder {
    /// What leads from `before` to `after` on a leg whose sound has `rate` Hz.
    pub(crate) fn media(before: &MediaSpec, after: MediaSpec, rate: u32) -> Result<Self, MediaError> {
        let differs = LegCodec::differs(before, &after);
        let codec = differs.then(|| LegCodec::new(&after, rate).map(Box::new)).transpose()?;
        let srtp = match &after.srtp {
            Some(keys) if before.srtp.as_ref() != Some(keys) => Some(encryption(keys)?),
            Some(_) | None => None,
        };
        Ok(Self::Media { spec: after, codec, srtp, far_end: None })
    }

    /// What leads to another far end: nothing of what was before is believed, and its keys begin at their beginning.
    pub(crate) fn far_end(
        before: &MediaSpec,
        after: MediaSpec,
        rate: u32,
        source: SourcePolicy,
        signalling_ip: Option<IpAddr>,
    ) -> Result<Self, MediaError> {
        let gate = SourceGate::new(source, Signalled::of(&after), signalling_ip, 0);
        let codec = LegCodec::differs(before, &after).then(|| LegCodec::new(&after, rate).map(Box::new)).transpose()?;
        let srtp = after.srtp.as_ref().map(encryption).transpose()?;
        Ok(Self::Media { spec: after, codec, srtp, far_end: Some(Box::new(gate)) })
    }
}

/// Encryption with these keys, before its first packet.
pub(crate) fn encryption(keys: &SrtpSpec) -> Result<Box<Srtp>, MediaError> {
    Srtp::new(keys).map(Box::new).ok_or(MediaError::Keys { suite: keys.suite })
}

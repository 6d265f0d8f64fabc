//! Why a call is refused, for the caller in a status and for the operator in a line that can be found again.

use trunkline_api::Failure;
use trunkline_media::MediaError;
use trunkline_route::Table;
use trunkline_sdp::{SdpError, Warning};

use crate::line::Invite;
use crate::load::{Overload, Why};

/// A call is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Why.
    pub(crate) failure: Failure,
    /// After how many seconds it may be worth another try, where that is known.
    pub(crate) retry_after_s: Option<u32>,
    /// What of its offer cannot be met.
    pub(crate) warning: Option<Warning>,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self { failure, retry_after_s: None, warning: None }
    }
}

/// A call that a part of the gateway has no time for.
pub(crate) fn overloaded(overload: Overload) -> Refused {
    let Overload { part, why, retry_after_s } = overload;
    let part = part.name();
    match why {
        Why::Late { late_ms } => tracing::warn!(part, late_ms, retry_after_s, "a call was refused: turns come late"),
        Why::Busy { expected_permille } => {
            tracing::warn!(part, expected_permille, retry_after_s, "a call was refused: there is no time for it");
        }
    }
    Refused { retry_after_s: Some(retry_after_s), ..Failure::GatewayOverloaded.into() }
}

/// An offer that cannot be answered.
pub(crate) fn bad_offer(error: &SdpError) -> Refused {
    let failure = match error {
        SdpError::Syntax(_) | SdpError::TooLarge => Failure::BadOffer,
        SdpError::NoCommonCodec { .. } => Failure::NoCommonCodec,
        _ => Failure::OfferUnacceptable,
    };
    Refused { warning: error.warning(), ..failure.into() }
}

/// `ENFILE` and `EMFILE`: the machine or this process has as many files open as it may.
const OUT_OF_FILES: [i32; 2] = [23, 24];

/// The failure behind media that cannot be had.
pub(crate) fn media_failure(error: &MediaError) -> Failure {
    tracing::warn!(%error, "no media for a call");
    match error {
        MediaError::NoPorts { .. } => Failure::NoMediaPorts,
        MediaError::Socket(error) if error.raw_os_error().is_some_and(|code| OUT_OF_FILES.contains(&code)) => {
            Failure::NoDescriptors
        }
        MediaError::Overloaded => Failure::GatewayOverloaded,
        _ => Failure::GatewayFull,
    }
}

/// Tells operators of a refused call: its trunk and the random part of its Call-ID, by which it is found in a capture and
/// at the peer. Who called whom, and from where, is for DEBUG.
pub(crate) fn tell(failure: Failure, invite: &Invite, table: &Table) {
    let trunk = table.trunk(invite.source).map(|trunk| tracing::field::display(&trunk.id));
    let sip_call_id = invite.call_id.split('@').next();
    let (status, failure_name) = (failure.sip_status(), failure.name());
    tracing::info!(status, failure = failure_name, trunk, sip_call_id, "call refused: {failure}");
    let (source, call_id) = (invite.source, &invite.call_id);
    tracing::debug!(%source, from = invite.from_user, to = invite.to_user, call_id, "call refused");
}

#[cfg(test)]
mod tests {
    use trunkline_api::failure::DefaultAction;

    use super::*;

    #[test]
    fn each_offer_is_refused_for_its_own_reason_with_the_status_of_it() {
        let address = SdpError::Address { address: "2001:db8::1".to_owned(), expected: "IPv4", multicast: false };
        for (error, failure) in [
            (SdpError::Syntax("no such line".to_owned()), Failure::BadOffer),
            (SdpError::TooLarge, Failure::BadOffer),
            (SdpError::NoCommonCodec { offered: "G729".to_owned() }, Failure::NoCommonCodec),
            (SdpError::NoAudio, Failure::OfferUnacceptable),
            (address, Failure::OfferUnacceptable),
        ] {
            let refused = bad_offer(&error);
            assert_eq!(refused.failure, failure, "{error}");
            assert_eq!(refused.warning.is_some(), error.sip_status() == 488, "{error}");
            assert_eq!(failure.sip_status(), error.sip_status(), "{error}");
            assert_eq!(failure.default_action(), DefaultAction::RefuseCall);
        }
    }
}

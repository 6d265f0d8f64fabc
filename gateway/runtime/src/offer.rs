//! What a caller offers its sound by, and what becomes of it: ports and an answer, or the stream that is there already.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use trunkline_api::Failure;
use trunkline_api::object::SrtpPolicy;
use trunkline_leg::{Codec, Direction, MediaSpec, SrtpKeys};
use trunkline_media::{Link, MediaPlane, StreamLink};
use trunkline_route::Trunk;
use trunkline_sdp::{LocalMedia, LocalSrtp, Session};

use crate::capacity::{Amounts, Pool};
use crate::refusal::{Refused, bad_offer, media_failure};
use crate::shared::{Shared, random};

/// What a caller offers.
#[derive(Clone)]
pub(crate) enum Offer {
    /// A session description; without one the offer is ours, and the answer comes with the ACK (RFC 3261 13.2.1).
    Sdp(Option<String>),
    /// A stream; taken by whoever settles it.
    Stream(Arc<Mutex<Option<StreamLink>>>),
}

/// What it came to.
pub(crate) struct Settled {
    /// What the leg will be attached to; gone as soon as the caller is.
    pub(crate) link: Option<Link>,
    pub(crate) media: MediaSpec,
    /// What is told to the caller.
    pub(crate) answer: String,
    /// For what is negotiated later.
    pub(crate) session: Option<Session>,
}

impl Offer {
    /// A stream.
    pub(crate) fn stream(link: StreamLink) -> Self {
        Self::Stream(Arc::new(Mutex::new(Some(link))))
    }

    /// What a call takes whose agent takes `demand` with RTP: a stream has one socket, and no ports.
    pub(crate) fn demand(&self, mut demand: Amounts) -> Amounts {
        if let Self::Stream(_) = self {
            demand[Pool::MediaPorts] = 0;
            demand[Pool::Descriptors] = demand[Pool::Descriptors].saturating_sub(1);
        }
        demand
    }

    /// Reserves what the call's sound needs, by the trunk's policy. Nothing here waits.
    pub(crate) fn settle(
        &self,
        trunk: &Trunk,
        plane: &MediaPlane,
        shared: &Shared,
        version: u64,
    ) -> Result<Settled, Refused> {
        let offer = match self {
            Self::Sdp(offer) => offer.as_deref(),
            Self::Stream(link) => {
                let link = link.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(Failure::Internal)?;
                let media = link.spec();
                return Ok(Settled { link: Some(link.into()), media, answer: String::new(), session: None });
            }
        };
        let socket = plane.allocate().map_err(|error| media_failure(&error))?;
        let codecs: Vec<Codec> = trunk.codecs.iter().filter_map(|name| name.parse().ok()).collect();
        let first = *codecs.first().ok_or(Failure::NoCommonCodec)?;
        let local = LocalMedia {
            codecs,
            srtp: local_srtp(trunk.srtp)?,
            session_id: version,
            version,
            ..LocalMedia::new(shared.config.media_addr, socket.rtp_port())
        };
        let mut session = Session::new(local);
        let (media, answer) = match offer {
            Some(offer) => {
                let answer = session.answer(offer).map_err(|error| {
                    tracing::info!(%error, trunk = %trunk.id, "the offer cannot be answered");
                    bad_offer(&error)
                })?;
                (answer.media, answer.sdp)
            }
            None => (unsettled(first, shared.config.media_addr), session.offer()),
        };
        Ok(Settled { link: Some(socket.into()), media, answer, session: Some(session) })
    }
}

/// What media does until the answer to our offer is here: it goes nowhere, and nobody is heard.
fn unsettled(codec: Codec, addr: IpAddr) -> MediaSpec {
    let nowhere: IpAddr = if addr.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    MediaSpec {
        direction: Direction::Inactive,
        ..MediaSpec::new(codec, codec.offered_payload_type(), SocketAddr::new(nowhere, 0))
    }
}

/// What the trunk's policy makes of keys in an offer, with keys of ours for this call.
pub(crate) fn local_srtp(policy: SrtpPolicy) -> Result<Option<LocalSrtp>, Failure> {
    let keys = || Ok(SrtpKeys::from_random(random()?));
    Ok(match policy {
        SrtpPolicy::Off => None,
        SrtpPolicy::Optional => Some(LocalSrtp { required: false, keys: keys()? }),
        SrtpPolicy::Required => Some(LocalSrtp { required: true, keys: keys()? }),
    })
}

#[cfg(test)]
mod tests {
    use trunkline_api::object::{CODECS, is_codec};

    use super::*;

    #[test]
    fn the_codecs_that_trunks_may_name_are_those_that_media_makes() {
        assert_eq!(CODECS.map(str::to_owned), Codec::ALL.map(|codec| codec.to_string()));
        for name in CODECS.into_iter().chain(["l16", "OPUS", "pcmu"]) {
            assert!(is_codec(name) && name.parse::<Codec>().is_ok(), "{name}");
        }
        assert!(!is_codec("G729") && "G729".parse::<Codec>().is_err());
    }

    #[test]
    fn keys_are_made_for_a_call_only_where_the_trunk_takes_them() {
        assert_eq!(local_srtp(SrtpPolicy::Off), Ok(None));
        let [optional, required] =
            [SrtpPolicy::Optional, SrtpPolicy::Required].map(|policy| local_srtp(policy).unwrap().unwrap());
        assert!(!optional.required && required.required);
        assert_ne!(optional.keys, required.keys, "each call has its own");
    }
}

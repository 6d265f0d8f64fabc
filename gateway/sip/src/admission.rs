//! Who may speak to the endpoint: asked once per datagram, before anything else is looked at.

use std::net::IpAddr;
use std::sync::Arc;

use crate::doorkeeper::Account;
use crate::transport::Origin;
use trunkline_api::cidr::Cidr;
pub use trunkline_api::object::NatPolicy;

/// Names a trunk to the driver; opaque here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrunkToken(pub Arc<str>);

/// What holds for a call as long as it lasts, whatever becomes of its trunk meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallTerms {
    /// Where our requests within the call go.
    pub nat: NatPolicy,
    /// From where, beside the address that the call came from, requests within the call are taken while that address belongs
    /// to no other trunk. Nothing else can change or end the call, though it knows its tags.
    pub peers: Vec<Cidr>,
    /// The address that the trunk is told to reach us at, where it is another than we listen on.
    pub advertised: Option<IpAddr>,
}

/// Matches source addresses to trunks.
///
/// It is called on the receive path for every datagram, so it must not block: look an address up in a table that is
/// swapped whole when trunks change.
pub trait Admission: Send + Sync + 'static {
    /// The trunk an address belongs to, `None` when it belongs to none.
    fn trunk(&self, source: IpAddr) -> Option<TrunkToken>;

    /// The trunk that an origin belongs to, where its address is not all that counts.
    fn trunk_of(&self, origin: &Origin<'_>) -> Option<TrunkToken> {
        self.trunk(origin.address)
    }

    /// What holds for a call that comes in from `source`, an address of `trunk`; asked once per call.
    fn terms(&self, trunk: &TrunkToken, source: IpAddr) -> CallTerms {
        let _ = (trunk, source);
        CallTerms::default()
    }

    /// The ranges of all trunks: whoever is in one is banned for nothing but wrong passwords. Asked once a second.
    fn peers(&self) -> Vec<Cidr> {
        Vec::new()
    }

    /// What calls of a trunk must prove beside their address; `None` when that is enough.
    fn account(&self, _trunk: &TrunkToken) -> Option<Arc<Account>> {
        None
    }
}

impl<F> Admission for F
where
    F: Fn(IpAddr) -> Option<TrunkToken> + Send + Sync + 'static,
{
    fn trunk(&self, source: IpAddr) -> Option<TrunkToken> {
        self(source)
    }
}

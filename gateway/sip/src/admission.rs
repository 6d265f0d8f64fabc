//! Who may speak to the endpoint: asked once per datagram, before anything else is looked at.

use std::net::IpAddr;
use std::sync::Arc;

use crate::doorkeeper::Account;

/// Names a trunk to the driver; opaque here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrunkToken(pub Arc<str>);

/// Matches source addresses to trunks.
///
/// It is called on the receive path for every datagram, so it must not block: look an address up in a table that is
/// swapped whole when trunks change.
pub trait Admission: Send + Sync + 'static {
    /// The trunk an address belongs to, `None` when it belongs to none.
    fn trunk(&self, source: IpAddr) -> Option<TrunkToken>;

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

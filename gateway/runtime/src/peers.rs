//! Who may speak SIP to this gateway, and on which terms: the trunks of the desired state that is in service.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use trunkline_sip::{Admission, CallTerms, TrunkToken};

use crate::serving::Serving;

/// The trunks, as they are when somebody asks.
pub(crate) struct Peers(Arc<ArcSwap<Serving>>);

impl Peers {
    /// The trunks of what is in service.
    pub(crate) const fn new(serving: Arc<ArcSwap<Serving>>) -> Self {
        Self(serving)
    }
}

impl Admission for Peers {
    fn trunk(&self, source: IpAddr) -> Option<TrunkToken> {
        self.0.load().table.trunk(source).map(|trunk| TrunkToken(Arc::from(trunk.id.to_string())))
    }

    fn terms(&self, _trunk: &TrunkToken, source: IpAddr) -> CallTerms {
        let serving = self.0.load();
        // A trunk that is gone already leaves a call that is refused.
        serving
            .table
            .trunk(source)
            .map_or_else(CallTerms::default, |trunk| CallTerms { nat: trunk.nat, peers: trunk.dialog_ranges(source) })
    }
}

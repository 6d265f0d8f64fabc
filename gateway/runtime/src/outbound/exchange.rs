//! Where calls are handed over that leave: the SIP endpoint's dialler, or a test's.

use std::sync::Arc;

use trunkline_sip::{CallKey, DialError, DialHandle, Dialler, Kept, Outgoing, TrunkStatus, TrunkToken};

/// Places calls; none of it blocks.
pub(crate) trait Exchange: Send + Sync {
    /// Places a call.
    fn dial(&self, call: Outgoing) -> Result<Arc<dyn Dialling>, DialError>;

    /// How a trunk is; `None` when it is not looked after.
    fn trunk(&self, trunk: &TrunkToken) -> Option<TrunkStatus>;

    /// How all are that are looked after.
    fn trunks(&self) -> Vec<TrunkStatus>;

    /// Looks after these trunks from now on.
    fn keep(&self, trunks: Vec<Kept>);
}

/// A call that is being placed.
pub(crate) trait Dialling: Send + Sync {
    /// Its name in what follows.
    fn key(&self) -> CallKey;

    /// Its Call-ID.
    fn call_id(&self) -> &str;

    /// Gives up on it.
    fn cancel(&self);
}

impl Exchange for Dialler {
    fn dial(&self, call: Outgoing) -> Result<Arc<dyn Dialling>, DialError> {
        self.dial(call).map(|handle| Arc::new(handle) as Arc<dyn Dialling>)
    }

    fn trunk(&self, trunk: &TrunkToken) -> Option<TrunkStatus> {
        self.trunk(trunk)
    }

    fn trunks(&self) -> Vec<TrunkStatus> {
        self.trunks()
    }

    fn keep(&self, trunks: Vec<Kept>) {
        self.keep(trunks);
    }
}

impl Dialling for DialHandle {
    fn key(&self) -> CallKey {
        self.key()
    }

    fn call_id(&self) -> &str {
        self.call_id()
    }

    fn cancel(&self) {
        self.cancel();
    }
}

//! What of a trunk is looked after.

use std::net::IpAddr;

use crate::admission::TrunkToken;
use crate::auth::Credentials;
use crate::transport::Transport;

/// Most hosts of a trunk.
pub(super) const MOST_HOSTS: usize = 8;

/// A trunk that is looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The trunk.
    pub trunk: TrunkToken,
    /// Its servers in order of preference: name or address, and a port where there is one; at most 8. A name without a port
    /// is looked up as a service (RFC 3263).
    pub hosts: Vec<(String, Option<u16>)>,
    /// Host of the URIs we write.
    pub domain: String,
    /// Over what it is spoken to: UDP, TCP or TLS; `None` leaves it to the DNS, which is UDP where that says nothing. What is
    /// registered is told to call over UDP then.
    pub transport: Option<Transport>,
    /// The address that it is told to reach us at, where it is another than we listen on.
    pub advertised: Option<IpAddr>,
    /// Milliseconds between two OPTIONS to each host; `None` asks never.
    pub ping_ms: Option<u64>,
    /// The registration that is kept there.
    pub registration: Option<KeptRegistration>,
}

/// A registration that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRegistration {
    /// User of the address of record and of the contact.
    pub user: String,
    /// For how long a binding is asked for, in seconds.
    pub expires_s: u32,
    /// User and password.
    pub credentials: Option<Credentials>,
}

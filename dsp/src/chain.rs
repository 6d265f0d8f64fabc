//! Chains: a leg's whole uplink and downlink, a batch of calls per tick.

//! Comfort noise (RFC 3389): silence that sounds like the line it comes from.

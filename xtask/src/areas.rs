//! Areas of the product, so that one can be tested alone.

use std::fmt;

use clap::ValueEnum;

/// An area of `cargo xtask test --only`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Area {
    /// Signalling: SIP, SDP, routing.
    Sip,
    /// Media worker and legs.
    Media,
    /// Signal processing.
    Dsp,
    /// Plugin host, conformance and the plugins themselves.
    Plugins,
    /// Conversations and the runtime that drives them.
    Call,
    /// Control plane, sync and the edge store.
    ControlPlane,
    /// Packages, and what an installed machine does.
    Packaging,
    /// Documentation, and the rules of the house.
    Docs,
}

impl Area {
    /// The crates whose own tests belong to it.
    pub(crate) const fn crates(self) -> &'static [&'static str] {
        match self {
            Self::Sip => &["trunkline-sip", "trunkline-sdp", "trunkline-route"],
            Self::Media => &[
                "trunkline-media",
                "trunkline-recording",
                "trunkline-leg",
                "trunkline-dialects",
                "trunkline-ws",
                "trunkline-caller",
                "trunkline-load",
            ],
            Self::Dsp => &["trunkline-dsp"],
            Self::Plugins => &[
                "trunkline-plugin-host",
                "trunkline-plugin-conformance",
                "trunkline-egress",
                "trunkline-grammar-check",
            ],
            Self::Call => &["trunkline-call", "trunkline-runtime", "trunkline", "trunkline-bench-conversation"],
            Self::Packaging => &[],
            Self::Docs => &["xtask"],
            Self::ControlPlane => &[
                "trunkline-control-plane",
                "trunkline-api",
                "trunkline-configuration",
                "trunkline-state-folder",
                "trunkline-sync",
                "trunkline-edge-store",
            ],
        }
    }

    /// The prefix of the whole-product tests that belong to it.
    pub(crate) fn product_prefix(self) -> String {
        format!("{}_", self.to_string().replace('-', "_"))
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        f.write_str(&name)
    }
}

//! Areas of the product, so that one can be tested alone.

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
    /// WebSocket dialects.
    Dialects,
    /// Control plane, sync and the edge store.
    ControlPlane,
    /// Packages.
    Packaging,
    /// Documentation.
    Docs,
}

impl Area {
    /// The crates whose own tests belong to it.
    pub(crate) const fn crates(self) -> &'static [&'static str] {
        match self {
            Self::Sip => &["trunkline-sip", "trunkline-sdp", "trunkline-route"],
            Self::Media => &["trunkline-media", "trunkline-leg", "trunkline-caller"],
            Self::Dsp => &["trunkline-dsp"],
            Self::Plugins => &[
                "trunkline-plugin-host",
                "trunkline-plugin-conformance",
                "trunkline-egress",
                "trunkline-grammar-check",
            ],
            Self::Call => &["trunkline-call", "trunkline-runtime", "trunkline"],
            Self::Dialects | Self::Packaging | Self::Docs => &[],
            Self::ControlPlane => {
                &["trunkline-control-plane", "trunkline-api", "trunkline-sync", "trunkline-edge-store"]
            }
        }
    }

    /// The prefix of the whole-product tests that belong to it.
    pub(crate) const fn product_prefix(self) -> &'static str {
        match self {
            Self::Sip => "sip_",
            Self::Media => "media_",
            Self::Dsp => "dsp_",
            Self::Plugins => "plugins_",
            Self::Call => "call_",
            Self::Dialects => "dialects_",
            Self::ControlPlane => "control_plane_",
            Self::Packaging => "packaging_",
            Self::Docs => "docs_",
        }
    }
}

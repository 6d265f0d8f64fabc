//! Every way a call can go wrong, named once: what the wire says, whether a retry helps, what the gateway does by
//! default and the line an operator reads.

use serde::{Deserialize, Serialize};

/// What the gateway does about a failure unless the agent says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefaultAction {
    /// The next provider of the agent's list, with a bridge line meanwhile; then survival.
    NextProvider,
    /// Ask whether the caller is there, twice, then hang up politely.
    PromptCaller,
    /// Replace the whole text by a marker.
    FailClosed,
    /// End the call.
    HangUp,
    /// Refuse the new call; calls in progress go on.
    RefuseCall,
    /// Only record it.
    Record,
}

macro_rules! failures {
    ($($variant:ident $name:literal $sip:literal $q850:literal $http:literal $ws:literal $retry:literal $action:ident $line:literal),+ $(,)?) => {
        /// A named failure. `Display` is the operator's line; [`Failure::name`] the stable name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Failure { $(#[doc = $line] $variant),+ }

        impl Failure {
            /// Every failure.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// Its stable name, as in events, metrics and `failures` of an agent.
            #[must_use] pub const fn name(self) -> &'static str { match self { $(Self::$variant => $name),+ } }
            /// SIP status when it refuses or ends a call (RFC 3261 21).
            #[must_use] pub const fn sip_status(self) -> u16 { match self { $(Self::$variant => $sip),+ } }
            /// Q.850 cause for the Reason header (RFC 3326).
            #[must_use] pub const fn q850_cause(self) -> u8 { match self { $(Self::$variant => $q850),+ } }
            /// HTTP status where it answers a request.
            #[must_use] pub const fn http_status(self) -> u16 { match self { $(Self::$variant => $http),+ } }
            /// WebSocket close code (RFC 6455 7.4).
            #[must_use] pub const fn websocket_close(self) -> u16 { match self { $(Self::$variant => $ws),+ } }
            /// Whether trying again may succeed.
            #[must_use] pub const fn retryable(self) -> bool { match self { $(Self::$variant => $retry),+ } }
            /// What the gateway does by default.
            #[must_use] pub const fn default_action(self) -> DefaultAction { match self { $(Self::$variant => DefaultAction::$action),+ } }
            /// The line an operator reads.
            #[must_use] pub const fn operator_line(self) -> &'static str { match self { $(Self::$variant => $line),+ } }
        }
    };
}

failures! {
    AsrUnavailable "asr_unavailable" 503 38 503 1013 true NextProvider "The speech recogniser cannot be reached or ended; check the provider's status and the gateway's network.",
    AsrTimeout "asr_timeout" 503 102 504 1013 true NextProvider "The speech recogniser gave no words for speech it was sent; check its load.",
    LlmUnavailable "llm_unavailable" 503 38 503 1013 true NextProvider "The language model cannot be reached or refused; check its base URL and status.",
    LlmTimeout "llm_timeout" 503 102 504 1013 true NextProvider "The language model gave no token in time; check its load or raise `limits.llm_first_token_ms`.",
    TtsUnavailable "tts_unavailable" 503 38 503 1013 true NextProvider "The synthesiser cannot be reached or refused; check its status.",
    TtsZeroBytes "tts_zero_bytes" 503 38 503 1013 true NextProvider "The synthesiser gave no sound for text it was sent; check the voice and the text.",
    TtsTimeout "tts_timeout" 503 102 504 1013 true NextProvider "The synthesiser gave no sound in time; check its load.",
    EngineUnavailable "engine_unavailable" 503 38 503 1013 true NextProvider "The speech-to-speech engine cannot be reached, refused or ended; check its status and the gateway's network.",
    EngineTimeout "engine_timeout" 503 102 504 1013 true NextProvider "The speech-to-speech engine did not open or gave no sound in time; check its load or raise `limits.llm_first_token_ms`.",
    ToolFailed "tool_failed" 500 41 502 1011 false Record "A tool answered with an error; the model was told so.",
    ToolTimeout "tool_timeout" 500 102 504 1011 true Record "A tool did not answer in time; the model was told so.",
    KnowledgeFailed "knowledge_failed" 500 102 504 1011 true Record "A knowledge base gave nothing in time; the model was asked without it. See the gateway's load and `trunkline check`.",
    AgentRepeats "agent_repeats" 480 31 500 1000 false HangUp "The model gave the same answer in turn after turn (`guardrails.max_repeats`); look at its prompt and tools.",
    TooManyTurns "too_many_turns" 480 31 408 1000 false HangUp "The call reached `guardrails.max_turns`.",
    RedactorFailed "redactor_failed" 500 41 500 1011 false FailClosed "The redactor failed, so the whole text was withheld; check the plugin.",
    ProviderRateLimited "provider_rate_limited" 503 42 429 1013 true NextProvider "The provider limits the request rate; raise the quota or add a second provider.",
    ProviderUnauthorized "provider_unauthorized" 503 57 401 1008 false NextProvider "The provider refused the credentials; check the secret the plugin names.",
    ProviderProtocol "provider_protocol" 503 111 502 1002 false NextProvider "The provider's answer was not understood; check the plugin's version against the provider's.",
    PluginTrapped "plugin_trapped" 500 41 500 1011 true NextProvider "A plugin trapped; its session ended, nothing else was touched. Report it to the plugin's author.",
    PluginDeadline "plugin_deadline" 500 41 500 1011 true NextProvider "A plugin ran past its deadline and was interrupted; its session ended.",
    PluginMemory "plugin_memory" 500 41 500 1011 true NextProvider "A plugin asked for more memory than its limit; its session ended.",
    PluginRefused "plugin_refused" 500 41 500 1011 false NextProvider "A plugin was not loaded; `trunkline check` names the reason.",
    ProvidersExhausted "providers_exhausted" 503 38 503 1013 true HangUp "Every provider of a list failed; the caller was told and the call ended. Check the failures before this one.",
    CallerSilent "caller_silent" 480 19 408 1000 false PromptCaller "The caller said nothing.",
    NotAcknowledged "not_acknowledged" 408 102 408 1001 false HangUp "The answer was never acknowledged (no ACK came); look at NAT and at whether the far end can reach `sip.advertise`.",
    MediaTimeout "media_timeout" 408 31 408 1001 false HangUp "No RTP came for the configured time; check NAT and firewall.",
    CallTooLong "call_too_long" 480 31 408 1000 false HangUp "The call reached its longest permitted duration.",
    NoRoute "no_route" 404 1 404 1008 false RefuseCall "No route matches the called number; add a number or a route for it.",
    AgentUnready "agent_unready" 503 38 503 1013 true RefuseCall "A plugin of the agent is missing, refused or does not take its settings; `trunkline check` names it.",
    UnknownPeer "unknown_peer" 403 21 403 1008 false RefuseCall "The source address belongs to no trunk; add it to the trunk's `peers`.",
    IdentityMissing "identity_missing" 428 21 403 1008 false RefuseCall "The call has no Identity, and its trunk requires one (`stir`); have the peer sign its calls, or set `note`.",
    IdentityStale "identity_stale" 403 21 403 1008 false RefuseCall "The call's Identity is not of now; look at the clocks of both sides, or raise `sip.stir.freshness_s`.",
    IdentityUncertified "identity_uncertified" 436 21 403 1008 true RefuseCall "The certificate of the call's Identity could not be had; the log says why. Look at the gateway's way to the Internet, or lay it down in `sip.stir.certificates`.",
    IdentityUntrusted "identity_untrusted" 437 21 403 1008 false RefuseCall "The certificate of the call's Identity is of nobody who is believed, not in force or not for the number; look at `sip.stir.roots`.",
    IdentityInvalid "identity_invalid" 438 21 403 1008 false RefuseCall "The call's Identity does not hold: it cannot be read, was changed, or is of another call; the log says which. Look at the trunk's `numbering`.",
    NoCommonCodec "no_common_codec" 488 65 415 1003 false RefuseCall "The offer has no codec of the trunk's list.",
    BadOffer "bad_offer" 400 95 400 1007 false RefuseCall "The offer is no session description or too large for one; the log says where it goes wrong.",
    OfferUnacceptable "offer_unacceptable" 488 88 415 1003 false RefuseCall "The offer has nothing that can be answered: no audio, other media, secure media only, or an address of the wrong kind; the log says which.",
    GatewayFull "gateway_full" 503 42 503 1013 true RefuseCall "The gateway or trunk is at its call limit.",
    NoMediaPorts "no_media_ports" 503 47 503 1013 true RefuseCall "Every pair of media ports is in use or rests; widen `rtp.port_min` to `rtp.port_max`, or take fewer calls.",
    NoDescriptors "no_descriptors" 503 47 503 1013 true RefuseCall "The gateway has as many files and sockets open as it may; raise `LimitNOFILE` of the unit, or take fewer calls.",
    NoMemory "no_memory" 503 47 503 1013 true RefuseCall "Memory for another call is short; `trunkline check` says how many there is room for.",
    NoPluginSessions "no_plugin_sessions" 503 47 503 1013 true RefuseCall "Every session of a plugin pool is taken; raise `plugins.heavy_sessions` or `plugins.media_sessions`, or take fewer calls.",
    GatewayOverloaded "gateway_overloaded" 503 42 503 1013 true RefuseCall "Another call would make those that are up late: agent workers, side pool or media workers have no time for it; the log says which. Take fewer calls, or give the gateway more cores.",
    GatewayDraining "gateway_draining" 503 42 503 1001 true RefuseCall "The gateway is draining and takes no new calls.",
    StoreUnavailable "store_unavailable" 503 41 503 1013 true RefuseCall "The edge store cannot write, so new calls are refused before a record could be lost; check the disk.",
    RecordingUnavailable "recording_unavailable" 503 41 503 1013 true RefuseCall "The agent's calls are recorded and that is not possible now: the disk is nearly full or silent, or the tenant has no recording key and the agent refuses to record without; the log says which.",
    RecordingFailed "recording_failed" 500 41 500 1011 true Record "A recording could not be written and ended; what was written before plays. Look at the disk.",
    GatewayCrashed "gateway_crashed" 500 27 500 1011 true Record "The gateway ended without closing the call; usage is as of the last checkpoint.",
    UnsupportedFeature "unsupported_feature" 501 79 422 1008 false RefuseCall "The object requires a feature this version does not have; upgrade the gateway.",
    TransferFailed "transfer_failed" 503 41 502 1011 true Record "A caller could not be passed on for a technical reason; `transfer.ended` says why. Look at the trunk the call was to be placed by.",
    OutboundDenied "outbound_denied" 403 21 403 1008 false Record "A call was not placed: no outbound route of the tenant allows the destination to whoever asked; the audit log says which rule. Add an outbound route if it should be.",
    OutboundLimit "outbound_limit" 503 42 429 1013 true Record "A call was not placed or had to end: the tenant or the outbound route is at a limit of calls, rate or spend; the audit log says which.",
    TrunkUnavailable "trunk_unavailable" 503 38 503 1013 true Record "A call was not placed: every trunk of the outbound route is full or cannot be reached; see their health.",
    Internal "internal" 500 41 500 1011 true HangUp "An internal error; the log names it.",
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.operator_line())
    }
}

impl std::error::Error for Failure {}

impl std::str::FromStr for Failure {
    type Err = ();

    /// The failure of a stable name.
    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|failure| failure.name() == name).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serialised_names_are_the_stable_names_and_lines_tell_what_to_do() {
        for &failure in Failure::ALL {
            assert_eq!(serde_json::to_value(failure).unwrap(), failure.name());
            assert_eq!(failure.name().parse(), Ok(failure));
            assert!(failure.operator_line().ends_with('.') && (400..=699).contains(&failure.sip_status()));
        }
    }

    /// The page as it should be.
    fn page() -> String {
        let mut page = String::from(
            "# Failures\n\n\
             Every way a call can go wrong has a name. It stands in the timeline (`failure.raised`), in the call's\n\
             record, in the log and in the metric `trunkline_failures`. An agent's `failures` may set another action for\n\
             those of its providers. SIP is the status that refuses a call, or the one that the failure stands for when\n\
             it ends one; Q.850 the cause in the Reason header.\n\n\
             | Name | SIP | Q.850 | By default | What it means and what to do |\n|---|---|---|---|---|\n",
        );
        for failure in Failure::ALL {
            let action = match failure.default_action() {
                DefaultAction::NextProvider => "next provider",
                DefaultAction::PromptCaller => "ask the caller",
                DefaultAction::FailClosed => "withhold the text",
                DefaultAction::HangUp => "hang up",
                DefaultAction::RefuseCall => "refuse the call",
                DefaultAction::Record => "record it",
            };
            let (name, sip, q850) = (failure.name(), failure.sip_status(), failure.q850_cause());
            page.push_str(&format!("| `{name}` | {sip} | {q850} | {action} | {} |\n", failure.operator_line()));
        }
        page
    }

    #[test]
    fn the_page_of_failures_is_this_table() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/failures.md");
        if std::env::var_os("TRUNKLINE_BLESS").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == page(), "docs/reference/failures.md is out of date: run this test with TRUNKLINE_BLESS=1");
    }
}

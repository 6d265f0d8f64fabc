//! From what a plugin reports, and the time it took, to units of usage.

use trunkline_api::usage::Units;
use trunkline_plugin_host::PluginUsage;

use super::Output;

/// Time in a plugin is reported once this much came together, so that it costs no report per frame.
const REPORT_EVERY_US: u64 = 2000;

/// Units of one report.
pub(super) fn units(usage: &PluginUsage) -> Units {
    Units {
        call_ms: 0,
        asr_ms: usage.audio_in_ms.unwrap_or(0),
        tts_chars: usage.characters.unwrap_or(0),
        tokens_in: usage.tokens_in.unwrap_or(0),
        tokens_out: usage.tokens_out.unwrap_or(0),
        tokens_cached: usage.tokens_cached.unwrap_or(0),
        plugin_us: 0,
    }
}

/// What of a plugin's time was reported.
#[derive(Default)]
pub(super) struct PluginTime {
    reported_us: u64,
}

impl PluginTime {
    /// A report of `spent_us` in all, when there is enough new or it is the last.
    pub(super) fn report(&mut self, spent_us: u64, last: bool) -> Option<Output> {
        let new = spent_us.saturating_sub(self.reported_us);
        if new < REPORT_EVERY_US && !(last && new > 0) {
            return None;
        }
        self.reported_us = spent_us;
        Some(Output::Usage(Units { plugin_us: new, ..Units::default() }))
    }
}

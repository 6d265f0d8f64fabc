//! `trunkline licences`: what this binary carries of others, with the texts that must travel with it.

use std::io::Write as _;

use trunkline_dsp::ns::WEIGHTS_LICENCE;
use trunkline_dsp::vad::SILERO_LICENCE;

use crate::exit;

const NOTICE: &str = include_str!("../../../dsp/NOTICE");

/// Prints them.
pub(crate) fn run() -> u8 {
    let text = format!("{NOTICE}\n{WEIGHTS_LICENCE}\n{SILERO_LICENCE}");
    // A reader that goes away early (`| head`) has seen what it wanted.
    let _ = std::io::stdout().write_all(text.as_bytes());
    exit::OK
}

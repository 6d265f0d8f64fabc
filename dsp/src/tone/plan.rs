//! What the tones of a country's network sound like: ITU-T E.180 and its Supplement 2.

/// What a supervisory tone says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Dial, please.
    Dial,
    /// The called side is rung.
    Ringback,
    /// The called side is busy.
    Busy,
    /// The network found no way (reorder).
    Congestion,
}

/// One supervisory tone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    /// What it says.
    pub meaning: Meaning,
    /// Its frequencies in Hz; the second is 0 when there is one only. A tone that is modulated by 16 to 25 Hz counts
    /// as its carrier.
    pub hz: [u16; 2],
    /// Tone, pause, tone and pause in ms; the last two are 0 when the first two repeat, all are 0 when it is continuous.
    pub cadence_ms: [u16; 4],
}

/// The tones of one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// ISO 3166 code in upper case; `EU` for the values that E.180 recommends.
    pub name: &'static str,
    /// At most eight tones.
    pub patterns: &'static [Pattern],
}

const fn tone(meaning: Meaning, hz: [u16; 2], cadence_ms: [u16; 4]) -> Pattern {
    Pattern { meaning, hz, cadence_ms }
}

use Meaning::{Busy, Congestion, Dial, Ringback};

/// A plan of one frequency with the usual four tones.
macro_rules! single {
    ($hz:expr, $ringback:expr, $busy:expr, $congestion:expr) => {
        &[
            tone(Dial, [$hz, 0], [0; 4]),
            tone(Ringback, [$hz, 0], $ringback),
            tone(Busy, [$hz, 0], $busy),
            tone(Congestion, [$hz, 0], $congestion),
        ]
    };
}

impl Plan {
    /// United States and Canada (the precise tone plan).
    pub const US: Self = Self {
        name: "US",
        patterns: &[
            tone(Dial, [350, 440], [0; 4]),
            tone(Ringback, [440, 480], [2000, 4000, 0, 0]),
            tone(Busy, [480, 620], [500, 500, 0, 0]),
            tone(Congestion, [480, 620], [250, 250, 0, 0]),
        ],
    };
    /// What E.180 recommends, and most of Europe uses.
    pub const EU: Self =
        Self { name: "EU", patterns: single!(425, [1000, 4000, 0, 0], [500, 500, 0, 0], [250, 250, 0, 0]) };
    /// Germany.
    pub const DE: Self =
        Self { name: "DE", patterns: single!(425, [1000, 4000, 0, 0], [480, 480, 0, 0], [240, 240, 0, 0]) };
    /// United Kingdom.
    pub const GB: Self = Self {
        name: "GB",
        patterns: &[
            tone(Dial, [350, 440], [0; 4]),
            tone(Ringback, [400, 450], [400, 200, 400, 2000]),
            tone(Busy, [400, 0], [375, 375, 0, 0]),
            tone(Congestion, [400, 0], [400, 350, 225, 525]),
        ],
    };
    /// India; dial and ringback are 400 Hz modulated by 25 Hz.
    pub const IN: Self =
        Self { name: "IN", patterns: single!(400, [400, 200, 400, 2000], [750, 750, 0, 0], [250, 250, 0, 0]) };
    /// France.
    pub const FR: Self =
        Self { name: "FR", patterns: single!(440, [1500, 3500, 0, 0], [500, 500, 0, 0], [250, 250, 0, 0]) };
    /// Spain; congestion (three short tones and a longer pause) is told as busy, which begins the same way.
    pub const ES: Self = Self {
        name: "ES",
        patterns: &[
            tone(Dial, [425, 0], [0; 4]),
            tone(Ringback, [425, 0], [1500, 3000, 0, 0]),
            tone(Busy, [425, 0], [200, 200, 0, 0]),
        ],
    };
    /// Italy; its interrupted dial tone is not told.
    pub const IT: Self = Self {
        name: "IT",
        patterns: &[
            tone(Ringback, [425, 0], [1000, 4000, 0, 0]),
            tone(Busy, [425, 0], [500, 500, 0, 0]),
            tone(Congestion, [425, 0], [200, 200, 0, 0]),
        ],
    };
    /// China.
    pub const CN: Self =
        Self { name: "CN", patterns: single!(450, [1000, 4000, 0, 0], [350, 350, 0, 0], [700, 700, 0, 0]) };
    /// Japan; ringback is 400 Hz modulated by 16 Hz.
    pub const JP: Self = Self {
        name: "JP",
        patterns: &[
            tone(Dial, [400, 0], [0; 4]),
            tone(Ringback, [400, 0], [1000, 2000, 0, 0]),
            tone(Busy, [400, 0], [500, 500, 0, 0]),
        ],
    };
    /// All plans.
    pub const ALL: [Self; 10] =
        [Self::US, Self::EU, Self::DE, Self::GB, Self::IN, Self::FR, Self::ES, Self::IT, Self::CN, Self::JP];

    /// The plan of this name; `None` when there is none, and [`Plan::EU`] is the best guess.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        const ALL: &[Plan] = &Plan::ALL;
        ALL.iter().find(|plan| plan.name == name)
    }
}

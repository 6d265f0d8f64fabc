//! What a leg tells its call: facts that are never dropped, and levels that may be.

use serde::{Deserialize, Deserializer, Serialize};

use crate::spec::Direction;
use crate::time::CallTime;

/// An end of a call, by its number in the call: the first is the one the call began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LegId(pub u32);

impl LegId {
    /// The leg a call begins with.
    pub const FIRST: Self = Self(1);
}

/// A DTMF digit: `0`-`9`, `*`, `#`, `A`-`D` (RFC 4733 events 0-15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "char", into = "char")]
pub struct DtmfDigit(char);

impl DtmfDigit {
    /// The digit of an RFC 4733 event code, `None` beyond 15.
    #[must_use]
    pub const fn from_event(code: u8) -> Option<Self> {
        const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];
        if (code as usize) < DIGITS.len() { Some(Self(DIGITS[code as usize])) } else { None }
    }

    /// The digit of a character, `None` when it is not one; letters may be lower-case.
    #[must_use]
    pub fn from_char(digit: char) -> Option<Self> {
        let digit = digit.to_ascii_uppercase();
        matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D').then_some(Self(digit))
    }

    /// The digit as a character.
    #[must_use]
    pub const fn as_char(self) -> char {
        self.0
    }

    /// The RFC 4733 event code, 0..=15.
    #[must_use]
    pub const fn event(self) -> u8 {
        match self.0 {
            '*' => 10,
            '#' => 11,
            digit @ 'A'..='D' => digit as u8 - b'A' + 12,
            digit => digit as u8 - b'0',
        }
    }
}

impl From<DtmfDigit> for char {
    fn from(digit: DtmfDigit) -> Self {
        digit.0
    }
}

impl TryFrom<char> for DtmfDigit {
    type Error = &'static str;

    fn try_from(digit: char) -> Result<Self, Self::Error> {
        Self::from_char(digit).ok_or("expected a digit of DTMF: 0 to 9, *, # or A to D")
    }
}

/// Why a leg ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// The far end hung up (SIP BYE).
    RemoteHangUp,
    /// The far end gave up before the answer (SIP CANCEL).
    Cancelled,
    /// The answer was never acknowledged (RFC 3261 13.3.1.4).
    NoAck,
    /// No media for the configured time.
    MediaTimeout,
    /// The gateway ended it: the call said so, or it is draining.
    Local,
    /// The leg's own machinery failed; the log names it.
    Failed,
}

/// Why whoever was dialled did not answer, by class of SIP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCause {
    /// They speak with somebody else (486, 600).
    Busy,
    /// Nobody took the call in time (408, 480, 487 after the time was up).
    NoAnswer,
    /// They do not want it (403, 603, 607 and other 4xx).
    Rejected,
    /// The way to them is blocked or broken (5xx, no route, no connection).
    Unreachable,
    /// There is no such number (404, 410, 484, 604).
    NotFound,
    /// The call gave up on it (487).
    Cancelled,
    /// The gateway itself could not place it; the log says why.
    Failed,
    /// This gateway places no calls.
    Unsupported,
}

impl RefusalCause {
    /// Its name in events and in what a model is told.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Rejected => "rejected",
            Self::Unreachable => "unreachable",
            Self::NotFound => "not_found",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Unsupported => "unsupported",
        }
    }

    /// The cause that a final SIP status of 300..=699 stands for; redirections that nobody follows lead nowhere.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            486 | 600 => Self::Busy,
            408 | 480 => Self::NoAnswer,
            487 => Self::Cancelled,
            404 | 410 | 484 | 604 => Self::NotFound,
            400..=499 | 603 | 606..=608 => Self::Rejected,
            _ => Self::Unreachable,
        }
    }
}

/// How far a transfer by the far end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ReferralProgress {
    /// It will try (202, or a first NOTIFY of 100).
    Accepted,
    /// Whoever it dials is being alerted.
    Ringing,
    /// They speak with each other.
    Done,
    /// It would not try, or whoever it dialled did not answer.
    Refused {
        /// Why.
        cause: RefusalCause,
    },
}

/// A tone of a network or a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToneKind {
    /// One tone that no other follows: a machine begins to record.
    Beep,
    /// Dial tone.
    Dial,
    /// The called side is rung.
    Ringback,
    /// Busy.
    Busy,
    /// Congestion, also called reorder.
    Congestion,
    /// The three tones before an announcement of the network.
    SpecialInformation,
    /// A fax is calling (T.30 CNG).
    FaxCalling,
    /// A fax or modem answers (T.30 CED).
    FaxAnswering,
}

impl ToneKind {
    /// Its name in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Beep => "beep",
            Self::Dial => "dial",
            Self::Ringback => "ringback",
            Self::Busy => "busy",
            Self::Congestion => "congestion",
            Self::SpecialInformation => "special_information",
            Self::FaxCalling => "fax_calling",
            Self::FaxAnswering => "fax_answering",
        }
    }
}

/// What both ways of a leg's media were like, from its beginning to its end. "In" is what the leg heard, "out" what the
/// far end reports of what it heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MediaQuality {
    /// Packets heard.
    pub packets_in: u64,
    /// Packets that did not come, or came too late to be played.
    pub lost_in: u64,
    /// Interarrival jitter in microseconds (RFC 3550 6.4.1).
    pub jitter_in_us: u64,
    /// Conversational mean opinion score by the E-model (ITU-T G.107) in hundredths, 100..=450; 0 when unknown.
    pub mos_in: u64,
    /// Packets sent.
    pub packets_out: u64,
    /// Of them lost.
    pub lost_out: u64,
    /// Their jitter at the far end in microseconds.
    pub jitter_out_us: u64,
    /// As `mos_in`, of what the far end heard.
    pub mos_out: u64,
    /// Round trip in microseconds; 0 when unknown.
    pub round_trip_us: u64,
}

/// A name of what works on sound.
pub type EngineName = &'static str;

/// Facts of a leg: in order, never dropped.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum LegFact {
    /// A digit was pressed; reported once, at its start.
    Dtmf {
        /// Which.
        digit: DtmfDigit,
        /// When its first packet arrived.
        at: CallTime,
    },
    /// The first packet of the far end's media arrived.
    MediaStarted {
        /// When.
        at: CallTime,
    },
    /// How the leg's media did, told once before its end if there was any.
    Quality {
        /// The figures.
        quality: MediaQuality,
        /// When.
        at: CallTime,
    },
    /// The far end's synchronisation source changed (RFC 3550 8).
    SsrcChanged {
        /// When.
        at: CallTime,
    },
    /// The first packet of an utterance went out.
    PlaybackStarted {
        /// Which.
        utterance: u32,
        /// When its first packet was sent.
        at: CallTime,
    },
    /// An utterance was played to its last frame.
    PlaybackFinished {
        /// Which.
        utterance: u32,
        /// When its last packet was sent.
        at: CallTime,
    },
    /// Playback was cut by a clear; nothing more of it will be sent.
    PlaybackCut {
        /// Which.
        utterance: u32,
        /// Milliseconds of it that were sent.
        sent_ms: u32,
        /// When its last packet was sent.
        at: CallTime,
    },
    /// The frame that carried a mark was sent to its last sample.
    MarkReached {
        /// The utterance it stands in.
        utterance: u32,
        /// The mark.
        mark: u32,
        /// When its last sample was sent.
        at: CallTime,
    },
    /// What works on the leg's sound from now on: told at its beginning and at every change.
    SoundApplied {
        /// The engine that takes out the noise: `lanes`, `economy`, `reference` or `off`.
        #[serde(deserialize_with = "known")]
        denoiser: EngineName,
        /// The detector of speech.
        #[serde(deserialize_with = "known")]
        detector: EngineName,
        /// Less than was asked for, because the media worker was short of time.
        shed: bool,
        /// When.
        at: CallTime,
    },
    /// The far end changed which ways sound goes, as seen from the gateway (RFC 3264 8.4): it puts the call on hold, or
    /// takes it back.
    Direction {
        /// The ways it goes from now on.
        direction: Direction,
        /// When.
        at: CallTime,
    },
    /// The far end of a leg that was dialled is being alerted (SIP 180 or 183).
    Ringing {
        /// When.
        at: CallTime,
    },
    /// Whoever was dialled has answered.
    Answered {
        /// When.
        at: CallTime,
    },
    /// A leg that was dialled was never answered and is over; its last fact.
    Refused {
        /// Why.
        cause: RefusalCause,
        /// The SIP status behind it, where there was one: 300..=699.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// When.
        at: CallTime,
    },
    /// The leg is on hold by order of its call.
    Held {
        /// When.
        at: CallTime,
    },
    /// It is so no more.
    Resumed {
        /// When.
        at: CallTime,
    },
    /// There was no place for the leg in the conference that its call put it into.
    NotJoined {
        /// When.
        at: CallTime,
    },
    /// The far end was told which ways sound goes (RFC 3264 8.4), by order of the call, and took it or not.
    Redirected {
        /// The ways, as seen from the gateway.
        direction: Direction,
        /// The SIP status of a far end that would not, 300..=699: the session is as it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<u16>,
        /// When.
        at: CallTime,
    },
    /// The far end has had somebody dialled who takes its place on the leg from now on (RFC 3515), or nobody does.
    PassedOn {
        /// The SIP status of why not, 300..=699: the far end is who it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<u16>,
        /// When.
        at: CallTime,
    },
    /// How a transfer by the far end, which was asked to dial somebody itself, comes along (RFC 3515).
    Referral {
        /// How far it has come.
        progress: ReferralProgress,
        /// When.
        at: CallTime,
    },
    /// A tone was heard, while these were asked for.
    Tone {
        /// What it means.
        kind: ToneKind,
        /// When it was clear: a beep is told once it is over.
        at: CallTime,
        /// How long it sounded in ms; 0 where only its rhythm is known.
        duration_ms: u32,
        /// Its pitch in Hz; 0 where it is no single one.
        hz: u16,
    },
    /// The leg is over; the last fact.
    Ended {
        /// Why.
        cause: EndCause,
        /// When.
        at: CallTime,
    },
}

/// A name of what works on sound, as it was written. One that this build does not know has no name.
fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EngineName, D::Error> {
    const NAMES: [&str; 6] = ["lanes", "economy", "reference", "off", "fused", "fused+silero"];
    let name = String::deserialize(deserializer)?;
    Ok(NAMES.into_iter().find(|known| *known == name).unwrap_or("unknown"))
}

/// A level measurement of the far end's sound; the ring drops these when nobody reads.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LevelReport {
    /// When.
    pub at: CallTime,
    /// Level in dBFS, -96..=0.
    pub level_dbfs: f32,
    /// Estimated noise floor in dBFS.
    pub noise_dbfs: f32,
    /// Whether voice activity is on.
    pub speech: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_by_its_class() {
        let causes = [
            (486, RefusalCause::Busy),
            (600, RefusalCause::Busy),
            (480, RefusalCause::NoAnswer),
            (404, RefusalCause::NotFound),
            (403, RefusalCause::Rejected),
            (603, RefusalCause::Rejected),
            (503, RefusalCause::Unreachable),
            (302, RefusalCause::Unreachable),
        ];
        for (status, cause) in causes {
            assert_eq!(RefusalCause::of_status(status), cause, "{status}");
        }
    }

    #[test]
    fn every_event_code_maps_to_its_digit_and_back() {
        for code in 0..=255_u8 {
            match DtmfDigit::from_event(code) {
                Some(digit) => {
                    assert_eq!(digit.event(), code);
                    assert_eq!(DtmfDigit::from_char(digit.as_char()), Some(digit));
                }
                None => assert!(code > 15),
            }
        }
    }
}

//! What happened in a call, one JSON object per line.

use serde::Serialize;

/// One line: milliseconds since the INVITE, and what happened then.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Milliseconds since the INVITE was sent.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub what: Happened,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Happened {
    /// The INVITE went out.
    InviteSent {
        /// Its Call-ID, which the gateway's records hold too.
        call_id: String,
    },
    /// 100, 180 or 183 came.
    Provisional {
        /// The status.
        status: u16,
    },
    /// 2xx came and was acknowledged.
    Answered,
    /// A final failure came.
    Refused {
        /// The status.
        status: u16,
        /// Its reason phrase.
        reason: String,
    },
    /// Nothing final came before timer B, or a CANCEL went unanswered.
    NoAnswer,
    /// The call was cancelled as the script asked.
    Cancelled,
    /// The first audio packet came.
    FirstAudio,
    /// The agent began to speak.
    AgentStarted,
    /// The agent had finished speaking.
    AgentStopped {
        /// Its first loud packet, in milliseconds since the INVITE.
        from_ms: u64,
        /// The end of its last loud packet.
        to_ms: u64,
    },
    /// The caller began to say something.
    SayStarted {
        /// The words, or the file.
        text: String,
    },
    /// The caller had said it.
    SayEnded {
        /// The words, or the file.
        text: String,
    },
    /// The caller began to speak while the agent did.
    Interrupted {
        /// How long the agent had been speaking.
        agent_spoke_ms: u64,
    },
    /// A key was pressed and released.
    KeySent {
        /// Which.
        key: char,
    },
    /// A step of the script waited in vain; the caller hangs up.
    StepTimedOut {
        /// Its index, from 0.
        step: usize,
        /// What it waited for.
        waiting_for: String,
    },
    /// The call is over.
    HungUp {
        /// Who ended it.
        by: HungUpBy,
    },
    /// The last event of an answered call.
    Media {
        /// RTP packets sent.
        sent: u64,
        /// RTP audio packets received.
        received: u64,
        /// Sequence numbers that never came.
        lost: u64,
        /// The longest time between two packets, in milliseconds.
        longest_gap_ms: u64,
    },
}

/// Who ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HungUpBy {
    /// The script.
    Caller,
    /// The other side.
    Agent,
}

//! A decision's steps, for the operator who asks why a call went where it went.

use std::fmt;

/// One step of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What came of it.
    pub verdict: Verdict,
    /// What was looked at and found, with the objects' names and ids.
    pub text: String,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It lets the call on.
    Pass,
    /// It was looked at and did not apply.
    Skip,
    /// It refuses the call.
    Refuse,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.verdict {
            Verdict::Pass => "ok    ",
            Verdict::Skip => "-     ",
            Verdict::Refuse => "REFUSE",
        };
        write!(f, "{mark} {}", self.text)
    }
}

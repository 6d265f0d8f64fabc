//! What a call asks of its legs beside talking on the first: keys, hold and tones are done; dialling and passing on by the
//! far end are refused by name, since this gateway places no calls yet.

use trunkline_call::{Command, Input};
use trunkline_dsp::tone::Plan;
use trunkline_leg::{CallTime, DtmfDigit, LegFact, LegId, ReferralProgress, RefusalCause};

use super::Active;
use super::ports::of_leg;

/// How long a key sounds, and as long a pause follows (ITU-T Q.24 takes 40 ms).
const KEY_MS: u16 = 100;

impl Active {
    /// Carries out a command of the telephone.
    pub(super) fn telephone(&mut self, now: CallTime, command: Command) {
        match command {
            Command::Dial { leg, .. } => {
                let fact = LegFact::Refused { cause: RefusalCause::Unsupported, status: None, at: now };
                self.tell(now, Input::Leg { leg, fact });
            }
            Command::Refer { leg, .. } => {
                let progress = ReferralProgress::Refused { cause: RefusalCause::Unsupported };
                self.tell(now, Input::Leg { leg, fact: LegFact::Referral { progress, at: now } });
            }
            Command::Hold { leg: LegId::FIRST, .. } => {
                self.ports.leg().playout.hold(true);
                self.tell(now, of_leg(LegFact::Held { at: now }));
            }
            Command::Resume { leg: LegId::FIRST } => {
                self.ports.leg().playout.hold(false);
                self.tell(now, of_leg(LegFact::Resumed { at: now }));
            }
            Command::SendDtmf { leg: LegId::FIRST, digits } => {
                for digit in digits.chars().filter_map(DtmfDigit::from_char) {
                    if let Err(error) = self.ports.handle().send_dtmf(digit, KEY_MS) {
                        tracing::warn!(call = %self.id, %error, "a key was not sent");
                    }
                }
            }
            Command::ListenForTones { leg: LegId::FIRST, region } => {
                let plan = region.map(|region| Plan::named(&region).unwrap_or(&Plan::EU));
                if let Err(error) = self.ports.handle().listen_for_tones(plan) {
                    tracing::warn!(call = %self.id, %error, "tones are not listened for");
                }
            }
            // A leg that was never dialled is neither let go of nor spoken with.
            _ => {}
        }
    }
}

//! What a call asks of its legs beside talking: dial, join, pass on, keys, hold and tones.

use trunkline_api::transfer::HoldSound;
use trunkline_call::{Command, Input};
use trunkline_dsp::tone::Plan;
use trunkline_leg::{CallTime, DtmfDigit, LegFact, LegId, ReferralProgress};

use super::Active;
use super::ports::Wanted;

/// How long a key sounds, and as long a pause follows (ITU-T Q.24 takes 40 ms).
const KEY_MS: u16 = 100;

impl Active {
    /// Carries out a command of the telephone.
    pub(super) fn telephone(&mut self, now: CallTime, command: Command) {
        match command {
            Command::Dial { leg, to, from, timeout_ms, variables } => {
                self.dial(now, leg, &to, from.as_deref(), timeout_ms, variables);
            }
            Command::CancelDial { leg } => self.ports.cancel(leg),
            Command::Attach { leg } => self.ports.attach(leg),
            Command::Overhear { leg } => self.ports.overhear(leg),
            Command::Bridge { a, b } => self.ports.bridge(a, b),
            Command::Unbridge { a, b } => self.ports.unbridge(a, b),
            Command::Refer { leg, to, replaces } => {
                if let Err(cause) = self.refer(leg, &to, replaces) {
                    let progress = ReferralProgress::Refused { cause };
                    self.tell(now, Input::Leg { leg, fact: LegFact::Referral { progress, at: now } });
                }
            }
            Command::Hold { leg, sound } => self.hold(now, leg, Some(sound)),
            Command::Resume { leg } => self.hold(now, leg, None),
            Command::Join { leg, room } => self.join(now, leg, &room),
            Command::Leave { leg } => self.leave(leg),
            Command::Mute { leg, on } => self.mute(leg, on),
            Command::Redirect { leg, direction } => self.shared.redirections.want(&self.id, leg, direction),
            Command::SendDtmf { leg, digits } => {
                let Some(ports) = self.ports.of(leg) else { return };
                for digit in digits.chars().filter_map(DtmfDigit::from_char) {
                    if let Err(error) = ports.handle().send_dtmf(digit, KEY_MS) {
                        tracing::warn!(call = %self.id, %error, "a key was not sent");
                    }
                }
            }
            Command::ListenForTones { leg, region } => {
                let plan = region.map(|region| Plan::named(&region).unwrap_or(&Plan::EU));
                if let Some(Err(error)) = self.ports.of(leg).map(|ports| ports.handle().listen_for_tones(plan)) {
                    tracing::warn!(call = %self.id, %error, "tones are not listened for");
                }
            }
            // Everything else was carried out already.
            _ => {}
        }
    }

    /// Puts a leg on hold with that sound, or takes it back.
    fn hold(&mut self, now: CallTime, leg: LegId, sound: Option<HoldSound>) {
        let on = sound.is_some();
        let wanted = match sound {
            Some(HoldSound::Music) => Wanted::Music(self.setup.spec.transfer.music()),
            Some(HoldSound::Ringback) => Wanted::Ringback,
            Some(HoldSound::Silence) | None => Wanted::Nothing,
        };
        if self.ports.hold(leg, on, wanted, &self.shared.beds) {
            let fact = if on { LegFact::Held { at: now } } else { LegFact::Resumed { at: now } };
            self.tell(now, Input::Leg { leg, fact });
        }
    }
}

//! What an agent does with the telephone beside talking: passes callers on, presses keys, puts on hold, notes who wants
//! to be called back. The tools for it are built in.

use serde_json::{Value, json};
use trunkline_api::EventType;
use trunkline_api::answering::{Answerer, IvrAction};
use trunkline_api::transfer::{HoldSound, TransferMode, normal_number};
use trunkline_api::usage::CallDirection;
use trunkline_api::words::{RedactionChannel, ToolCall, ToolDefinition};
use trunkline_leg::{Direction, DtmfDigit, LegId};

use super::answering::Answering;
use super::conference::Seat;
use super::transfer::{Order, Origin, Transfer};
use super::{Dialogue, Effects};
use crate::command::Command;
use crate::input::Operator;
use crate::memory::Memory;
use crate::setup::CallSetup;
use crate::spoken::WHOLE;
use crate::timers::Reason;

/// Most keys sent in one go: as many as a leg keeps waiting.
const MOST_KEYS: usize = 32;
/// A key and the pause behind it, in milliseconds, with some to spare.
const KEY_MS: u64 = 220;
/// Most bytes of a text that a model gives to a tool: a briefing, a reason.
const MOST_TEXT_BYTES: usize = 2000;

/// The telephone side of a conversation.
#[derive(Debug, Default)]
pub(super) struct Telephone {
    /// The caller's number.
    pub(super) caller: String,
    pub(super) transfer: Option<Transfer>,
    /// A transfer that begins once what is being said was heard.
    pub(super) asked: Option<Order>,
    /// The conversation with the caller, while the agent speaks with somebody else.
    pub(super) set_aside: Option<Memory>,
    pub(super) answering: Option<Answering>,
    /// Which ways sound goes on the first leg, as the far end wants it.
    far: Direction,
    /// An operator has put the caller on hold.
    own_hold: bool,
    /// An operator has put the caller into a conference.
    pub(super) seat: Option<Seat>,
}

impl Telephone {
    /// Whether what is said may make a turn.
    pub(super) fn hears(&self) -> bool {
        !self.is_aside()
            && self.transfer.as_ref().is_none_or(Transfer::hears)
            && self.answering.as_ref().is_none_or(Answering::hears)
    }

    /// Whether nobody is to be asked if they are still there.
    pub(super) fn is_busy(&self) -> bool {
        self.is_elsewhere() || self.asked.is_some() || self.answering.as_ref().is_some_and(Answering::is_busy)
    }

    /// Whether the caller is on hold, in a conference or being passed on.
    pub(super) const fn is_elsewhere(&self) -> bool {
        self.is_aside() || self.transfer.is_some()
    }

    /// Whether an operator has the caller do without the agent.
    const fn is_aside(&self) -> bool {
        self.own_hold || self.seat.is_some()
    }
}

impl Dialogue {
    /// What the telephone side knows of the call.
    pub(crate) fn is_of(&mut self, setup: &CallSetup) {
        self.tel.caller.clone_from(&setup.from);
        let outbound = setup.direction == CallDirection::Outbound;
        let policy = setup.spec.answering.as_ref().filter(|policy| outbound || policy.inbound);
        self.tel.answering = policy.cloned().map(Answering::new);
    }

    /// An operator's order, other than to hang up.
    pub(crate) fn operator(&mut self, fx: &mut Effects, order: Operator) {
        match order {
            Operator::HangUp => {}
            Operator::Transfer { to, mode, briefing } => {
                let order = self.listed(&to).map(|(name, to, listed)| Order {
                    target: Some(name),
                    to,
                    mode: mode.unwrap_or(listed),
                    briefing: briefing.clone(),
                    origin: Origin::Operator,
                });
                let mode = mode.unwrap_or(self.spec.transfer.mode);
                let order = order.unwrap_or(Order { target: None, to, mode, briefing, origin: Origin::Operator });
                if !trunkline_api::transfer::is_dialable(&order.to) {
                    fx.raise(trunkline_api::Failure::TransferFailed, "", "what was ordered is no number", "record");
                } else if self.tel.transfer.is_none() {
                    self.take_back(fx);
                    self.leaves_room(fx);
                    if self.keypad.is_away() {
                        // What was being chosen or entered is not gone on with.
                        self.leave_keypad(fx);
                    }
                    self.stop_thinking(fx);
                    self.rejoin = None;
                    self.begin_transfer(fx, order, true);
                }
            }
            Operator::Hold if !self.tel.is_aside() && self.tel.transfer.is_none() => {
                // Nobody is heard from here on, so that it would never be known whether the caller interrupts.
                self.ears.stop_listening(fx);
                self.keep_floor(fx);
                self.tel.own_hold = true;
                let sound = self.spec.transfer.hold_sound;
                fx.command(Command::Hold { leg: LegId::FIRST, sound });
                // A caller who hears nothing need not be sent it.
                let direction = if sound == HoldSound::Silence { Direction::Inactive } else { Direction::SendOnly };
                fx.command(Command::Redirect { leg: LegId::FIRST, direction });
                self.follow_hold(fx);
            }
            Operator::Hold => {}
            Operator::Resume => self.take_back(fx),
            Operator::Join { room } => self.joins(fx, room),
            Operator::Leave => self.leaves_room(fx),
            Operator::Mute { on } => self.mutes(fx, on),
            Operator::SendDtmf { digits } => {
                // An operator is told by the timeline that nothing was sent.
                let _ = self.send_keys(fx, &digits);
            }
        }
    }

    /// An operator's hold is over.
    pub(super) fn take_back(&mut self, fx: &mut Effects) {
        if std::mem::take(&mut self.tel.own_hold) {
            fx.command(Command::Resume { leg: LegId::FIRST });
            fx.command(Command::Redirect { leg: LegId::FIRST, direction: Direction::SendRecv });
            self.follow_hold(fx);
        }
    }

    /// The far end of a leg changed which ways sound goes.
    pub(super) fn far_direction(&mut self, fx: &mut Effects, leg: LegId, direction: Direction) {
        if leg == LegId::FIRST {
            self.tel.far = direction;
        }
        if fx.legs().attached() == Some(leg) {
            if leg == LegId::FIRST { self.follow_hold(fx) } else { self.held(fx, direction) }
        }
    }

    /// The caller's hold counts, or that of whoever was dialled.
    pub(super) fn follow_hold(&mut self, fx: &mut Effects) {
        let direction = if self.tel.is_aside() { Direction::Inactive } else { self.tel.far };
        self.held(fx, direction);
    }

    /// The tools of the telephone that the model may call.
    pub(super) fn telephone_tools(&self) -> Vec<ToolDefinition> {
        let configured = |name: &str| self.spec.tools.iter().any(|tool| tool.name == name);
        let mut tools = Vec::new();
        let mut offer = |name: &str, description: String, parameters: Value| {
            let parameters = parameters.to_string();
            tools.push(ToolDefinition { name: name.to_owned(), description, parameters });
        };
        if configured("transfer") {
            let (description, parameters) = self.transfer_tool();
            offer("transfer", description, parameters);
        }
        if configured("send_dtmf") || self.navigates() {
            let description = "Presses keys of the telephone, for menus of the far end.".to_owned();
            let digits = json!({ "type": "string", "description": "Keys 0-9, * and #, at most 32." });
            offer("send_dtmf", description, schema(json!({ "digits": digits }), &["digits"]));
        }
        if configured("request_callback") {
            let description = "Notes that the caller wants to be called back. Read a number back to the caller before \
                               you call this; without one it is the number the caller calls from."
                .to_owned();
            let text = |what: &str| json!({ "type": "string", "description": what });
            let properties = json!({
                "number": text("With country code, such as +49301234567."),
                "when": text("When it suits the caller, in their words or as a date and time."),
                "reason": text("What it is about, in a sentence."),
            });
            offer("request_callback", description, schema(properties, &[]));
        }
        tools
    }

    /// Carries out a tool of the telephone: what the model reads, and whether it is an error. `None` when it is none.
    pub(super) fn telephone_tool(&mut self, fx: &mut Effects, call: &ToolCall) -> Option<(String, bool)> {
        let configured = self.spec.tools.iter().any(|tool| tool.name == call.name);
        let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
        let done = match call.name.as_str() {
            "transfer" if configured => self.asked_to_transfer(&arguments),
            "send_dtmf" if configured || self.navigates() => self.send_keys(fx, &text(&arguments, "digits")),
            "request_callback" if configured => self.request_callback(fx, &arguments),
            _ => return None,
        };
        Some(match done {
            Ok(output) => (output, false),
            Err(output) => (output, true),
        })
    }

    /// Sends keys to whoever the conversation is with.
    pub(super) fn send_keys(&mut self, fx: &mut Effects, digits: &str) -> Result<String, String> {
        let bare: String = digits.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '.' | ',')).collect();
        let keys: Option<String> = bare.chars().map(|key| DtmfDigit::from_char(key).map(DtmfDigit::as_char)).collect();
        let Some(keys) = keys.filter(|keys| (1..=MOST_KEYS).contains(&keys.len())) else {
            return Err(format!("expected 1 to {MOST_KEYS} keys of 0 to 9, * and #"));
        };
        let Some(leg) = fx.legs().attached() else { return Err("nobody is on the line with you".to_owned()) };
        // One key tells nothing, but all of them may be somebody's secret.
        let hidden = fx.redacts(RedactionChannel::Transcript);
        let shown = if hidden { "x".repeat(keys.len()) } else { keys.clone() };
        fx.turn_event(EventType::DtmfSent, json!({ "digits": shown }));
        // What is being said waits while they are.
        fx.timers().postpone(Reason::Playback, KEY_MS * keys.len() as u64);
        fx.command(Command::SendDtmf { leg, digits: keys });
        Ok("The keys were pressed.".to_owned())
    }

    fn request_callback(&mut self, fx: &mut Effects, arguments: &Value) -> Result<String, String> {
        let given = text(arguments, "number");
        let number = if given.trim().is_empty() { self.tel.caller.clone() } else { given };
        let Some(number) = normal_number(&number) else {
            return Err("that is no number with country code, such as +49301234567; ask the caller for it".to_owned());
        };
        let mut data = json!({ "number": number });
        let (when, mut reason) = (text(arguments, "when"), text(arguments, "reason"));
        if fx.redacts(RedactionChannel::Transcript) {
            // They are the caller's words, too.
            reason = [reason, when].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(", ");
        } else if !when.is_empty() {
            data["when"] = when.into();
        }
        if reason.is_empty() {
            fx.turn_event(EventType::CallbackRequested, data);
        } else {
            fx.words_event(EventType::CallbackRequested, data, "reason", vec![(reason, WHOLE)]);
        }
        Ok(format!("Noted: somebody will call {number}."))
    }

    /// Whether the model may find its way through a menu.
    fn navigates(&self) -> bool {
        let answering = self.tel.answering.as_ref();
        answering.is_some_and(|answering| {
            answering.kind() == Some(Answerer::Ivr) && answering.policy().ivr == IvrAction::Navigate
        })
    }

    /// A target by its name or number: its name, where to and how.
    pub(super) fn listed(&self, to: &str) -> Option<(String, String, TransferMode)> {
        let policy = &self.spec.transfer;
        let same = normal_number(to);
        let by_number = || {
            policy
                .targets
                .iter()
                .find(|target| target.to == to || (same.is_some() && normal_number(&target.to) == same))
        };
        let target = policy.target(to).or_else(by_number)?;
        Some((target.name.clone(), target.to.clone(), target.mode.unwrap_or(policy.mode)))
    }

    /// Carries on with whatever waits for silence; after every input.
    pub(super) fn telephone_settles(&mut self, fx: &mut Effects, live: bool) {
        if !live || self.closing {
            return;
        }
        if self.tel.transfer.is_none()
            && self.mind.reply().is_none()
            && self.tel.asked.is_some()
            && self.overlap.is_none()
        {
            let order = self.tel.asked.take();
            if let Some(order) = order {
                self.begin_transfer(fx, order, true);
            }
        }
        self.transfer_settles(fx);
        self.answering_settles(fx);
    }

    pub(super) fn telephone_due(&mut self, fx: &mut Effects, reason: Reason) {
        if reason == Reason::Transfer {
            self.transfer_overdue(fx);
        } else if reason == Reason::HoldLine {
            self.hold_line(fx);
        } else if reason == Reason::Answering {
            self.answering_due(fx);
        }
    }

    /// The caller, or whoever was dialled, has said or pressed something; true when that is no turn.
    pub(super) fn telephone_input(&mut self, fx: &mut Effects, text: &str) -> bool {
        self.tel.asked = None;
        self.transfer_input(fx, text) || self.answering_input(fx, text)
    }

    /// Says something that is remembered and finishes.
    pub(super) fn tells(&mut self, fx: &mut Effects, line: &str) {
        let line = self.with_variables(fx.now(), line);
        self.say(fx, &line, false);
        self.mouth.finish(fx);
    }
}

/// A JSON Schema of an object.
pub(super) fn schema(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// A text of a tool's arguments, bounded; empty when there is none.
pub(super) fn text(arguments: &Value, field: &str) -> String {
    let text = arguments.get(field).and_then(Value::as_str).unwrap_or_default().trim();
    let end = (0..=MOST_TEXT_BYTES.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text[..end].to_owned()
}

//! Who may be dialled, by order of whom.

use serde_json::{Value, json};
use trunkline_api::Failure;
use trunkline_api::transfer::TransferMode;

use super::{Order, Origin};
use crate::dialogue::telephone::{schema, text};
use crate::dialogue::{Dialogue, Effects};

impl Dialogue {
    /// What the model is told of the tool `transfer`.
    pub(in crate::dialogue) fn transfer_tool(&self) -> (String, Value) {
        let policy = &self.spec.transfer;
        let mut description = "Passes the caller on. Say so first, and say nothing afterwards. If nobody takes the \
                               call you are told, and speak with the caller again."
            .to_owned();
        let names: Vec<&str> = policy.targets.iter().map(|target| target.name.as_str()).collect();
        for target in policy.targets.iter().filter(|target| !target.description.is_empty()) {
            description.push_str(&format!(" `{}`: {}", target.name, target.description));
        }
        let mut to = json!({ "type": "string", "description": "To whom." });
        if policy.allow_any {
            description.push_str(" A number with country code is possible, too.");
        } else {
            to["enum"] = names.into();
        }
        let briefing = json!({
            "type": "string",
            "description": "What whoever takes the call should know, in one or two sentences, as you would say it to them.",
        });
        (description, schema(json!({ "to": to, "briefing": briefing }), &["to"]))
    }

    /// The model wants the caller passed on, once what it says was heard.
    pub(in crate::dialogue) fn asked_to_transfer(&mut self, arguments: &Value) -> Result<String, String> {
        let order = self.admitted(&text(arguments, "to"), text(arguments, "briefing"), Origin::Model)?;
        if self.tel.transfer.is_some() || self.tel.asked.is_some() {
            return Err("the caller is being passed on already".to_owned());
        }
        let to = order.target.clone().unwrap_or_else(|| order.to.clone());
        self.tel.asked = Some(order);
        Ok(format!("The caller is passed on to {to} now."))
    }

    /// A tool's own action: the same rules hold for it.
    pub(in crate::dialogue) fn tool_transfers(&mut self, fx: &mut Effects, to: &str) {
        match self.admitted(to, String::new(), Origin::Tool) {
            Ok(order) if self.tel.transfer.is_none() => self.tel.asked = Some(order),
            Ok(_) => {}
            Err(why) => fx.raise(Failure::TransferFailed, "", &why, "record"),
        }
    }

    /// A menu or a rule passes the caller on, to whom the agent's author said.
    pub(in crate::dialogue) fn author_transfers(&mut self, fx: &mut Effects, to: &str) {
        if self.tel.transfer.is_some() {
            return;
        }
        let (target, to, mode) = match self.listed(to) {
            Some((name, to, mode)) => (Some(name), to, mode),
            None => (None, to.to_owned(), self.spec.transfer.mode),
        };
        self.stop_thinking(fx);
        self.rejoin = None;
        let order = Order { target, to, mode, briefing: String::new(), origin: Origin::Author };
        self.begin_transfer(fx, order, true);
    }

    /// There is nobody left to go on with the call: it is passed on to whom the agent's author said.
    pub(in crate::dialogue) fn failure_transfers(
        &mut self,
        fx: &mut Effects,
        failure: Failure,
        to: &str,
        speaks: bool,
    ) {
        if self.tel.transfer.is_some() {
            return;
        }
        let (target, to, mode) = match self.listed(to) {
            Some((name, to, mode)) => (Some(name), to, mode),
            None => (None, to.to_owned(), self.spec.transfer.mode),
        };
        // Whoever would tell what the call is about has just failed.
        let mode = if mode == TransferMode::Attended { TransferMode::Bridge } else { mode };
        // Nor is anything waited for that they would have to say of the caller.
        self.ears.stop_listening(fx);
        self.overlap = None;
        self.mouth.resume(fx);
        self.stop_thinking(fx);
        self.rejoin = None;
        let order = Order { target, to, mode, briefing: String::new(), origin: Origin::Failure(failure) };
        self.begin_transfer(fx, order, speaks);
    }

    fn admitted(&self, to: &str, briefing: String, origin: Origin) -> Result<Order, String> {
        if let Some((name, to, mode)) = self.listed(to) {
            return Ok(Order { target: Some(name), to, mode, briefing, origin });
        }
        let policy = &self.spec.transfer;
        if let Some(to) = policy.admits(to) {
            return Ok(Order { target: None, to, mode: policy.mode, briefing, origin });
        }
        if policy.targets.is_empty() && !policy.allow_any {
            return Err("there is nobody to pass the caller on to; offer something else".to_owned());
        }
        let names: Vec<&str> = policy.targets.iter().map(|target| target.name.as_str()).collect();
        Err(format!("that may not be dialled; possible are: {}", names.join(", ")))
    }
}

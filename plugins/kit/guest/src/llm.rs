//! Language models: what an `llm-provider` implements.

pub use crate::bindings::llm::exports::trunkline::plugin::llm::{
    Content, FinishReason, LlmEvent, Message, Request, Role, ToolCall, ToolResult,
};
use crate::{Event, Host, Outbox, ProviderError};

/// One generation; it ends with `finished` or `failed`.
pub trait Generation: Sized + 'static {
    /// Checks what does not depend on a session; an error keeps the plugin out of service.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn init(_host: &mut dyn Host) -> Result<(), String> {
        Ok(())
    }
    /// Starts a generation. It has no events of its own: send a request or set a timer, and answer when that arrives.
    ///
    /// # Errors
    /// Ends the generation before it began.
    fn start(host: &mut dyn Host, request: Request) -> Result<Self, ProviderError>;
    /// Takes what happened on a connection or timer of this generation.
    ///
    /// # Errors
    /// Ends the generation.
    fn on_event(&mut self, host: &mut dyn Host, event: Event, out: &mut Outbox<LlmEvent>) -> Result<(), ProviderError>;
    /// Goes on after [`Outbox::more`].
    ///
    /// # Errors
    /// Ends the generation.
    fn resume(&mut self, _host: &mut dyn Host, _out: &mut Outbox<LlmEvent>) -> Result<(), ProviderError> {
        Ok(())
    }
    /// The caller interrupted: drop everything pending.
    ///
    /// # Errors
    /// Reported; the generation ends all the same.
    fn cancel(&mut self, _host: &mut dyn Host, out: &mut Outbox<LlmEvent>) -> Result<(), ProviderError> {
        out.clear();
        out.push(LlmEvent::Finished(FinishReason::Cancelled));
        Ok(())
    }
}

/// The text of the last message of the caller, or an empty string when there is none.
pub fn last_user_text(request: &Request) -> &str {
    request
        .messages
        .iter()
        .rev()
        .filter(|message| message.role == Role::User)
        .flat_map(|message| message.content.iter())
        .find_map(|content| match content {
            Content::Text(text) => Some(text.as_str()),
            Content::ToolCall(_) | Content::ToolResult(_) => None,
        })
        .unwrap_or_default()
}

//! Tools a language model may call: what a `tool-provider` implements.

pub use crate::bindings::tool::exports::trunkline::plugin::tool::{Action, CallContext, Outcome, Step};
use crate::{Event, Host, ProviderError, ToolDefinition};

/// One invocation of a tool.
pub trait Invocation: Sized + 'static {
    /// Checks what does not depend on a session; an error keeps the plugin out of service.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn init(_host: &mut dyn Host) -> Result<(), String> {
        Ok(())
    }
    /// The tools this plugin offers.
    fn definitions(host: &mut dyn Host) -> Vec<ToolDefinition>;
    /// Starts an invocation; `arguments` is JSON text as the model wrote it.
    ///
    /// # Errors
    /// Ends the invocation before it began.
    fn start(host: &mut dyn Host, name: &str, arguments: &str, context: CallContext) -> Result<Self, ProviderError>;
    /// Called once after `start` and whenever nothing else would wake the invocation.
    ///
    /// # Errors
    /// Ends the invocation.
    fn poll(&mut self, host: &mut dyn Host) -> Result<Step, ProviderError>;
    /// Takes what happened on a connection or timer of this invocation.
    ///
    /// # Errors
    /// Ends the invocation.
    fn on_event(&mut self, host: &mut dyn Host, event: Event) -> Result<Step, ProviderError>;
    /// The call no longer wants the result.
    fn cancel(&mut self, _host: &mut dyn Host) {}
}

//! Speech synthesis: what a `tts-provider` implements.

pub use crate::bindings::tts::exports::trunkline::plugin::tts::{ContextAudio, ContextId, SessionConfig, TtsEvent};
use crate::{AudioFormat, Event, Host, Outbox, ProviderError};

/// One voice of one call.
pub trait Voice: Sized + 'static {
    /// Checks what does not depend on a session; an error keeps the plugin out of service.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn init(_host: &mut dyn Host) -> Result<(), String> {
        Ok(())
    }
    /// Opens a voice.
    ///
    /// # Errors
    /// Ends the session before it began.
    fn open(host: &mut dyn Host, config: SessionConfig) -> Result<Self, ProviderError>;
    /// The format of every audio event of this session; `l16` mono in 0.1.
    fn format(&self) -> AudioFormat;
    /// Adds text to a context; `end_of_input` closes it.
    ///
    /// # Errors
    /// Ends the session.
    fn synthesize(
        &mut self,
        host: &mut dyn Host,
        context: ContextId,
        text: &str,
        end_of_input: bool,
        out: &mut Outbox<TtsEvent>,
    ) -> Result<(), ProviderError>;
    /// Barge-in: drop everything pending of the context. Audio events of it that wait for credit are already gone.
    ///
    /// # Errors
    /// Ends the session.
    fn cancel(
        &mut self,
        host: &mut dyn Host,
        context: ContextId,
        out: &mut Outbox<TtsEvent>,
    ) -> Result<(), ProviderError>;
    /// Takes what happened on a connection or timer of this session.
    ///
    /// # Errors
    /// Ends the session.
    fn on_event(
        &mut self,
        _host: &mut dyn Host,
        _event: Event,
        _out: &mut Outbox<TtsEvent>,
    ) -> Result<(), ProviderError> {
        Ok(())
    }
    /// Goes on after [`Outbox::more`].
    ///
    /// # Errors
    /// Ends the session.
    fn resume(&mut self, _host: &mut dyn Host, _out: &mut Outbox<TtsEvent>) -> Result<(), ProviderError> {
        Ok(())
    }
    /// The call is over.
    ///
    /// # Errors
    /// Reported; the session ends all the same.
    fn close(&mut self, _host: &mut dyn Host, out: &mut Outbox<TtsEvent>) -> Result<(), ProviderError> {
        out.clear();
        out.push(TtsEvent::Ended);
        Ok(())
    }
}

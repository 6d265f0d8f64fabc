//! Speech recognition: what an `asr-provider` implements.

pub use crate::bindings::asr::exports::trunkline::plugin::asr::{AsrEvent, SessionConfig, Transcript};
use crate::{AudioFormat, AudioFrame, Event, Host, Outbox, ProviderError};

/// One caller's recognition session.
pub trait Recogniser: Sized + 'static {
    /// Checks what does not depend on a session; an error keeps the plugin out of service.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn init(_host: &mut dyn Host) -> Result<(), String> {
        Ok(())
    }
    /// Input formats the plugin accepts, best first.
    fn formats() -> Vec<AudioFormat>;
    /// Opens a session.
    ///
    /// # Errors
    /// Ends the session before it began.
    fn open(host: &mut dyn Host, config: SessionConfig) -> Result<Self, ProviderError>;
    /// Takes the caller's audio.
    ///
    /// # Errors
    /// Ends the session.
    fn push_audio(
        &mut self,
        host: &mut dyn Host,
        frames: Vec<AudioFrame>,
        out: &mut Outbox<AsrEvent>,
    ) -> Result<(), ProviderError>;
    /// The host heard the end of an utterance: pending words become final. A recogniser without connections that answers
    /// with nothing and has set no timer has heard no words; any other is waited for (`turn.final_wait_ms`).
    ///
    /// # Errors
    /// Ends the session.
    fn finalize(&mut self, host: &mut dyn Host, out: &mut Outbox<AsrEvent>) -> Result<(), ProviderError>;
    /// Takes what happened on a connection or timer of this session.
    ///
    /// # Errors
    /// Ends the session.
    fn on_event(
        &mut self,
        _host: &mut dyn Host,
        _event: Event,
        _out: &mut Outbox<AsrEvent>,
    ) -> Result<(), ProviderError> {
        Ok(())
    }
    /// Goes on after [`Outbox::more`].
    ///
    /// # Errors
    /// Ends the session.
    fn resume(&mut self, _host: &mut dyn Host, _out: &mut Outbox<AsrEvent>) -> Result<(), ProviderError> {
        Ok(())
    }
    /// The call is over.
    ///
    /// # Errors
    /// Reported; the session ends all the same.
    fn close(&mut self, _host: &mut dyn Host, out: &mut Outbox<AsrEvent>) -> Result<(), ProviderError> {
        out.clear();
        out.push(AsrEvent::Ended);
        Ok(())
    }
}

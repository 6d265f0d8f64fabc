//! What sessions of every world share: outputs in order, the time their plugin took, and one end.

use std::collections::VecDeque;

use trunkline_plugin_host::{AsrSession, Capability, LlmSession, ProviderError, SessionError, ToolSession, TtsSession};

use super::seat::Body;
use super::units::PluginTime;
use super::{Input, Output, Sound};

/// The part of a plugin session that is the same in every world.
pub(super) trait Session: Send {
    fn handle_wake(&mut self, now_us: u64) -> Result<(), SessionError>;
    fn poll_timeout(&self) -> Option<u64>;
    fn wants_step(&self) -> bool;
    fn plugin_us(&self) -> u64;
}

macro_rules! session {
    ($($kind:ty),*) => {$(
        impl Session for $kind {
            fn handle_wake(&mut self, now_us: u64) -> Result<(), SessionError> {
                self.handle_wake(now_us)
            }
            fn poll_timeout(&self) -> Option<u64> {
                self.poll_timeout()
            }
            fn wants_step(&self) -> bool {
                self.wants_step()
            }
            fn plugin_us(&self) -> u64 {
                self.plugin_us()
            }
        }
    )*};
}
session!(AsrSession, LlmSession, TtsSession, ToolSession);

/// What is a world's own: how its inputs are handed over and what its events mean.
pub(super) trait World<S>: Send {
    /// The capability its failures are named after.
    const CAPABILITY: Capability;

    /// Hands over one input; one that the world does not know is left out.
    fn handle(&mut self, session: &mut S, now_us: u64, input: Input) -> Result<(), SessionError>;

    /// Hands over sound; a world that has no ear leaves it out.
    fn hear(&mut self, _: &mut S, _: u64, _: Sound<'_>) -> Result<(), SessionError> {
        Ok(())
    }

    /// Takes what the session learned.
    fn collect(&mut self, session: &mut S, said: &mut Said);
}

/// The end of a session whose provider failed.
pub(super) fn failed(error: &ProviderError, capability: Capability) -> Output {
    Output::Failed { failure: error.failure(capability), detail: error.to_string() }
}

/// What a session said, until somebody takes it.
#[derive(Default)]
pub(super) struct Said {
    outputs: VecDeque<Output>,
    time: PluginTime,
    plugin_us: u64,
    over: bool,
}

impl Said {
    /// Queues an output.
    pub(super) fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Queues the last output, after the time the plugin took: nobody listens once it is out.
    pub(super) fn end(&mut self, output: Output) {
        if !std::mem::replace(&mut self.over, true) {
            self.outputs.extend(self.time.report(self.plugin_us, true));
            self.outputs.push_back(output);
        }
    }
}

/// A session of a world.
pub(super) struct WorldBody<S, W> {
    session: S,
    world: W,
    said: Said,
}

impl<S: Session, W: World<S>> WorldBody<S, W> {
    /// A session that was just opened.
    pub(super) fn new(session: S, world: W) -> Self {
        Self { session, world, said: Said::default() }
    }

    fn check(&mut self, result: Result<(), SessionError>) {
        self.said.plugin_us = self.session.plugin_us();
        self.world.collect(&mut self.session, &mut self.said);
        if let Err(error) = result {
            self.said.end(Output::Failed { failure: error.failure(W::CAPABILITY), detail: error.to_string() });
        }
    }
}

impl<S: Session, W: World<S>> Body for WorldBody<S, W> {
    fn handle(&mut self, now_us: u64, input: Input) {
        let result = self.world.handle(&mut self.session, now_us, input);
        self.check(result);
    }

    fn hear(&mut self, now_us: u64, sound: Sound<'_>) {
        let result = self.world.hear(&mut self.session, now_us, sound);
        self.check(result);
    }

    fn wake(&mut self, now_us: u64) {
        let result = self.session.handle_wake(now_us);
        self.check(result);
    }

    fn wants_step(&self) -> bool {
        !self.said.over && self.session.wants_step()
    }

    fn poll(&mut self) -> Option<Output> {
        let Said { outputs, time, plugin_us, over } = &mut self.said;
        outputs.pop_front().or_else(|| time.report(*plugin_us, *over))
    }

    fn timeout_us(&self) -> Option<u64> {
        self.session.poll_timeout()
    }

    fn is_over(&self) -> bool {
        self.said.over && self.said.outputs.is_empty()
    }
}

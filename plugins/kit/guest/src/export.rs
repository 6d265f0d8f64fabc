//! Joins a plugin's trait to the generated exports: one cell a session, the outbox's credit rule, one macro a world.

use std::cell::RefCell;
use std::marker::PhantomData;

use crate::bindings::lifecycle::exports::trunkline::plugin::lifecycle::{Guest, PluginInfo};
use crate::{ComponentHost, Event, Outbox, ProviderError};

/// What every session of a streaming world is: the plugin's own state and its outbox.
#[doc(hidden)]
pub struct Cell<S, E>(RefCell<(S, Outbox<E>)>);

impl<S, E> Cell<S, E> {
    fn new(session: S) -> Self {
        Self(RefCell::new((session, Outbox::default())))
    }

    fn step(
        &self,
        credit: u32,
        handler: impl FnOnce(&mut S, &mut Outbox<E>) -> Result<(), ProviderError>,
    ) -> Result<(Vec<E>, bool), ProviderError> {
        let (session, out) = &mut *self.0.borrow_mut();
        out.step(credit, |out| handler(session, out))
    }

    fn resume(
        &self,
        credit: u32,
        handler: impl FnOnce(&mut S, &mut Outbox<E>) -> Result<(), ProviderError>,
    ) -> Result<(Vec<E>, bool), ProviderError> {
        let (session, out) = &mut *self.0.borrow_mut();
        out.resume(credit, |out| handler(session, out))
    }
}

/// A plugin's name and version as `describe` answers them.
#[doc(hidden)]
pub trait Identity: 'static {
    const NAME: &'static str;
    const VERSION: &'static str;
}

/// The type that implements the generated traits of world `W` for a plugin `P` called `I`.
#[doc(hidden)]
pub struct Exported<W, P, I>(PhantomData<(W, P, I)>);

/// Checks that do not depend on a session, whatever the world.
#[doc(hidden)]
pub trait Init {
    fn init() -> Result<(), String>;
}

impl<W, P, I: Identity> Guest for Exported<W, P, I>
where
    Self: Init,
{
    fn describe() -> PluginInfo {
        PluginInfo { name: I::NAME.to_owned(), version: I::VERSION.to_owned() }
    }
    fn init() -> Result<(), String> {
        <Self as Init>::init()
    }
}

#[doc(hidden)]
pub mod asr {
    use super::*;
    use crate::asr::{AsrEvent, Recogniser, SessionConfig};
    use crate::bindings::asr::exports::trunkline::plugin::asr::{Guest, GuestSession, Session, Step};
    use crate::{AudioFormat, AudioFrame};

    /// Marks the world of an exported type.
    pub struct Asr;

    impl<P: Recogniser, I: Identity> Init for Exported<Asr, P, I> {
        fn init() -> Result<(), String> {
            P::init(&mut ComponentHost)
        }
    }

    impl<P: Recogniser, I: Identity> Guest for Exported<Asr, P, I> {
        type Session = Cell<P, AsrEvent>;
        fn formats() -> Vec<AudioFormat> {
            P::formats()
        }
    }

    fn step((events, again): (Vec<AsrEvent>, bool)) -> Step {
        Step { events, again }
    }

    impl<P: Recogniser> GuestSession for Cell<P, AsrEvent> {
        fn open(config: SessionConfig) -> Result<Session, ProviderError> {
            P::open(&mut ComponentHost, config).map(|session| Session::new(Self::new(session)))
        }
        fn push_audio(&self, frames: Vec<AudioFrame>, credit: u32) -> Result<Step, ProviderError> {
            self.step(credit, |s, out| s.push_audio(&mut ComponentHost, frames, out)).map(step)
        }
        fn finalize(&self, credit: u32) -> Result<Step, ProviderError> {
            self.step(credit, |s, out| s.finalize(&mut ComponentHost, out)).map(step)
        }
        fn on_event(&self, event: Event, credit: u32) -> Result<Step, ProviderError> {
            self.step(credit, |s, out| s.on_event(&mut ComponentHost, event, out)).map(step)
        }
        fn resume(&self, credit: u32) -> Result<Step, ProviderError> {
            Self::resume(self, credit, |s, out| s.resume(&mut ComponentHost, out)).map(step)
        }
        fn close(&self, credit: u32) -> Result<Step, ProviderError> {
            self.step(credit, |s, out| s.close(&mut ComponentHost, out)).map(step)
        }
    }
}

#[doc(hidden)]
pub mod llm {
    use super::*;
    use crate::bindings::llm::exports::trunkline::plugin::llm::{Generation as Resource, Guest, GuestGeneration, Step};
    use crate::llm::{Generation, LlmEvent, Request};

    /// Marks the world of an exported type.
    pub struct Llm;

    impl<P: Generation, I: Identity> Init for Exported<Llm, P, I> {
        fn init() -> Result<(), String> {
            P::init(&mut ComponentHost)
        }
    }

    impl<P: Generation, I: Identity> Guest for Exported<Llm, P, I> {
        type Generation = Cell<P, LlmEvent>;
    }

    fn step((events, again): (Vec<LlmEvent>, bool)) -> Step {
        Step { events, again }
    }

    impl<P: Generation> GuestGeneration for Cell<P, LlmEvent> {
        fn start(request: Request) -> Result<Resource, ProviderError> {
            P::start(&mut ComponentHost, request).map(|session| Resource::new(Self::new(session)))
        }
        fn on_event(&self, event: Event, credit: u32) -> Result<Step, ProviderError> {
            self.step(credit, |s, out| s.on_event(&mut ComponentHost, event, out)).map(step)
        }
        fn resume(&self, credit: u32) -> Result<Step, ProviderError> {
            Self::resume(self, credit, |s, out| s.resume(&mut ComponentHost, out)).map(step)
        }
        fn cancel(&self, credit: u32) -> Result<Step, ProviderError> {
            self.step(credit, |s, out| s.cancel(&mut ComponentHost, out)).map(step)
        }
    }
}

#[doc(hidden)]
pub mod tts {
    use super::*;
    use crate::AudioFormat;
    use crate::bindings::tts::exports::trunkline::plugin::tts::{Guest, GuestSession, Session, Step};
    use crate::tts::{ContextId, SessionConfig, TtsEvent, Voice};

    /// Marks the world of an exported type.
    pub struct Tts;

    impl<P: Voice, I: Identity> Init for Exported<Tts, P, I> {
        fn init() -> Result<(), String> {
            P::init(&mut ComponentHost)
        }
    }

    impl<P: Voice, I: Identity> Guest for Exported<Tts, P, I> {
        type Session = Cell<P, TtsEvent>;
    }

    fn step((events, again): (Vec<TtsEvent>, bool)) -> Step {
        Step { events, again }
    }

    impl<P: Voice> GuestSession for Cell<P, TtsEvent> {
        fn open(config: SessionConfig) -> Result<Session, ProviderError> {
            P::open(&mut ComponentHost, config).map(|session| Session::new(Self::new(session)))
        }
        fn format(&self) -> AudioFormat {
            self.0.borrow().0.format()
        }
        fn synthesize(
            &self,
            context: ContextId,
            text: String,
            end_of_input: bool,
            credit: u32,
        ) -> Result<Step, ProviderError> {
            self.step(credit, |s, out| s.synthesize(&mut ComponentHost, context, &text, end_of_input, out)).map(step)
        }
        fn cancel(&self, context: ContextId, credit: u32) -> Result<Step, ProviderError> {
            self.step(credit, |s, out| {
                out.retain(|event| !matches!(event, TtsEvent::Audio(audio) if audio.context == context));
                s.cancel(&mut ComponentHost, context, out)
            })
            .map(step)
        }
        fn on_event(&self, event: Event, credit: u32) -> Result<Step, ProviderError> {
            self.step(credit, |s, out| s.on_event(&mut ComponentHost, event, out)).map(step)
        }
        fn resume(&self, credit: u32) -> Result<Step, ProviderError> {
            Self::resume(self, credit, |s, out| s.resume(&mut ComponentHost, out)).map(step)
        }
        fn close(&self, credit: u32) -> Result<Step, ProviderError> {
            self.step(credit, |s, out| s.close(&mut ComponentHost, out)).map(step)
        }
    }
}

#[doc(hidden)]
pub mod tool {
    use super::*;
    use crate::ToolDefinition;
    use crate::bindings::tool::exports::trunkline::plugin::tool::{Guest, GuestInvocation, Invocation as Resource};
    use crate::tool::{CallContext, Invocation, Step};

    /// Marks the world of an exported type.
    pub struct Tool;

    impl<P: Invocation, I: Identity> Init for Exported<Tool, P, I> {
        fn init() -> Result<(), String> {
            P::init(&mut ComponentHost)
        }
    }

    impl<P: Invocation, I: Identity> Guest for Exported<Tool, P, I> {
        type Invocation = RefCell<P>;
        fn definitions() -> Vec<ToolDefinition> {
            P::definitions(&mut ComponentHost)
        }
    }

    impl<P: Invocation> GuestInvocation for RefCell<P> {
        fn start(name: String, arguments: String, context: CallContext) -> Result<Resource, ProviderError> {
            P::start(&mut ComponentHost, &name, &arguments, context)
                .map(|invocation| Resource::new(Self::new(invocation)))
        }
        fn poll(&self) -> Result<Step, ProviderError> {
            self.borrow_mut().poll(&mut ComponentHost)
        }
        fn on_event(&self, event: Event) -> Result<Step, ProviderError> {
            self.borrow_mut().on_event(&mut ComponentHost, event)
        }
        fn cancel(&self) {
            self.borrow_mut().cancel(&mut ComponentHost);
        }
    }
}

#[doc(hidden)]
pub mod redactor {
    use super::*;
    use crate::bindings::redactor::exports::trunkline::plugin::redactor::{Guest, GuestSession, Session};
    use crate::redactor::{Channel, Policy, Redaction, Redactor};

    /// Marks the world of an exported type.
    pub struct Pii;

    impl<P: Redactor, I: Identity> Init for Exported<Pii, P, I> {
        fn init() -> Result<(), String> {
            P::init()
        }
    }

    impl<P: Redactor, I: Identity> Guest for Exported<Pii, P, I> {
        type Session = RefCell<P>;
    }

    impl<P: Redactor> GuestSession for RefCell<P> {
        fn open(policy: Policy) -> Result<Session, String> {
            P::open(policy).map(|session| Session::new(Self::new(session)))
        }
        fn redact(&self, channel: Channel, text: String) -> Result<Redaction, String> {
            self.borrow_mut().redact(channel, &text)
        }
        fn redact_delta(&self, channel: Channel, delta: String, end: bool) -> Result<Redaction, String> {
            self.borrow_mut().redact_delta(channel, &delta, end)
        }
    }
}

/// Declares the exported type of a plugin; the world macros expand to it.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_world {
    ($world:ident, $marker:ident, $plugin:ty, $name:literal) => {
        #[doc(hidden)]
        pub struct TrunklineIdentity;
        impl $crate::export::Identity for TrunklineIdentity {
            const NAME: &'static str = $name;
            const VERSION: &'static str = env!("CARGO_PKG_VERSION");
        }
        #[doc(hidden)]
        pub type TrunklineExport = $crate::export::Exported<$crate::export::$world::$marker, $plugin, TrunklineIdentity>;
        #[cfg(target_arch = "wasm32")]
        #[allow(
            unsafe_code,
            missing_docs,
            unreachable_pub,
            clippy::all,
            reason = "generated from the contract"
        )]
        mod trunkline_export {
            use super::TrunklineExport;
            // SAFETY: the expansion holds only the canonical ABI's export shims, generated from the contract.
            $crate::bindings::lifecycle::export!(TrunklineExport with_types_in $crate::bindings::lifecycle);
            $crate::bindings::$world::export!(TrunklineExport with_types_in $crate::bindings::$world);
        }
    };
}

/// Exports a [`crate::asr::Recogniser`] as the component's `asr-provider`.
#[macro_export]
macro_rules! export_asr_provider {
    ($plugin:ty, name = $name:literal) => {
        $crate::__export_world!(asr, Asr, $plugin, $name);
    };
}

/// Exports a [`crate::llm::Generation`] as the component's `llm-provider`.
#[macro_export]
macro_rules! export_llm_provider {
    ($plugin:ty, name = $name:literal) => {
        $crate::__export_world!(llm, Llm, $plugin, $name);
    };
}

/// Exports a [`crate::tts::Voice`] as the component's `tts-provider`.
#[macro_export]
macro_rules! export_tts_provider {
    ($plugin:ty, name = $name:literal) => {
        $crate::__export_world!(tts, Tts, $plugin, $name);
    };
}

/// Exports a [`crate::tool::Invocation`] as the component's `tool-provider`.
#[macro_export]
macro_rules! export_tool_provider {
    ($plugin:ty, name = $name:literal) => {
        $crate::__export_world!(tool, Tool, $plugin, $name);
    };
}

/// Exports a [`crate::redactor::Redactor`] as the component's `pii-redactor`.
#[macro_export]
macro_rules! export_pii_redactor {
    ($plugin:ty, name = $name:literal) => {
        $crate::__export_world!(redactor, Pii, $plugin, $name);
    };
}

//! A bench to run a plugin's logic on without a sandbox: a host that only writes down what it was asked for, and a
//! driver that hands out credit in small coins so that `again` is always exercised.

use std::collections::VecDeque;

use crate::asr::{AsrEvent, Recogniser};
use crate::llm::{Generation, LlmEvent, Request};
use crate::tts::{SessionConfig, TtsEvent, Voice};
use crate::{
    ConnectRequest, ConnectionId, Event, Host, HttpRequest, Level, Outbox, ProviderError, RequestId, TimerId,
    WebSocketMessage,
};

/// What a plugin did to its host, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    /// A request was sent and got this number.
    HttpSent(RequestId, HttpRequest),
    /// More body pieces were granted.
    HttpGranted(RequestId, u32),
    /// A request was dropped.
    HttpAborted(RequestId),
    /// A connection was asked for and got this number.
    WebSocketConnected(ConnectionId, ConnectRequest),
    /// A message was queued.
    WebSocketSent(ConnectionId, WebSocketMessage),
    /// More messages were granted.
    WebSocketGranted(ConnectionId, u32),
    /// A connection was closed.
    WebSocketClosed(ConnectionId, u16, String),
    /// A line was logged.
    Logged(Level, String),
}

/// A host that writes down what it was asked for.
#[derive(Debug, Default)]
pub struct TestHost {
    /// The settings document the plugin reads.
    pub settings: String,
    /// Names of the secrets the operator configured.
    pub secrets: Vec<String>,
    /// The session's clock in microseconds.
    pub now_us: u64,
    /// What the plugin did.
    pub deeds: Vec<Deed>,
    /// When set, the next request or connection is refused with it.
    pub refusal: Option<ProviderError>,
    timers: VecDeque<(u64, TimerId)>,
    next_id: u32,
}

impl TestHost {
    /// A host whose plugin has these settings.
    pub fn new(settings: &str) -> Self {
        Self { settings: settings.to_owned(), ..Self::default() }
    }

    /// Moves the clock to the earliest timer and returns its event; nothing when no timer is armed.
    pub fn fire_timer(&mut self) -> Option<Event> {
        let (index, _) = self.timers.iter().enumerate().min_by_key(|(_, timer)| **timer)?;
        let (due, id) = self.timers.remove(index)?;
        self.now_us = self.now_us.max(due);
        Some(Event::Timer(id))
    }

    /// Timers that are armed.
    pub fn armed(&self) -> usize {
        self.timers.len()
    }

    /// The requests sent so far.
    pub fn requests(&self) -> Vec<(RequestId, &HttpRequest)> {
        self.deeds
            .iter()
            .filter_map(|deed| match deed {
                Deed::HttpSent(id, request) => Some((*id, request)),
                _ => None,
            })
            .collect()
    }

    fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }
}

impl Host for TestHost {
    fn log(&mut self, level: Level, message: &str) {
        self.deeds.push(Deed::Logged(level, message.to_owned()));
    }
    fn now_us(&mut self) -> u64 {
        self.now_us
    }
    fn set_timer(&mut self, delay_ms: u32) -> TimerId {
        let id = self.id();
        self.timers.push_back((self.now_us + u64::from(delay_ms) * 1000, id));
        id
    }
    fn cancel_timer(&mut self, id: TimerId) {
        self.timers.retain(|(_, timer)| *timer != id);
    }
    fn random(&mut self, len: u32) -> Vec<u8> {
        (0..len).map(|n| n as u8).collect()
    }
    fn settings(&mut self) -> String {
        self.settings.clone()
    }
    fn secret_exists(&mut self, name: &str) -> bool {
        self.secrets.iter().any(|secret| secret == name)
    }
    fn http_send(&mut self, request: HttpRequest) -> Result<RequestId, ProviderError> {
        if let Some(refusal) = self.refusal.take() {
            return Err(refusal);
        }
        let id = self.id();
        self.deeds.push(Deed::HttpSent(id, request));
        Ok(id)
    }
    fn http_grant(&mut self, id: RequestId, more: u32) {
        self.deeds.push(Deed::HttpGranted(id, more));
    }
    fn http_abort(&mut self, id: RequestId) {
        self.deeds.push(Deed::HttpAborted(id));
    }
    fn websocket_connect(&mut self, request: ConnectRequest) -> Result<ConnectionId, ProviderError> {
        if let Some(refusal) = self.refusal.take() {
            return Err(refusal);
        }
        let id = self.id();
        self.deeds.push(Deed::WebSocketConnected(id, request));
        Ok(id)
    }
    fn websocket_send(&mut self, id: ConnectionId, message: WebSocketMessage) -> Result<u32, ProviderError> {
        self.deeds.push(Deed::WebSocketSent(id, message));
        Ok(0)
    }
    fn websocket_grant(&mut self, id: ConnectionId, more: u32) {
        self.deeds.push(Deed::WebSocketGranted(id, more));
    }
    fn websocket_close(&mut self, id: ConnectionId, code: u16, reason: &str) {
        self.deeds.push(Deed::WebSocketClosed(id, code, reason.to_owned()));
    }
}

type EventHandler<S, E> = fn(&mut S, &mut dyn Host, Event, &mut Outbox<E>) -> Result<(), ProviderError>;
type Handler<S, E> = fn(&mut S, &mut dyn Host, &mut Outbox<E>) -> Result<(), ProviderError>;

/// Drives one session the way the host does.
#[derive(Debug)]
pub struct Bench<S, E> {
    /// The host the session talks to.
    pub host: TestHost,
    /// The plugin's session.
    pub session: S,
    /// Credit of each step; small by default.
    pub credit: u32,
    out: Outbox<E>,
    resume: Handler<S, E>,
    on_event: EventHandler<S, E>,
}

impl<R: Recogniser> Bench<R, AsrEvent> {
    /// Opens a recogniser.
    ///
    /// # Errors
    /// What the plugin answered.
    pub fn asr(mut host: TestHost, config: crate::asr::SessionConfig) -> Result<Self, ProviderError> {
        let session = R::open(&mut host, config)?;
        Ok(Self { host, session, credit: 2, out: Outbox::default(), resume: R::resume, on_event: R::on_event })
    }
}

impl<G: Generation> Bench<G, LlmEvent> {
    /// Starts a generation.
    ///
    /// # Errors
    /// What the plugin answered.
    pub fn llm(mut host: TestHost, request: Request) -> Result<Self, ProviderError> {
        let session = G::start(&mut host, request)?;
        Ok(Self { host, session, credit: 2, out: Outbox::default(), resume: G::resume, on_event: G::on_event })
    }
}

impl<V: Voice> Bench<V, TtsEvent> {
    /// Opens a voice.
    ///
    /// # Errors
    /// What the plugin answered.
    pub fn tts(mut host: TestHost, config: SessionConfig) -> Result<Self, ProviderError> {
        let session = V::open(&mut host, config)?;
        Ok(Self { host, session, credit: 2, out: Outbox::default(), resume: V::resume, on_event: V::on_event })
    }
}

impl<S, E> Bench<S, E> {
    /// Runs a handler, then resumes until the session has nothing more to give.
    ///
    /// # Errors
    /// What the plugin answered.
    pub fn run(
        &mut self,
        handler: impl FnOnce(&mut S, &mut dyn Host, &mut Outbox<E>) -> Result<(), ProviderError>,
    ) -> Result<Vec<E>, ProviderError> {
        let Self { host, session, out, .. } = self;
        let (mut events, mut again) = out.step(self.credit, |out| handler(session, host, out))?;
        while again {
            let (next, more) = out.resume(self.credit, |out| (self.resume)(session, host, out))?;
            events.extend(next);
            again = more;
        }
        Ok(events)
    }

    /// Delivers an event.
    ///
    /// # Errors
    /// What the plugin answered.
    pub fn deliver(&mut self, event: Event) -> Result<Vec<E>, ProviderError> {
        let on_event = self.on_event;
        self.run(|session, host, out| on_event(session, host, event, out))
    }

    /// Fires timers, earliest first, until none is armed, and returns each event with the time it came at.
    ///
    /// # Errors
    /// What the plugin answered.
    pub fn run_timers(&mut self) -> Result<Vec<(u64, E)>, ProviderError> {
        let mut all = Vec::new();
        while let Some(event) = self.host.fire_timer() {
            let now = self.host.now_us;
            all.extend(self.deliver(event)?.into_iter().map(|event| (now, event)));
        }
        Ok(all)
    }
}

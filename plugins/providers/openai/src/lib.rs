//! Streaming chat completions of any OpenAI-compatible server.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test stops at what it did not expect"))]

mod body;
mod completion;
mod failure;
mod settings;
mod sse;

use trunkline_plugin_kit::llm::{FinishReason, Generation, LlmEvent, Request};
use trunkline_plugin_kit::{
    BodyMode, ErrorCode, Event, Host, HttpEvent, HttpRequest, Outbox, Placement, ProviderError, RequestId,
    ResponseHead, SecretRef, TimerId, parse_settings,
};

use crate::completion::Completion;
use crate::settings::Settings;
use crate::sse::Decoder;

trunkline_plugin_kit::export_llm_provider!(Chat, name = "openai");

/// Pieces of the body that may be under way.
const WINDOW: u32 = 32;
/// Events that may wait for the host before it is asked to hold the server back.
const MOST_WAITING: usize = 64;
/// Longest body of a refusal, or of an answer that was not streamed, in bytes.
const LONGEST_BODY: usize = 1 << 20;

/// One answer of the model.
#[derive(Debug)]
pub struct Chat {
    request: RequestId,
    stall_timeout_ms: u32,
    watchdog: TimerId,
    last_sign_us: u64,
    reading: Reading,
    completion: Completion,
    /// Pieces taken and not yet granted again.
    owed: u32,
}

#[derive(Debug)]
enum Reading {
    /// No head yet.
    Waiting,
    Stream(Decoder),
    /// A refusal, or an answer in one piece from a server that does not stream.
    Whole(ResponseHead, Vec<u8>),
    Done,
}

impl Generation for Chat {
    fn start(host: &mut dyn Host, request: Request) -> Result<Self, ProviderError> {
        let settings: Settings = parse_settings(host)?;
        if settings.model.is_empty() {
            return Err(ProviderError::invalid_settings("`model` is missing: name the model to ask"));
        }
        let url = format!("{}/chat/completions", settings.base_url.trim_end_matches('/'));
        let secrets = match settings.secret.as_deref() {
            Some(name) if host.secret_exists(name) => vec![SecretRef {
                name: name.to_owned(),
                placement: Placement::Header,
                field: "authorization".to_owned(),
                prefix: "Bearer ".to_owned(),
            }],
            _ => Vec::new(),
        };
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let sent = host.http_send(HttpRequest {
            method: "POST".to_owned(),
            url,
            headers: vec![header("content-type", "application/json"), header("accept", "text/event-stream")],
            secrets,
            body: body::write(&settings, &request)?,
            body_mode: BodyMode::Chunks,
            timeout_ms: settings.timeout_ms,
            window: WINDOW,
        })?;
        Ok(Self {
            request: sent,
            stall_timeout_ms: settings.stall_timeout_ms,
            watchdog: host.set_timer(settings.stall_timeout_ms),
            last_sign_us: host.now_us(),
            reading: Reading::Waiting,
            completion: Completion::default(),
            owed: 0,
        })
    }

    fn on_event(&mut self, host: &mut dyn Host, event: Event, out: &mut Outbox<LlmEvent>) -> Result<(), ProviderError> {
        if matches!(self.reading, Reading::Done) {
            return Ok(());
        }
        let outcome = match event {
            Event::Timer(id) if id == self.watchdog => self.check_for_stall(host),
            Event::Http((id, event)) if id == self.request => {
                self.last_sign_us = host.now_us();
                self.read(event, out)
            }
            Event::Http(_) | Event::Websocket(_) | Event::Timer(_) => Ok(()),
        };
        if let Err(error) = outcome {
            self.break_off(host, out, LlmEvent::Failed(error));
        } else if matches!(self.reading, Reading::Done) {
            // The response is left to end by itself, so that its connection can be used again.
            host.cancel_timer(self.watchdog);
        } else {
            self.grant(host, out);
        }
        Ok(())
    }

    fn resume(&mut self, host: &mut dyn Host, out: &mut Outbox<LlmEvent>) -> Result<(), ProviderError> {
        self.grant(host, out);
        Ok(())
    }

    fn cancel(&mut self, host: &mut dyn Host, out: &mut Outbox<LlmEvent>) -> Result<(), ProviderError> {
        out.clear();
        self.break_off(host, out, LlmEvent::Finished(FinishReason::Cancelled));
        Ok(())
    }
}

impl Chat {
    fn read(&mut self, event: HttpEvent, out: &mut Outbox<LlmEvent>) -> Result<(), ProviderError> {
        match event {
            HttpEvent::Head(head) => {
                let json = head.headers.iter().any(|(name, value)| {
                    name.eq_ignore_ascii_case("content-type") && value.to_ascii_lowercase().contains("application/json")
                });
                let is_success = (200..300).contains(&head.status);
                if is_success {
                    out.push(LlmEvent::Started);
                }
                self.reading = if is_success && !json {
                    Reading::Stream(Decoder::default())
                } else {
                    Reading::Whole(head, Vec::new())
                };
                Ok(())
            }
            HttpEvent::Chunk(bytes) => self.read_bytes(&bytes, out),
            HttpEvent::Line(line) => self.read_bytes(format!("{line}\n").as_bytes(), out),
            HttpEvent::Sse(event) => {
                self.owed += 1;
                self.read_data(&event.data, out)
            }
            HttpEvent::End => self.read_end(out),
            HttpEvent::Failed(error) => Err(error),
        }
    }

    fn read_bytes(&mut self, bytes: &[u8], out: &mut Outbox<LlmEvent>) -> Result<(), ProviderError> {
        self.owed += 1;
        match &mut self.reading {
            Reading::Stream(decoder) => {
                let events = decoder
                    .push(bytes)
                    .map_err(|_| ProviderError::protocol("the server sent a line longer than a mebibyte"))?;
                events.iter().try_for_each(|data| self.read_data(data, out))
            }
            Reading::Whole(_, body) if body.len() + bytes.len() <= LONGEST_BODY => {
                body.extend_from_slice(bytes);
                Ok(())
            }
            Reading::Whole(..) => Err(ProviderError::protocol("the server's answer is longer than a mebibyte")),
            Reading::Waiting => Err(ProviderError::protocol("a body came before its head")),
            Reading::Done => Ok(()),
        }
    }

    fn read_data(&mut self, data: &str, out: &mut Outbox<LlmEvent>) -> Result<(), ProviderError> {
        if matches!(self.reading, Reading::Done) || data.trim().is_empty() {
            return Ok(());
        }
        if data.trim() == "[DONE]" {
            self.completion.end().into_iter().for_each(|event| out.push(event));
            self.reading = Reading::Done;
            return Ok(());
        }
        self.completion.take(data)?.into_iter().for_each(|event| out.push(event));
        Ok(())
    }

    fn read_end(&mut self, out: &mut Outbox<LlmEvent>) -> Result<(), ProviderError> {
        match std::mem::replace(&mut self.reading, Reading::Waiting) {
            Reading::Stream(mut decoder) => {
                // Half an event at the end says that the stream broke off, not that the server speaks nonsense.
                match decoder.finish().map(|data| self.read_data(&data, out)) {
                    Some(Err(error)) if error.code != ErrorCode::Protocol => return Err(error),
                    _ => {}
                }
            }
            Reading::Whole(head, body) => {
                let body = String::from_utf8_lossy(&body);
                if !(200..300).contains(&head.status) {
                    return Err(failure::refusal(&head, &body));
                }
                self.read_data(&body, out)?;
            }
            Reading::Waiting => {}
            Reading::Done => return Ok(()),
        }
        if matches!(self.reading, Reading::Done) {
            return Ok(());
        }
        if !self.completion.has_ended() {
            return Err(ProviderError::new(ErrorCode::Unavailable, "the server closed the stream in mid-answer"));
        }
        self.completion.end().into_iter().for_each(|event| out.push(event));
        self.reading = Reading::Done;
        Ok(())
    }

    fn check_for_stall(&mut self, host: &mut dyn Host) -> Result<(), ProviderError> {
        let silent_ms = (host.now_us().saturating_sub(self.last_sign_us) / 1000) as u32;
        if silent_ms >= self.stall_timeout_ms {
            let message = format!("the server has been silent for {silent_ms} ms");
            return Err(ProviderError::new(ErrorCode::Timeout, message));
        }
        self.watchdog = host.set_timer(self.stall_timeout_ms - silent_ms);
        Ok(())
    }

    /// Lets the server send on, unless the host has enough to do.
    fn grant(&mut self, host: &mut dyn Host, out: &mut Outbox<LlmEvent>) {
        if self.owed > 0 && out.waiting() < MOST_WAITING {
            host.http_grant(self.request, std::mem::take(&mut self.owed));
        } else if self.owed > 0 {
            out.more();
        }
    }

    /// Ends the generation; what is left of the response is of no use to anyone.
    fn break_off(&mut self, host: &mut dyn Host, out: &mut Outbox<LlmEvent>, last: LlmEvent) {
        out.push(last);
        self.owed = 0;
        host.cancel_timer(self.watchdog);
        if !matches!(self.reading, Reading::Done) {
            host.http_abort(self.request);
        }
        self.reading = Reading::Done;
    }
}

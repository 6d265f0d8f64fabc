//! Answers of servers, replayed byte for byte.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use proptest::prelude::*;
use serde_json::{Value, json};
use trunkline_plugin_kit::llm::{
    Content, FinishReason, Generation, LlmEvent, Message, Request, Role, ToolCall, ToolResult,
};
use trunkline_plugin_kit::testing::{Bench, Deed, TestHost};
use trunkline_plugin_kit::{ErrorCode, Event, HttpEvent, ProviderError, ResponseHead, ToolDefinition};
use trunkline_plugin_openai::Chat;

const SETTINGS: &str = r#"{"base_url": "http://127.0.0.1:8000/v1/", "model": "small", "temperature": 0.7}"#;

type ChatBench = Bench<Chat, LlmEvent>;

fn request() -> Request {
    let text = |role, text: &str| Message { role, content: vec![Content::Text(text.to_owned())] };
    Request {
        messages: vec![
            text(Role::System, "Be brief."),
            text(Role::User, "What is the weather?"),
            Message {
                role: Role::Assistant,
                content: vec![Content::ToolCall(ToolCall {
                    id: "c1".to_owned(),
                    name: "weather".to_owned(),
                    arguments: r#"{"city":"Leeds"}"#.to_owned(),
                })],
            },
            Message {
                role: Role::Tool,
                content: vec![Content::ToolResult(ToolResult { call_id: "c1".to_owned(), output: "rain".to_owned() })],
            },
        ],
        tools: vec![ToolDefinition {
            name: "weather".to_owned(),
            description: "Looks out of the window".to_owned(),
            parameters: r#"{"type":"object"}"#.to_owned(),
        }],
        max_tokens: Some(50),
        temperature: None,
    }
}

fn start(host: TestHost) -> ChatBench {
    ChatBench::llm(host, request()).unwrap()
}

fn http(bench: &mut ChatBench, event: HttpEvent) -> Vec<LlmEvent> {
    let id = bench.host.requests()[0].0;
    bench.deliver(Event::Http((id, event))).unwrap()
}

fn head(status: u16, headers: &[(&str, &str)]) -> HttpEvent {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    HttpEvent::Head(ResponseHead { status, headers })
}

fn replay(body: &[u8], cuts: &[usize]) -> Vec<LlmEvent> {
    let mut bench = start(TestHost::new(SETTINGS));
    let mut events = http(&mut bench, head(200, &[("content-type", "text/event-stream")]));
    let mut edges = vec![0, body.len()];
    edges.extend(cuts);
    edges.sort_unstable();
    for pair in edges.windows(2) {
        events.extend(http(&mut bench, HttpEvent::Chunk(body[pair[0]..pair[1]].to_vec())));
    }
    events.extend(http(&mut bench, HttpEvent::End));
    events
}

fn stream(chunks: &[Value]) -> Vec<u8> {
    let mut body: String = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    body.push_str("data: [DONE]\n\n");
    body.into_bytes()
}

fn delta(delta: Value, finish: Option<&str>) -> Value {
    json!({"id": "x", "object": "chat.completion.chunk", "system_fingerprint": null, "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]})
}

/// A spoken answer as OpenAI streams it, with fields nobody asked for.
fn spoken() -> Vec<u8> {
    let mut body = b": keep-alive\n\n".to_vec();
    body.extend(stream(&[
        delta(json!({"role": "assistant", "content": "", "refusal": null}), None),
        delta(json!({"content": "It rains"}), None),
        delta(json!({"content": " in Zürich."}), None),
        delta(json!({}), Some("stop")),
        json!({"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 6, "total_tokens": 26, "prompt_tokens_details": {"cached_tokens": 8}}}),
    ]));
    body
}

fn failed(events: &[LlmEvent]) -> &ProviderError {
    let Some(LlmEvent::Failed(error)) = events.last() else { panic!("{events:?}") };
    error
}

#[test]
fn the_request_carries_the_conversation_and_names_the_secret() {
    let mut host = TestHost::new(SETTINGS);
    host.secrets = vec!["openai_api_key".to_owned()];
    let bench = start(host);
    let (_, sent) = bench.host.requests()[0];
    assert_eq!(sent.url, "http://127.0.0.1:8000/v1/chat/completions");
    assert_eq!((sent.secrets[0].field.as_str(), sent.secrets[0].prefix.as_str()), ("authorization", "Bearer "));
    let body: Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(
        body,
        json!({
            "model": "small", "stream": true, "stream_options": {"include_usage": true},
            "temperature": 0.7, "max_tokens": 50,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "What is the weather?"},
                {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Leeds\"}"}}]},
                {"role": "tool", "tool_call_id": "c1", "content": "rain"}
            ],
            "tools": [{"type": "function", "function": {"name": "weather", "description": "Looks out of the window", "parameters": {"type": "object"}}}]
        })
    );
}

#[test]
fn a_secret_nobody_configured_is_not_asked_for() {
    let bench = start(TestHost::new(SETTINGS));
    assert!(bench.host.requests()[0].1.secrets.is_empty());
}

#[test]
fn words_stream_and_usage_comes_before_the_end() {
    let events = replay(&spoken(), &[]);
    let [started, first, second, LlmEvent::Usage(usage), finished] = &events[..] else { panic!("{events:?}") };
    assert_eq!(started, &LlmEvent::Started);
    assert_eq!(first, &LlmEvent::TextDelta("It rains".to_owned()));
    assert_eq!(second, &LlmEvent::TextDelta(" in Zürich.".to_owned()));
    assert_eq!((usage.tokens_in, usage.tokens_out, usage.tokens_cached), (Some(20), Some(6), Some(8)));
    assert_eq!(finished, &LlmEvent::Finished(FinishReason::Stop));
}

#[test]
fn tool_calls_are_put_together_from_their_deltas() {
    let call = |value: Value| delta(json!({"tool_calls": [value]}), None);
    let numbered = stream(&[
        call(json!({"index": 0, "id": "a", "type": "function", "function": {"name": "weather", "arguments": ""}})),
        call(json!({"index": 0, "function": {"arguments": "{\"city\":"}})),
        call(json!({"index": 1, "id": "b", "function": {"name": "time", "arguments": "{}"}})),
        call(json!({"index": 0, "function": {"arguments": "\"Leeds\"}"}})),
        delta(json!({}), Some("tool_calls")),
    ]);
    let unnumbered = stream(&[
        call(json!({"id": "a", "function": {"name": "weather", "arguments": "{\"city\":\"Leeds\"}"}})),
        call(json!({"id": "b", "function": {"name": "time"}})),
        delta(json!({}), Some("stop")),
    ]);
    for body in [numbered, unnumbered] {
        let events = replay(&body, &[]);
        let calls: Vec<_> = events
            .iter()
            .filter_map(|event| match event {
                LlmEvent::ToolCall(call) => Some((call.id.as_str(), call.name.as_str(), call.arguments.as_str())),
                _ => None,
            })
            .collect();
        assert_eq!(calls, [("a", "weather", r#"{"city":"Leeds"}"#), ("b", "time", "{}")]);
        assert_eq!(events.last(), Some(&LlmEvent::Finished(FinishReason::ToolCalls)));
    }
}

#[test]
fn refusals_become_codes_with_the_servers_own_words() {
    for (status, headers, body, code, retry) in [
        (
            401,
            [("x", "")],
            r#"{"error":{"message":"bad key","code":"invalid_api_key"}}"#,
            ErrorCode::Unauthorized,
            None,
        ),
        (429, [("Retry-After", "2")], r#"{"error":{"message":"slow down"}}"#, ErrorCode::RateLimited, Some(2000)),
        (429, [("retry-after-ms", "150")], r#"{"error":{"message":"slow"}}"#, ErrorCode::RateLimited, Some(150)),
        (
            429,
            [("x", "")],
            r#"{"error":{"message":"pay","type":"insufficient_quota"}}"#,
            ErrorCode::QuotaExceeded,
            None,
        ),
        (404, [("x", "")], r#"{"error":"model 'small' not found"}"#, ErrorCode::InvalidSettings, None),
        (400, [("x", "")], r#"{"object":"error","message":"too long"}"#, ErrorCode::Protocol, None),
        (503, [("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT")], "<html>busy</html>", ErrorCode::Unavailable, None),
        (504, [("x", "")], "", ErrorCode::Timeout, None),
    ] {
        let mut bench = start(TestHost::new(SETTINGS));
        http(&mut bench, head(status, &headers));
        http(&mut bench, HttpEvent::Chunk(body.as_bytes().to_vec()));
        let events = http(&mut bench, HttpEvent::End);
        let error = failed(&events);
        assert_eq!((error.code, error.retry_after_ms), (code, retry), "{status} {body}");
        assert_eq!(error.retryable, matches!(status, 429 | 503 | 504) && code != ErrorCode::QuotaExceeded);
        assert!(error.message.contains(&status.to_string()));
    }
}

#[test]
fn the_hosts_own_failures_pass_through() {
    let mut bench = start(TestHost::new(SETTINGS));
    let failure = ProviderError::new(ErrorCode::Timeout, "no answer");
    let events = http(&mut bench, HttpEvent::Failed(failure.clone()));
    assert_eq!(failed(&events), &failure);
    let mut host = TestHost::new(SETTINGS);
    host.refusal = Some(ProviderError::new(ErrorCode::Unauthorized, "host not granted"));
    assert_eq!(ChatBench::llm(host, request()).unwrap_err().message, "host not granted");
}

#[test]
fn an_answer_that_breaks_off_is_a_failure_and_never_an_end() {
    let body = spoken();
    let half = &body[..body.len() / 2];
    assert_eq!(failed(&replay(half, &[])).code, ErrorCode::Unavailable);
    let error = stream(&[json!({"error": {"message": "overloaded", "code": 500}})]);
    assert!(failed(&replay(&error, &[])).message.contains("overloaded"));
    assert_eq!(failed(&replay(b"data: <html>\n\n", &[])).code, ErrorCode::Protocol);
}

#[test]
fn a_server_without_done_or_streaming_is_understood() {
    let body = format!("data: {}", delta(json!({"content": "Hi"}), Some("stop")));
    assert_eq!(replay(body.as_bytes(), &[]).last(), Some(&LlmEvent::Finished(FinishReason::Stop)));
    let mut bench = start(TestHost::new(SETTINGS));
    http(&mut bench, head(200, &[("Content-Type", "application/json; charset=utf-8")]));
    let whole = json!({"choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "length"}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}});
    http(&mut bench, HttpEvent::Chunk(whole.to_string().into_bytes()));
    let events = http(&mut bench, HttpEvent::End);
    assert_eq!(events[0], LlmEvent::TextDelta("Hi".to_owned()));
    assert_eq!(events.last(), Some(&LlmEvent::Finished(FinishReason::Length)));
}

#[test]
fn a_silent_server_times_out_but_a_slow_one_does_not() {
    let mut bench = start(TestHost::new(SETTINGS));
    let timer = bench.host.fire_timer().unwrap();
    assert_eq!(bench.host.now_us, 10_000_000);
    assert_eq!(failed(&bench.deliver(timer).unwrap()).code, ErrorCode::Timeout);

    let mut bench = start(TestHost::new(SETTINGS));
    bench.host.now_us = 9_000_000;
    http(&mut bench, head(200, &[]));
    let timer = bench.host.fire_timer().unwrap();
    assert_eq!(bench.deliver(timer).unwrap(), []);
    let timer = bench.host.fire_timer().unwrap();
    assert_eq!(bench.host.now_us, 19_000_000, "ten seconds after the last sign of life");
    assert_eq!(failed(&bench.deliver(timer).unwrap()).code, ErrorCode::Timeout);
}

#[test]
fn cancelling_drops_the_request_and_nothing_follows() {
    let mut bench = start(TestHost::new(SETTINGS));
    http(&mut bench, head(200, &[]));
    let events = bench.run(|chat, host, out| chat.cancel(host, out)).unwrap();
    assert_eq!(events, [LlmEvent::Finished(FinishReason::Cancelled)]);
    assert!(bench.host.deeds.iter().any(|deed| matches!(deed, Deed::HttpAborted(_))));
    assert_eq!(http(&mut bench, HttpEvent::Chunk(spoken())), []);
    assert_eq!(bench.host.armed(), 0);
}

#[test]
fn the_server_is_held_back_while_the_host_is_busy() {
    let mut bench = start(TestHost::new(SETTINGS));
    http(&mut bench, head(200, &[]));
    let id = bench.host.requests()[0].0;
    let many: Vec<Value> = (0..100).map(|n| delta(json!({"content": format!("{n} ")}), None)).collect();
    let body: String = many.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    let granted =
        |bench: &ChatBench| bench.host.deeds.iter().filter(|deed| matches!(deed, Deed::HttpGranted(..))).count();
    let before = granted(&bench);
    let mut out = trunkline_plugin_kit::Outbox::default();
    let event = Event::Http((id, HttpEvent::Chunk(body.into_bytes())));
    let (_, again) = out.step(4, |out| bench.session.on_event(&mut bench.host, event, out)).unwrap();
    assert!(again);
    assert_eq!(granted(&bench), before, "a hundred words wait: no more for now");
    out.resume(90, |out| bench.session.resume(&mut bench.host, out)).unwrap();
    out.resume(90, |out| bench.session.resume(&mut bench.host, out)).unwrap();
    assert_eq!(granted(&bench), before + 1, "the queue is short again");
}

proptest! {
    #[test]
    fn an_answer_does_not_depend_on_where_it_is_cut(cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30)) {
        let body = spoken();
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        prop_assert_eq!(replay(&body, &cuts), replay(&body, &[]));
    }

    #[test]
    fn garbage_ends_in_one_failure_or_one_end(parts in prop::collection::vec(
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "data: \\PC{0,30}\n\n".prop_map(String::into_bytes),
            r#"data: \{"choices":(\[\]|null|7|\[\{"delta":\{"content":(null|"x"|3)\}\}\])\}\n\n"#.prop_map(String::into_bytes),
            Just(b"data: [DONE]\n\n".to_vec()),
        ], 0..12)) {
        let events = replay(&parts.concat(), &[]);
        let ends = events.iter().filter(|event| matches!(event, LlmEvent::Finished(_) | LlmEvent::Failed(_))).count();
        prop_assert_eq!(ends, 1, "{:?}", events);
        prop_assert!(matches!(events.last(), Some(LlmEvent::Finished(_) | LlmEvent::Failed(_))));
    }
}

//! The request's body: the conversation in the form of the chat completions API.

use serde_json::{Map, Value, json};
use trunkline_plugin_kit::llm::{Content, Message, Request, Role};
use trunkline_plugin_kit::{ErrorCode, ProviderError, ToolDefinition};

use crate::settings::Settings;

/// Writes the body of `POST /chat/completions`.
///
/// # Errors
/// When a tool's parameters are not JSON.
pub(crate) fn write(settings: &Settings, request: &Request) -> Result<Vec<u8>, ProviderError> {
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(settings.model));
    body.insert("stream".to_owned(), json!(true));
    body.insert("messages".to_owned(), request.messages.iter().flat_map(messages).collect());
    if settings.include_usage {
        body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
    }
    if let Some(temperature) = request.temperature.or(settings.temperature) {
        // By way of text, so that 0.7 is not sent as 0.699999988079071.
        let temperature: f64 = temperature.to_string().parse().unwrap_or_default();
        body.insert("temperature".to_owned(), json!(temperature));
    }
    if let Some(limit) = request.max_tokens.or(settings.max_tokens) {
        body.insert(settings.max_tokens_field.name().to_owned(), json!(limit));
    }
    if !request.tools.is_empty() {
        let tools: Vec<Value> = request.tools.iter().map(tool).collect::<Result<_, _>>()?;
        body.insert("tools".to_owned(), json!(tools));
    }
    body.extend(settings.extra.clone());
    serde_json::to_vec(&body).map_err(|error| ProviderError::new(ErrorCode::Internal, error.to_string()))
}

/// One message of ours is one of theirs, but each tool's result is a message of its own there.
fn messages(message: &Message) -> Vec<Value> {
    let mut text = String::new();
    let (mut calls, mut results) = (Vec::new(), Vec::new());
    for content in &message.content {
        match content {
            Content::Text(part) => text.push_str(part),
            Content::ToolCall(call) => calls.push(json!({
                "id": call.id,
                "type": "function",
                "function": { "name": call.name, "arguments": call.arguments },
            })),
            Content::ToolResult(result) => results.push(json!({
                "role": "tool",
                "tool_call_id": result.call_id,
                "content": result.output,
            })),
        }
    }
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool if !results.is_empty() => return results,
        Role::Tool => "tool",
    };
    let mut spoken = json!({ "role": role, "content": text });
    if !calls.is_empty() {
        if text.is_empty() {
            spoken["content"] = Value::Null;
        }
        spoken["tool_calls"] = json!(calls);
    }
    results.insert(0, spoken);
    results
}

fn tool(tool: &ToolDefinition) -> Result<Value, ProviderError> {
    let parameters: Value = match tool.parameters.trim() {
        "" => json!({ "type": "object", "properties": {} }),
        text => serde_json::from_str(text).map_err(|error| {
            ProviderError::invalid_settings(format!("the parameters of the tool {:?} are not JSON: {error}", tool.name))
        })?,
    };
    Ok(json!({
        "type": "function",
        "function": { "name": tool.name, "description": tool.description, "parameters": parameters },
    }))
}

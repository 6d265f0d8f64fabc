//! The contract's types and ours, mapped both ways. Only this file knows both. Texts of plugins become [`plain`] here.

use crate::bindings::host::types as wit;
use crate::bindings::{asr, llm, redactor, tool, tts};
use crate::text::plain;
use crate::vocabulary as own;

type WitAsr = asr::exports::trunkline::plugin::asr::AsrEvent;
type WitLlm = llm::exports::trunkline::plugin::llm::LlmEvent;
type WitTts = tts::exports::trunkline::plugin::tts::TtsEvent;
use asr::exports::trunkline::plugin::asr as wit_asr;
use llm::exports::trunkline::plugin::llm as wit_llm;
use redactor::exports::trunkline::plugin::redactor as wit_redactor;
use tool::exports::trunkline::plugin::tool as wit_tool;
use tts::exports::trunkline::plugin::tts as wit_tts;

const MAX_MESSAGE: usize = 1024;

impl From<wit::ProviderError> for own::ProviderError {
    fn from(error: wit::ProviderError) -> Self {
        use wit::ErrorCode;
        let code = match error.code {
            ErrorCode::InvalidSettings => own::ErrorCode::InvalidSettings,
            ErrorCode::Unauthorized => own::ErrorCode::Unauthorized,
            ErrorCode::RateLimited => own::ErrorCode::RateLimited,
            ErrorCode::QuotaExceeded => own::ErrorCode::QuotaExceeded,
            ErrorCode::Unsupported => own::ErrorCode::Unsupported,
            ErrorCode::Unavailable => own::ErrorCode::Unavailable,
            ErrorCode::Timeout => own::ErrorCode::Timeout,
            ErrorCode::Cancelled => own::ErrorCode::Cancelled,
            ErrorCode::Protocol => own::ErrorCode::Protocol,
            ErrorCode::Internal => own::ErrorCode::Internal,
        };
        let message = plain(error.message).chars().take(MAX_MESSAGE).collect();
        Self {
            code,
            message,
            retryable: error.retryable,
            retry_after_ms: error.retry_after_ms,
            vendor_code: error.vendor_code.map(plain),
        }
    }
}

impl From<wit::AudioFormat> for own::AudioFormat {
    fn from(format: wit::AudioFormat) -> Self {
        let encoding = match format.encoding {
            wit::Encoding::L16 => own::Encoding::L16,
            wit::Encoding::Pcmu => own::Encoding::Pcmu,
            wit::Encoding::Pcma => own::Encoding::Pcma,
            wit::Encoding::G722 => own::Encoding::G722,
            wit::Encoding::Opus => own::Encoding::Opus,
            wit::Encoding::Mp3 => own::Encoding::Mp3,
        };
        Self { encoding, sample_rate: format.sample_rate, channels: format.channels }
    }
}

impl From<own::AudioFormat> for wit::AudioFormat {
    fn from(format: own::AudioFormat) -> Self {
        let encoding = match format.encoding {
            own::Encoding::L16 => wit::Encoding::L16,
            own::Encoding::Pcmu => wit::Encoding::Pcmu,
            own::Encoding::Pcma => wit::Encoding::Pcma,
            own::Encoding::G722 => wit::Encoding::G722,
            own::Encoding::Opus => wit::Encoding::Opus,
            own::Encoding::Mp3 => wit::Encoding::Mp3,
        };
        Self { encoding, sample_rate: format.sample_rate, channels: format.channels }
    }
}

impl From<&own::AudioFrame> for wit::AudioFrame {
    fn from(frame: &own::AudioFrame) -> Self {
        Self { position_us: frame.position_us, payload: frame.payload.clone() }
    }
}

impl From<wit::AudioFrame> for own::AudioFrame {
    fn from(frame: wit::AudioFrame) -> Self {
        Self { position_us: frame.position_us, payload: frame.payload }
    }
}

impl From<wit::Usage> for own::PluginUsage {
    fn from(usage: wit::Usage) -> Self {
        Self {
            tokens_in: usage.tokens_in,
            tokens_out: usage.tokens_out,
            tokens_cached: usage.tokens_cached,
            audio_in_ms: usage.audio_in_ms,
            audio_out_ms: usage.audio_out_ms,
            characters: usage.characters,
        }
    }
}

impl From<wit::ToolDefinition> for own::ToolDefinition {
    fn from(tool: wit::ToolDefinition) -> Self {
        Self { name: plain(tool.name), description: plain(tool.description), parameters: plain(tool.parameters) }
    }
}

impl From<&own::AsrConfig> for wit_asr::SessionConfig {
    fn from(config: &own::AsrConfig) -> Self {
        Self {
            format: config.format.into(),
            languages: config.languages.clone(),
            interim_results: config.interim_results,
            keyterms: config.keyterms.clone(),
        }
    }
}

impl From<WitAsr> for own::AsrEvent {
    fn from(event: WitAsr) -> Self {
        match event {
            WitAsr::Ready => Self::Ready,
            WitAsr::SpeechStarted(at) => Self::SpeechStarted(at),
            WitAsr::Transcript(heard) => Self::Transcript(own::Transcript {
                text: plain(heard.text),
                is_final: heard.is_final,
                speech_final: heard.speech_final,
                start_ms: heard.start,
                end_ms: heard.end,
                confidence: heard.confidence,
                words: heard.words.into_iter().map(Into::into).collect(),
            }),
            WitAsr::Usage(usage) => Self::Usage(usage.into()),
            WitAsr::Failed(error) => Self::Failed(error.into()),
            WitAsr::Ended => Self::Ended,
        }
    }
}

impl From<wit::Word> for own::Word {
    fn from(word: wit::Word) -> Self {
        Self { text: plain(word.text), start_ms: word.start, end_ms: word.end, confidence: word.confidence }
    }
}

impl From<&own::LlmRequest> for wit_llm::Request {
    fn from(request: &own::LlmRequest) -> Self {
        let tool = |tool: &own::ToolDefinition| wit::ToolDefinition {
            name: tool.name.clone(),
            description: tool.description.clone(),
            parameters: tool.parameters.clone(),
        };
        Self {
            messages: request.messages.iter().map(Into::into).collect(),
            tools: request.tools.iter().map(tool).collect(),
            max_tokens: request.max_tokens,
            temperature: request.temperature,
        }
    }
}

impl From<&own::Message> for wit_llm::Message {
    fn from(message: &own::Message) -> Self {
        let role = match message.role {
            own::Role::System => wit_llm::Role::System,
            own::Role::User => wit_llm::Role::User,
            own::Role::Assistant => wit_llm::Role::Assistant,
            own::Role::Tool => wit_llm::Role::Tool,
        };
        let content = |content: &own::Content| match content {
            own::Content::Text(text) => wit_llm::Content::Text(text.clone()),
            own::Content::ToolCall(call) => wit_llm::Content::ToolCall(wit_llm::ToolCall {
                id: call.id.clone(),
                name: call.name.clone(),
                arguments: call.arguments.clone(),
            }),
            own::Content::ToolResult { call_id, output } => {
                wit_llm::Content::ToolResult(wit_llm::ToolResult { call_id: call_id.clone(), output: output.clone() })
            }
        };
        Self { role, content: message.content.iter().map(content).collect() }
    }
}

impl From<WitLlm> for own::LlmEvent {
    fn from(event: WitLlm) -> Self {
        match event {
            WitLlm::Started => Self::Started,
            WitLlm::TextDelta(text) => Self::TextDelta(plain(text)),
            WitLlm::ToolCall(call) => Self::ToolCall(own::ToolCall {
                id: plain(call.id),
                name: plain(call.name),
                arguments: plain(call.arguments),
            }),
            WitLlm::Usage(usage) => Self::Usage(usage.into()),
            WitLlm::Finished(reason) => Self::Finished(match reason {
                wit_llm::FinishReason::Stop => own::FinishReason::Stop,
                wit_llm::FinishReason::Length => own::FinishReason::Length,
                wit_llm::FinishReason::ToolCalls => own::FinishReason::ToolCalls,
                wit_llm::FinishReason::ContentFilter => own::FinishReason::ContentFilter,
                wit_llm::FinishReason::Cancelled => own::FinishReason::Cancelled,
            }),
            WitLlm::Failed(error) => Self::Failed(error.into()),
        }
    }
}

impl From<&own::TtsConfig> for wit_tts::SessionConfig {
    fn from(config: &own::TtsConfig) -> Self {
        Self {
            voice: config.voice.clone(),
            language: config.language.clone(),
            preferred_rate: config.preferred_rate,
            speaking_rate: config.speaking_rate,
        }
    }
}

impl From<WitTts> for own::TtsEvent {
    fn from(event: WitTts) -> Self {
        match event {
            WitTts::Ready => Self::Ready,
            WitTts::Audio(audio) => Self::Audio { context: audio.context, frame: audio.frame.into() },
            WitTts::ContextDone(context) => Self::ContextDone(context),
            WitTts::Usage(usage) => Self::Usage(usage.into()),
            WitTts::Failed(error) => Self::Failed(error.into()),
            WitTts::Ended => Self::Ended,
        }
    }
}

impl From<&own::ToolContext> for wit_tool::CallContext {
    fn from(context: &own::ToolContext) -> Self {
        Self {
            tenant: context.tenant.clone(),
            agent: context.agent.clone(),
            call: context.call.clone(),
            language: context.language.clone(),
            idempotency_key: context.idempotency_key.clone(),
            deadline_ms: context.deadline_ms,
        }
    }
}

impl From<wit_tool::Outcome> for own::ToolOutcome {
    fn from(outcome: wit_tool::Outcome) -> Self {
        let action = |action: wit_tool::Action| match action {
            wit_tool::Action::Say(text) => own::ToolAction::Say(plain(text)),
            wit_tool::Action::Transfer(target) => own::ToolAction::Transfer(plain(target)),
            wit_tool::Action::HangUp(reason) => own::ToolAction::HangUp(plain(reason)),
            wit_tool::Action::SendDtmf(digits) => own::ToolAction::SendDtmf(plain(digits)),
            wit_tool::Action::SetVariable((name, value)) => own::ToolAction::SetVariable(plain(name), plain(value)),
        };
        Self {
            output: plain(outcome.output),
            is_error: outcome.is_error,
            actions: outcome.actions.into_iter().map(action).collect(),
        }
    }
}

impl From<own::RedactionChannel> for wit_redactor::Channel {
    fn from(channel: own::RedactionChannel) -> Self {
        match channel {
            own::RedactionChannel::AsrInput => Self::AsrInput,
            own::RedactionChannel::LlmInput => Self::LlmInput,
            own::RedactionChannel::LlmOutput => Self::LlmOutput,
            own::RedactionChannel::Transcript => Self::Transcript,
            own::RedactionChannel::Tool => Self::Tool,
            own::RedactionChannel::Log => Self::Log,
            own::RedactionChannel::Webhook => Self::Webhook,
            own::RedactionChannel::Recording => Self::Recording,
        }
    }
}

impl From<&own::RedactionPolicy> for wit_redactor::Policy {
    fn from(policy: &own::RedactionPolicy) -> Self {
        Self { entity_types: policy.entity_types.clone(), languages: policy.languages.clone() }
    }
}

impl From<wit_redactor::Redaction> for own::Redaction {
    fn from(redaction: wit_redactor::Redaction) -> Self {
        Self {
            text: plain(redaction.text),
            counts: redaction.counts.into_iter().map(|count| (plain(count.entity_type), count.count)).collect(),
        }
    }
}

//! The sections `transfer` and `answering` of an agent.

use serde_json::json;
use trunkline_api::answering::AnsweringPolicy;
use trunkline_api::transfer::TransferPolicy;

use super::file::File;

/// Every key with its default.
pub(super) fn write(file: &mut File) {
    transfer(file, &TransferPolicy::default());
    answering(file, &AnsweringPolicy::default());
}

fn transfer(file: &mut File, policy: &TransferPolicy) {
    let text = |text: &str| json!(text).to_string();
    file.section("To whom callers may be passed on, by the tool `transfer`.", "object.body.transfer");
    let about = "Who may be dialled: name, to (number or SIP URI), mode and description, which the model reads.";
    file.default(about, "targets", "[{ name = \"sales\", to = \"+4930555\", description = \"orders\" }]");
    file.default("How: attended (whoever answers is told first), bridge or blind (SIP REFER).", "mode", "\"attended\"");
    file.default("Whether numbers that the caller gives may be dialled, too.", "allow_any", "false");
    file.default("What those begin with; `+` is every country.", "prefixes", "[\"+49\"]");
    file.default("What none of them begins with.", "denied_prefixes", "[\"+49900\"]");
    file.default("How long it rings, 5000 to 180000 ms.", "ring_ms", &policy.ring_ms.to_string());
    file.default("Said to the caller before the hold.", "hold_say", &text(&policy.hold_say));
    file.default("What the caller hears on hold: music, ringback or silence.", "hold_sound", "\"music\"");
    let about = "Which music: empty for the gateway's own, or a WAV file in the folder `ambience` of the state folder.";
    file.default(about, "hold_music", "\"\"");
    file.default("Said to a caller on hold now and then.", "hold_lines", &json!(policy.hold_lines).to_string());
    let every = policy.hold_line_every_ms.to_string();
    file.default("How often, 5000 to 300000 ms.", "hold_line_every_ms", &every);
    let about = "Said to whoever answers; {briefing} is what the model says it is about, {caller} the caller's number.";
    file.default(about, "briefing", &text(&policy.briefing));
    file.default(
        "The key that takes the call, as does a yes; empty for none.",
        "accept_key",
        &text(&policy.accept_key),
    );
    file.default("Asked of them.", "accept_say", &text(&policy.accept_say));
    file.default("How long they have for it, 2000 to 60000 ms.", "accept_ms", &policy.accept_ms.to_string());
    file.default("Longest briefing, 5000 to 180000 ms.", "briefing_ms", &policy.briefing_ms.to_string());
    file.default("Said to them when the caller has hung up.", "caller_gone_say", &text(&policy.caller_gone_say));
    file.default("Who connects the two: bridge (the gateway) or refer (the caller's side).", "join", "\"bridge\"");
    let about = "When nobody takes the call: return (to the agent, after `say`) or hang_up (after `text`).";
    file.default(about, "on_failure", "{ action = \"return\", say = \"\" }");
    file.default("While they speak with the caller the agent: leave or listen.", "while_joined", "\"leave\"");
    file.default("When whoever took it hangs up: hang_up or return.", "after", "\"hang_up\"");
    file.default("Longest leg, 10 to 86400 seconds.", "leg_max_s", &policy.leg_max_s.to_string());
}

fn answering(file: &mut File, policy: &AnsweringPolicy) {
    file.line("");
    file.comment("What is done about whoever answers a call that the agent places; without this section nothing is.");
    file.line("# [object.body.answering]");
    file.default("Also on calls that come in.", "inbound", "false");
    let about = "How long a first word is waited for before the greeting, 0 to 5000 ms.";
    file.default(about, "hello_ms", &policy.hello_ms.to_string());
    let about = "A machine: hang_up, continue or leave_message (`text`, behind the beep).";
    file.default(about, "machine", "{ action = \"hang_up\" }");
    file.default("A menu of keys: continue, navigate (the model presses them) or hang_up.", "ivr", "\"continue\"");
    let about = "An assistant that asks who is calling: continue, say (`text`) or hang_up.";
    file.default(about, "screening", "{ action = \"continue\" }");
    let about = "Silence of a machine after which no beep is waited for, 500 to 10000 ms.";
    file.default(about, "no_beep_ms", &policy.no_beep_ms.to_string());
    file.default("Longest greeting of one, 5000 to 120000 ms.", "greeting_ms", &policy.greeting_ms.to_string());
    let about = "Speech without a pause that only machines make, 2000 to 15000 ms.";
    file.default(about, "monologue_ms", &policy.monologue_ms.to_string());
    file.default("Whose tones: US, EU, DE, GB, IN, FR, ES, IT, CN or JP.", "region", "\"EU\"");
}

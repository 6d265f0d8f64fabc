//! Menus and what is found out after a call, as an agent's file shows them.

use trunkline_api::agent::AfterCall;

use super::file::File;

/// Keys beside those of the sections.
pub(super) fn keys(file: &mut File) {
    let about = "What a call begins with behind the greeting: `menu:` and the name of one; empty for the conversation.";
    file.default(about, "start", "\"\"");
    let about = "What it collects: { name, kind, prompt, confirm (never, readback or double_entry), secure }; kinds are text, \
                 name, email, phone, digits, date, time, number, choice, yes_no, postal_code, card_number, iban and more.";
    file.default(about, "slots", "[]");
}

/// The sections.
pub(super) fn write(file: &mut File) {
    file.line("");
    file.comment("A choice by keys, here by the name `main`. There may be several.");
    file.line("# [object.body.menus.main]");
    file.default("What is said.", "prompt", "\"For opening hours press one, for a person press two.\"");
    let about =
        "Keys with label and action: say, repeat, menu, transfer, hang_up, collect, agent, record, set_variable.";
    file.default(
        about,
        "options",
        "[{ key = \"1\", label = \"hours\", action = { action = \"say\", text = \"We are open from nine to five.\" } }, \
         { key = \"2\", label = \"person\", action = { action = \"agent\" } }]",
    );

    let after = AfterCall::default();
    file.section("How the questions of `analysis` are asked.", "object.body.after_call");
    let about = "Longest time for it, 1000 to 30000 ms; the call's record is closed behind it.";
    file.default(about, "wait_ms", &after.wait_ms.to_string());
    file.default("Outcomes to choose from; without any a list of six.", "dispositions", "[\"sold\", \"lost\"]");
    file.default("Topics to choose from; without any the model names them.", "topics", "[]");
    file.default("Language models that are asked instead of the pipeline's.", "llm", "[]");
}

//! Whole conversations on virtual time, a behaviour a file.
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod agent_hangs_up_after_playback;
mod all_providers_down;
mod asr_stall_fails_over;
mod barge_in_cuts_memory;
mod caller_goes_on_speaking;
mod caller_hangs_up_in_mid_speech;
mod caller_puts_the_call_on_hold;
mod equal_inputs_equal_outputs;
mod every_provider_dies_once;
mod failure_actions;
mod false_barge_in_continues;
mod greeting_turn_and_hang_up;
mod interruption_policies;
mod keys_make_a_turn;
mod llm_timeout_fails_over;
mod longest_call;
mod providers_come_and_go;
mod recording_is_told;
mod redaction;
mod rig;
mod shutdown_and_operator;
mod silent_caller;
mod the_end_of_a_turn;
mod tool_never_answers;
mod tool_round_trip;
mod tts_fails_over;

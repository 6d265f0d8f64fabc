//! `trunkline conference`: calls of a tenant speak with one another, and their agents wait.

use clap::Subcommand;
use http::Method;
use url::form_urlencoded::Serializer;

use super::calls::{answered, text};
use crate::Configuration;
use crate::output::say;

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Conference {
    /// Put a caller into a conference, which begins with its first.
    Join {
        /// Its name, 1 to 64 letters, digits, `-`, `_` and `.`; the same name of another tenant is another conference.
        room: String,
        /// The call's id.
        call: String,
    },
    /// Take a caller out: they are with the agent again.
    #[command(visible_alias = "kick")]
    Leave {
        /// The call's id.
        call: String,
    },
    /// Have the others hear a caller no more.
    Mute {
        /// The call's id.
        call: String,
    },
    /// Have the others hear a caller again.
    Unmute {
        /// The call's id.
        call: String,
    },
    /// List conferences and who is in them.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `trunkline conference`.
pub(crate) fn run(configuration: &Configuration, order: &Conference) -> u8 {
    let path = |call: &str, rest: &str| format!("/v1/calls/{call}/{rest}");
    match order {
        Conference::Join { room, call } => {
            let query = Serializer::new(String::new()).append_pair("room", room).finish();
            answered(configuration, Method::POST, &path(call, &format!("conference?{query}")), |_| {
                say!("{call} joins {room}; `trunkline conference list` shows who is there");
            })
        }
        Conference::Leave { call } => {
            answered(configuration, Method::DELETE, &path(call, "conference"), |_| say!("{call} is with its agent"))
        }
        Conference::Mute { call } => {
            answered(configuration, Method::POST, &path(call, "mute?on=true"), |_| say!("{call} is not heard"))
        }
        Conference::Unmute { call } => {
            answered(configuration, Method::POST, &path(call, "mute?on=false"), |_| say!("{call} is heard"))
        }
        Conference::List { json } => answered(configuration, Method::GET, "/v1/conferences", |data| {
            if *json {
                say!("{data:#}");
                return;
            }
            let rooms = data.as_array().map(Vec::as_slice).unwrap_or_default();
            if rooms.is_empty() {
                say!("no caller is in a conference");
                return;
            }
            say!("{:<24} {:<31} {:<31} muted", "conference", "tenant", "call");
            for room in rooms {
                for member in room["members"].as_array().into_iter().flatten() {
                    let muted = if member["muted"] == true { "yes" } else { "no" };
                    say!(
                        "{:<24} {:<31} {:<31} {muted}",
                        text(&room["room"]),
                        text(&room["tenant"]),
                        text(&member["call"])
                    );
                }
            }
        }),
    }
}

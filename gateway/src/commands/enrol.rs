//! `trunkline enrol`: trades a one-time token for this gateway's identity, and writes down whose gateway it is.
//!
//! Two owners are involved: the configuration is root's, the state is the service's. Typed as root, a second process
//! acts as the service for the state, and root writes the configuration once that has ended well.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use trunkline_api::sync::EnrolAnswer;
use trunkline_state_folder::{Acting, is_for_root};
use trunkline_sync::{BaseUrl, SyncError};

use crate::config::{self, Loaded, written};
use crate::output::say;
use crate::{Configuration, enrolment, exit, wiring};

const KEY: &str = "control_plane.url";
/// Read after the packaged file and before what an operator numbers higher.
const FILE: &str = "50-control-plane.toml";

/// Enrols and leaves a gateway that is the control plane's at its next start.
pub(crate) fn run(configuration: &Configuration, url: &str, token: &str) -> u8 {
    let loaded = match super::load(configuration) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    match enrol(configuration, &loaded, url, token) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("not enrolled: {error:#}");
            code_of(&error)
        }
    }
}

fn enrol(configuration: &Configuration, loaded: &Loaded, url: &str, token: &str) -> anyhow::Result<u8> {
    BaseUrl::parse(url)?;
    let main = configuration.config.clone().unwrap_or_else(|| PathBuf::from(config::DEFAULT_FILE));
    let file = main.parent().unwrap_or(Path::new("")).join("conf.d").join(FILE);
    let state = &loaded.config.gateway.state_dir;
    let text = format!(
        "# Written by `trunkline enrol`; the next enrolment writes it anew.\n[control_plane]\nurl = {}\n",
        toml::Value::String(url.to_owned())
    );
    if !is_for_root() {
        // Everything that can be in the way is found before the token is spent.
        refuse_other(loaded, url, &file)?;
        can_write(&file, &text)?;
    }
    match crate::state::FOLDER.act_as_owner(state)? {
        Acting::Done(exit::OK) => {}
        Acting::Done(code) => return Ok(code),
        acting => {
            let identity = identity(loaded, url, token)?;
            say!("enrolled as {}", identity.gateway);
            if acting == Acting::ForRoot {
                return Ok(exit::OK);
            }
        }
    }
    written::replace(&file, &text).with_context(|| {
        format!("the gateway is enrolled, but {} cannot be written; set {KEY} = \"{url}\" yourself", file.display())
    })?;
    let next = if configuration.config.is_none() {
        "systemctl restart trunkline".to_owned()
    } else {
        format!("trunkline --config {} run", main.display())
    };
    say!("wrote {}\nnow start the gateway anew:\n  {next}", file.display());
    Ok(exit::OK)
}

/// Spends the token and leaves the identity for the next start.
fn identity(loaded: &Loaded, url: &str, token: &str) -> anyhow::Result<EnrolAnswer> {
    let config = &loaded.config.gateway;
    let room = enrolment::Room::take(&config.state_dir).context("the token was not used")?;
    let token = token_text(token)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let identity = runtime.block_on(trunkline_sync::enrol(&wiring::sync_config(url), &token, &config.name))?;
    room.leave(&identity)?;
    Ok(identity)
}

/// The URL is set elsewhere to another control plane.
#[derive(Debug, thiserror::Error)]
#[error(
    "{place} sets {KEY} to \"{known}\", which would win over \"{url}\"; remove it there, or enrol with that URL. The \
     token was not used"
)]
struct SetElsewhere {
    place: String,
    known: String,
    url: String,
}

fn refuse_other(loaded: &Loaded, url: &str, file: &Path) -> Result<(), SetElsewhere> {
    let known = loaded.config.control_plane.url.as_str();
    let same = url::Url::parse(known).ok().is_some_and(|known| url::Url::parse(url).is_ok_and(|url| url == known));
    let Some(place) = loaded.origins.get(KEY).filter(|_| !known.is_empty() && !same) else { return Ok(()) };
    if place.is_in(file) {
        return Ok(());
    }
    Err(SetElsewhere { place: place.to_string(), known: known.to_owned(), url: url.to_owned() })
}

/// Writes beside `file` what is to be in it.
fn can_write(file: &Path, text: &str) -> anyhow::Result<()> {
    let probe = file.with_file_name(".enrol.probe");
    let _ = std::fs::remove_file(&probe);
    written::create(&probe, text).and_then(|()| std::fs::remove_file(&probe)).with_context(|| {
        let folder = file.parent().unwrap_or(file).display();
        format!(
            "{folder} cannot be written; type the command with `sudo`, and see that its disk has room. The token was \
             not used"
        )
    })
}

fn code_of(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<SyncError>() {
        Some(SyncError::Protocol(_) | SyncError::Unreachable(_)) => exit::UNREACHABLE,
        Some(SyncError::Url { .. } | SyncError::PlainHttp { .. } | SyncError::NotTls { .. } | SyncError::Token(_)) => {
            exit::CONFIGURATION
        }
        None if error.is::<SetElsewhere>() => exit::CONFIGURATION,
        _ => exit::FAILED,
    }
}

/// The token itself, or standard input for `-`, so that it need not stand on the command line.
fn token_text(token: &str) -> anyhow::Result<String> {
    if token != "-" {
        return Ok(token.to_owned());
    }
    let mut text = String::new();
    std::io::stdin().take(4096).read_to_string(&mut text)?;
    Ok(text.trim().to_owned())
}

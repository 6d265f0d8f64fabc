//! `trunkline new`: writes an object file into `conf.d/objects` that works as it lies: ids minted, names resolved, a
//! comment on every key. Nothing is written over, and nothing stays that does not pass the loader.

mod agent;
mod collecting;
mod file;
mod leaving;
mod plain;
mod settings;
mod sound;
mod telephone;
mod thinking;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use trunkline_api::object::{Kind, Object};
use trunkline_api::{Id, Prefix};

use super::check;
use crate::config::{Loaded, written};
use crate::output::say;
use crate::{Configuration, exit};

use file::slug;

/// What can be made.
#[derive(Subcommand)]
pub(crate) enum New {
    /// A tenant: whoever trunks, agents and calls belong to. The first one is made on demand.
    Tenant(plain::Tenant),
    /// A SIP trunk: the addresses calls come from.
    Trunk(plain::Trunk),
    /// An agent: what answers calls.
    Agent(agent::Agent),
    /// A number and the agent that answers it.
    Number(plain::Number),
    /// A route: which calls go to which agent.
    Route(plain::Route),
    /// An outbound route: which calls may leave, and over which trunks.
    OutboundRoute(leaving::OutboundRoute),
}

/// An object file to be.
struct Made {
    kind: Kind,
    /// What the file is named after.
    name: String,
    text: String,
}

/// What is there already, and the plugins an agent can use.
struct Site<'a> {
    loaded: &'a Loaded,
    /// A tenant made on the way.
    new_tenant: Option<Id>,
}

/// Writes the file and says where it is and what to do next.
pub(crate) fn run(configuration: &Configuration, new: &New) -> u8 {
    let loaded = match super::load(configuration) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let made = match make(&loaded, new) {
        Ok(made) => made,
        Err(error) => {
            eprintln!("nothing was written: {error:#}");
            return exit::CONFIGURATION;
        }
    };
    let mut paths = Vec::new();
    for made in &made {
        let path = made.path(&loaded.objects_dir);
        if let Err(error) = written::create(&path, &made.text) {
            remove(&paths);
            eprintln!("nothing was written: {}: {}", path.display(), hint(&error));
            return exit::FAILED;
        }
        paths.push(path);
    }
    let Ok(now) = super::load(configuration) else {
        remove(&paths);
        eprintln!("nothing was written: the file would not pass `trunkline check`, for the reason above");
        return exit::CONFIGURATION;
    };
    for path in &paths {
        say!("wrote {}", path.display());
    }
    if !loaded.config.control_plane.url.is_empty() {
        say!("note: this gateway has a control plane; objects made there reach every gateway, this one stays here");
    }
    match check::next_step(&now) {
        Some(next) => say!("{next}"),
        None => say!("next: trunkline check, then start the gateway again: systemctl restart trunkline"),
    }
    exit::OK
}

/// Characters of a name at most, as REST has it.
const MOST_NAME: usize = 100;

fn make(loaded: &Loaded, new: &New) -> anyhow::Result<Vec<Made>> {
    let mut site = Site { loaded, new_tenant: None };
    let mut files = Vec::new();
    let made = match new {
        New::Tenant(tenant) => tenant.make(&site),
        New::Trunk(trunk) => trunk.make(&site.tenant(trunk.tenant.as_deref(), &mut files)?),
        New::Agent(agent) => {
            let tenant = site.tenant(agent.tenant.as_deref(), &mut files)?;
            agent.make(&tenant, &loaded.config.plugins.dir)
        }
        New::Number(number) => number.make(&site, &site.tenant_of(Kind::Agent, &number.to)?),
        New::Route(route) => route.make(&site, &site.tenant_of(Kind::Agent, &route.to)?),
        New::OutboundRoute(route) => {
            let first = route.trunk.first().map(String::as_str).unwrap_or_default();
            route.make(&site, &site.tenant_of(Kind::Trunk, first)?)
        }
    }?;
    let shown = made.name.trim();
    if shown.is_empty() || made.name.chars().count() > MOST_NAME || made.name.chars().any(char::is_control) {
        bail!("`{}` is no name: 1 to {MOST_NAME} characters, and none that cannot be seen", made.name.escape_debug());
    }
    if site.find(made.kind, &made.name).is_ok() {
        bail!("there is a {} named `{}` already; choose another name", file::kind(made.kind), made.name);
    }
    files.push(made);
    Ok(files)
}

impl Made {
    fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}-{}.toml", file::kind(self.kind), slug(&self.name)))
    }
}

impl Site<'_> {
    /// The tenant of that name or id; without one the only tenant there is, made when there is none.
    fn tenant(&mut self, named: Option<&str>, files: &mut Vec<Made>) -> anyhow::Result<Id> {
        if let Some(named) = named {
            return self.find(Kind::Tenant, named).map(|object| object.id.clone());
        }
        let tenants: Vec<&Object> = self.of(Kind::Tenant).collect();
        match tenants.as_slice() {
            [] => {
                let id = mint(Prefix::Tenant)?;
                files.push(plain::Tenant::default().with_id(&id));
                self.new_tenant = Some(id.clone());
                Ok(id)
            }
            [only] => Ok(only.id.clone()),
            several => bail!("there are several tenants; name one with --tenant: {}", names(several)),
        }
    }

    /// The tenant that owns an object.
    fn tenant_of(&self, kind: Kind, named: &str) -> anyhow::Result<Id> {
        self.find(kind, named).map(|object| object.tenant.clone())
    }

    /// The object of that name or id.
    fn find(&self, kind: Kind, named: &str) -> anyhow::Result<&Object> {
        let found: Vec<&Object> =
            self.of(kind).filter(|object| name(object) == named || object.id.to_string() == named).collect();
        let word = file::kind(kind);
        match found.as_slice() {
            [one] => Ok(one),
            [] => {
                let all: Vec<&Object> = self.of(kind).collect();
                let known = if all.is_empty() {
                    format!("there is none; make one with `trunkline new {word} --name {}`", slug(named))
                } else {
                    format!("there are: {}", names(&all))
                };
                bail!("there is no {word} named `{named}`; {known}")
            }
            several => {
                let ids: Vec<String> = several.iter().map(|object| object.id.to_string()).collect();
                bail!("several {word}s are named `{named}`; name one by its id: {}", ids.join(", "))
            }
        }
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Object> {
        self.loaded.objects.iter().filter(move |object| object.kind == kind)
    }
}

/// What people call an object.
fn name(object: &Object) -> &str {
    let key = if object.kind == Kind::Number { "number" } else { "name" };
    object.body[key].as_str().unwrap_or_default()
}

fn names(objects: &[&Object]) -> String {
    objects.iter().map(|object| format!("`{}`", name(object))).collect::<Vec<_>>().join(", ")
}

/// A new id: nobody types 26 characters.
fn mint(prefix: Prefix) -> anyhow::Result<Id> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(Id::mint(prefix, u64::try_from(now.as_millis())?, random))
}

fn hint(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AlreadyExists => "it exists already; choose another name, or change that file".to_owned(),
        std::io::ErrorKind::PermissionDenied => format!("{error}; type the command with `sudo`"),
        _ => error.to_string(),
    }
}

fn remove(paths: &[PathBuf]) {
    for path in paths {
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests;

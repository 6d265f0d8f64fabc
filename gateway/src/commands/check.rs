//! `trunkline check`: configuration, objects, secrets and plugins, without starting anything.

use std::io::Write as _;
use std::sync::Arc;

use trunkline_configuration::Profile;
use trunkline_runtime::Serving;

use trunkline_state_folder::Acting;

use crate::config::Loaded;
use crate::output::say;
use crate::{Configuration, capacity, exit, plugins, secrets};

/// Prints every fault; exit code 2 when there is one. Warnings do not count.
pub(crate) fn run(configuration: &Configuration) -> u8 {
    let loaded = match super::load(configuration) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    match crate::state::FOLDER.act_as_owner(&loaded.config.gateway.state_dir) {
        Ok(Acting::Done(code)) => return code,
        Ok(Acting::Myself | Acting::ForRoot) => {}
        Err(error) => {
            eprintln!("{error}");
            return exit::FAILED;
        }
    }
    let found = look(&loaded);
    for warning in &found.warnings {
        eprintln!("warning: {warning}");
    }
    for fault in &found.faults {
        eprintln!("{fault}");
    }
    if !found.faults.is_empty() {
        return exit::CONFIGURATION;
    }
    say!("in order: {}", found.summary());
    for line in &found.room {
        say!("{line}");
    }
    if let Some(next) = next_step(&loaded) {
        say!("{next}");
    }
    exit::OK
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) faults: Vec<String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) trunks: usize,
    pub(crate) agents: usize,
    pub(crate) plugins: usize,
    /// How many calls there is room for.
    pub(crate) room: Vec<String>,
}

impl Found {
    pub(crate) fn summary(&self) -> String {
        let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        format!("{}, {}, {}", count(self.trunks, "trunk"), count(self.agents, "agent"), count(self.plugins, "plugin"))
    }
}

/// Looks at everything that a start would meet.
pub(crate) fn look(loaded: &Loaded) -> Found {
    let config = &loaded.config;
    let mut found = Found { warnings: loaded.warnings.iter().map(ToString::to_string).collect(), ..Found::default() };
    let secrets = secrets::resolve(&config.secrets);
    let exposed = if config.profile == Profile::Prod { &mut found.faults } else { &mut found.warnings };
    exposed.extend(secrets.exposed.iter().cloned());
    for lacking in &secrets.lacking {
        if lacking.only_here {
            found.warnings.push(format!("{lacking}; it could not be looked at from here, the service may have it"));
        } else {
            found.faults.push(lacking.to_string());
        }
    }
    let (serving, problems) = Serving::build(&loaded.objects);
    found.faults.extend(problems);
    found.faults.extend(secrets::unknown_to_trunks(&config.secrets, &serving.table));
    let (library, problems) = trunkline_runtime::Library::load(&loaded.objects_dir.join("knowledge"), None);
    found.faults.extend(problems);
    let serving = serving.knowing(library);
    found.trunks = serving.table.trunks().count();
    found.agents = serving.agents();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let loaded = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let host = plugins::host(config, runtime.handle().clone(), secrets.values, Arc::new(say_compiling))?;
        Ok(plugins::load(&host, &config.plugins.dir))
    });
    match loaded {
        Ok((registry, refused)) => {
            found.plugins = registry.names().len();
            let certain = secrets.lacking.iter().filter(|lacking| !lacking.only_here);
            let named = certain.map(|lacking| (lacking.name.as_str(), lacking.why.as_str()));
            let (serving, faults) = serving.against(&registry, &plugins::lacking(&refused, named));
            if found.agents > 0 {
                let (room, fewer) = capacity::told(config, &capacity::most(config), &serving.largest_demand());
                found.room = room;
                found.warnings.extend(fewer);
            }
            let strays = plugins::without_manifest(&config.plugins.dir);
            let stray =
                |folder: &std::path::PathBuf| format!("{}: no plugin.toml in it; is it half copied?", folder.display());
            found.warnings.extend(strays.iter().map(stray));
            found.faults.extend(refused.iter().map(ToString::to_string));
            found.faults.extend(faults.iter().map(ToString::to_string));
        }
        Err(error) => found.faults.push(format!("plugins: {error:#}")),
    }
    found
}

/// A first look takes seconds; it says what it does meanwhile.
fn say_compiling(plugin: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "compiling plugin {plugin} (first time on this machine, it takes some seconds) ...");
}

/// What is still to do before a call can be answered, with the very command.
pub(crate) fn next_step(loaded: &Loaded) -> Option<String> {
    use trunkline_api::object::Kind;
    if !loaded.config.control_plane.url.is_empty() {
        return None;
    }
    let has = |kind| loaded.objects.iter().any(|object| object.kind == kind);
    let next = if !has(Kind::Trunk) {
        "no trunk yet, so no peer is known: trunkline new trunk --name carrier --peer 203.0.113.7"
    } else if !has(Kind::Agent) {
        "no agent yet: trunkline new agent --name reception --greeting \"Hello.\""
    } else if !has(Kind::Route) && !has(Kind::Number) {
        let agent = loaded.objects.iter().find(|object| object.kind == Kind::Agent)?;
        let name = agent.body["name"].as_str().unwrap_or("reception");
        return Some(format!("next: no route yet, so no call is answered: trunkline new route --to {name:?}"));
    } else {
        return None;
    };
    Some(format!("next: {next}"))
}

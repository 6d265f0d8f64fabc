//! `trunkline check`: configuration, objects and plugins, without starting anything.

use trunkline_runtime::Serving;

use crate::{Configuration, exit, owner, plugins, secrets};

/// Prints every fault; exit code 2 when there is one.
pub(crate) fn run(configuration: &Configuration) -> u8 {
    let loaded = match super::load(configuration) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let config = &loaded.config;
    match owner::act_as(&config.gateway.state_dir) {
        Ok(owner::Acting::Done(code)) => return code,
        Ok(owner::Acting::Myself | owner::Acting::ForRoot) => {}
        Err(error) => {
            eprintln!("{error}");
            return exit::FAILED;
        }
    }
    let mut faults = 0;
    let mut fault = |text: String| {
        eprintln!("{text}");
        faults += 1;
    };
    let (serving, problems) = Serving::build(&loaded.objects);
    problems.into_iter().for_each(&mut fault);
    let secrets = match secrets::resolve(&config.secrets) {
        Ok(secrets) => secrets,
        Err(error) => {
            fault(format!("{error:#}"));
            Default::default()
        }
    };
    let mut count = 0;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let host = plugins::host(config, runtime.handle().clone(), secrets)?;
        Ok(plugins::load(&host, &config.plugins.dir))
    }) {
        Ok((registry, refused)) => {
            count = registry.names().len();
            for refused in refused {
                fault(format!("{}: {}", refused.folder.display(), refused.error));
            }
        }
        Err(error) => fault(format!("plugins: {error:#}")),
    }
    if faults > 0 {
        return exit::CONFIGURATION;
    }
    println!("in order: {} agents, {count} plugins", serving.agents());
    exit::OK
}

//! How many calls there is room for: what this machine and the configuration have of everything that calls use up.

use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use trunkline_runtime::{Amounts, Pool};

use crate::config::Config;

/// Files and sockets that are open without any call, and those of the admin API and of the way to a control plane.
const OWN_DESCRIPTORS: u64 = 160;
/// Memory left alone, KiB: what the gateway itself may grow by, and the rest of the machine.
const OWN_KIB: u64 = 64 << 10;
/// Plugin sessions a call may have at a time: it hears, thinks, speaks and uses a tool; a redactor is never heavy.
const HEAVY_A_CALL: u32 = 4;
const MEDIA_A_CALL: u32 = 5;

/// What there is of each pool.
pub(crate) fn most(config: &Config) -> Amounts {
    let calls = config.limits.max_calls;
    let rtp = &config.rtp;
    let by_calls = |configured: u32, a_call: u32| if configured == 0 { calls * a_call } else { configured };
    let mut most = Amounts::all(u32::MAX);
    most[Pool::Calls] = calls;
    most[Pool::MediaPorts] = u32::from(rtp.port_max.saturating_sub(rtp.port_min) + 1) / 2;
    most[Pool::Descriptors] = number(descriptors().map_or(u64::MAX, |limit| limit.saturating_sub(OWN_DESCRIPTORS)));
    most[Pool::Memory] = memory_left_kib().unwrap_or(u32::MAX);
    most[Pool::MediaSessions] = by_calls(config.plugins.media_sessions, MEDIA_A_CALL);
    most[Pool::HeavySessions] = by_calls(config.plugins.heavy_sessions, HEAVY_A_CALL);
    most
}

/// Sessions a plugin pool is made for, so that `calls_may_have` are never short of one: those of calls that ended are
/// let go of a moment later, and a model that is interrupted overlaps with the next.
pub(crate) const fn with_spare(calls_may_have: u32) -> u32 {
    calls_may_have.saturating_add(calls_may_have / 8).saturating_add(16)
}

/// Lets this process open as many files as it may ever; a shell's usual limit is lower for programs of another time.
pub(crate) fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(%error, "the limit on open files could not be raised");
    }
}

/// Files this process may have open, once it has raised its limit; `None` for any number.
fn descriptors() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Memory that calls may still take, in KiB: what the machine has available, or less where this service's cgroup or one
/// above it allows less.
pub(crate) fn memory_left_kib() -> Option<u32> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| field_kib(&text, "MemAvailable:"));
    let left = machine.into_iter().chain(own_cgroups().filter_map(|folder| left_in(&folder))).min()?;
    Some(number(left.saturating_sub(OWN_KIB)))
}

/// The cgroup (version 2) of this process and those above it.
fn own_cgroups() -> impl Iterator<Item = PathBuf> {
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = text.lines().find_map(|line| line.strip_prefix("0::/")).map(|path| Path::new(path).to_path_buf());
    let folders: Vec<PathBuf> =
        own.iter().flat_map(|path| path.ancestors()).map(|path| Path::new("/sys/fs/cgroup").join(path)).collect();
    folders.into_iter()
}

/// KiB that a cgroup leaves; `None` when it sets no limit. Files read into memory give way and do not count.
fn left_in(folder: &Path) -> Option<u64> {
    let value = |name: &str| std::fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let (limit, used) = (value("memory.max")?, value("memory.current")?);
    let stat = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let files = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse::<u64>().ok());
    Some(limit.saturating_sub(used.saturating_sub(files.unwrap_or(0))) >> 10)
}

/// A field such as `MemAvailable:    123 kB`.
fn field_kib(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

fn number(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// What `check` says of the room for calls of `demand`: a line a pool. The warning names the pool that allows fewer
/// calls than `limits.max_calls` promises.
pub(crate) fn told(config: &Config, most: &Amounts, demand: &Amounts) -> (Vec<String>, Option<String>) {
    let (by_pool, tightest) = most.calls_of(demand);
    let calls = by_pool.iter().map(|(_, calls)| *calls).min().unwrap_or(0);
    let mut lines = vec![format!("room for {calls} calls at once, bounded by {}:", name(tightest))];
    for (pool, calls) in &by_pool {
        let (most, each) = (most[*pool], demand[*pool]);
        let how = match pool {
            Pool::Calls => String::new(),
            Pool::MediaPorts => format!(": {} to {}, a pair a call", config.rtp.port_min, config.rtp.port_max),
            Pool::Memory if most != u32::MAX => {
                format!(": {} MiB left, {each} KiB a call when it begins", most >> 10)
            }
            Pool::Descriptors | Pool::MediaSessions | Pool::HeavySessions if most != u32::MAX => {
                format!(": {most}, {each} a call")
            }
            _ => ": no limit".to_owned(),
        };
        let allowed = if *calls == u32::MAX { "any".to_owned() } else { calls.to_string() };
        lines.push(format!("{allowed:>8}  {}{how}", name(*pool)));
    }
    let fewer = (calls < config.limits.max_calls).then(|| {
        let (max, what) = (config.limits.max_calls, name(tightest));
        format!("limits.max_calls is {max}, but {what} allow {calls} calls. {}", tightest.failure().operator_line())
    });
    (lines, fewer)
}

/// A pool as an operator knows it.
const fn name(pool: Pool) -> &'static str {
    match pool {
        Pool::Calls => "limits.max_calls",
        Pool::MediaPorts => "media ports",
        Pool::Descriptors => "open files",
        Pool::Memory => "memory",
        Pool::MediaSessions => "sessions of light plugins",
        Pool::HeavySessions => "sessions of heavy plugins",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_that_allows_the_fewest_calls_is_named_with_what_to_do() {
        let mut config = Config::default();
        config.limits.max_calls = 200;
        config.plugins.heavy_sessions = 90;
        (config.rtp.port_min, config.rtp.port_max) = (20_000, 20_799);
        let mut most = most(&config);
        (most[Pool::Descriptors], most[Pool::Memory]) = (3000, 400_000);
        let mut demand = Amounts::all(1);
        (demand[Pool::Descriptors], demand[Pool::Memory], demand[Pool::HeavySessions]) = (3, 1000, 2);
        let (lines, warning) = told(&config, &most, &demand);
        assert_eq!(
            lines,
            [
                "room for 45 calls at once, bounded by sessions of heavy plugins:",
                "     200  limits.max_calls",
                "     400  media ports: 20000 to 20799, a pair a call",
                "    1000  open files: 3000, 3 a call",
                "     400  memory: 390 MiB left, 1000 KiB a call when it begins",
                "    1000  sessions of light plugins: 1000, 1 a call",
                "      45  sessions of heavy plugins: 90, 2 a call",
            ]
        );
        assert!(warning.unwrap().contains("raise `plugins.heavy_sessions`"));
        config.plugins.heavy_sessions = 0;
        most[Pool::HeavySessions] = super::most(&config)[Pool::HeavySessions];
        assert_eq!(most[Pool::HeavySessions], 800, "four for each of limits.max_calls");
        assert_eq!(told(&config, &most, &demand).1, None);
    }

    #[test]
    fn this_machine_says_what_it_has() {
        assert!(memory_left_kib().is_some_and(|left| left > 1024));
        assert!(descriptors().is_none_or(|limit| limit >= 256));
    }

    #[test]
    fn a_cgroup_leaves_what_is_not_used_or_gives_way() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        assert_eq!(left_in(folder.path()), None);
        write("memory.max", "1073741824\n");
        write("memory.current", "536870912\n");
        write("memory.stat", "anon 1\ninactive_file 268435456\nactive_file 3\n");
        assert_eq!(left_in(folder.path()), Some(768 << 10));
        write("memory.max", "max\n");
        assert_eq!(left_in(folder.path()), None);
    }
}

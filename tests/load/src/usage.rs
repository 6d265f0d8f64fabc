//! What the kernel says a process uses.

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A look at a process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Processor time since its start, in seconds.
    pub processor_s: f64,
    /// Proportional set size in KiB: pages that are shared count by their share, those of one file for once.
    pub pss_kb: f64,
    /// Open descriptors.
    pub descriptors: usize,
}

impl Usage {
    /// Of a process of this machine.
    ///
    /// # Errors
    /// When it has ended, or belongs to somebody else.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let folder = std::path::PathBuf::from(format!("/proc/{pid}"));
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).with_context(|| format!("process {pid}"));
        let (stat, memory) = (read("stat")?, read("smaps_rollup")?);
        // Fields 14 and 15 of proc(5); the name in field 2 may hold spaces, so count from its end.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
        let used = ticks(11).zip(ticks(12)).with_context(|| format!("/proc/{pid}/stat has no times: {stat}"))?;
        let pss = memory.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
        let pss = pss.split_whitespace().next().and_then(|number| number.parse().ok());
        Ok(Self {
            processor_s: (used.0 + used.1) / rustix::param::clock_ticks_per_second() as f64,
            pss_kb: pss.with_context(|| format!("/proc/{pid}/smaps_rollup has no Pss: {memory}"))?,
            descriptors: std::fs::read_dir(folder.join("fd"))?.count(),
        })
    }
}

/// Lets this process, and programs that it starts from now on, open as many descriptors as it may: a call has four.
///
/// # Errors
/// When the system does not allow what it said it would.
pub fn allow_descriptors() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_uses_is_seen() {
        let before = Usage::of(std::process::id()).unwrap();
        let held = vec![1_u8; 32 << 20];
        let files: Vec<_> = (0..20).map(|_| std::fs::File::open("/proc/self/stat").unwrap()).collect();
        let after = Usage::of(std::process::id()).unwrap();
        assert!(after.pss_kb - before.pss_kb > 30_000.0, "{before:?} {after:?}");
        assert!(after.descriptors >= before.descriptors + files.len() / 2, "{before:?} {after:?}");
        assert!(held.iter().all(|byte| *byte == 1));
        assert!(Usage::of(u32::MAX).is_err());
    }
}

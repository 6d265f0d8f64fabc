//! A caller in a thread: a real SIP and RTP user agent with a script, whose events can be waited for.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use trunkline_caller::{Event, Happened, Placement, Report, Script, place};

/// A call being made.
#[derive(Debug)]
pub struct Caller {
    events: Receiver<Event>,
    seen: Vec<Event>,
    thread: JoinHandle<anyhow::Result<Report>>,
}

/// Reads a script from its JSON form and has its words spoken.
pub fn script(json: &serde_json::Value) -> anyhow::Result<Script> {
    let mut script = Script::from_json(&json.to_string())?;
    script.prepare()?;
    Ok(script)
}

impl Caller {
    /// Calls `user` at `gateway` and follows the script; two calls at once need two seeds.
    pub fn call(gateway: SocketAddr, user: &str, seed: u64, script: Script) -> anyhow::Result<Self> {
        let (sender, events) = channel();
        let placement = Placement {
            gateway,
            target: format!("sip:{user}@{gateway}"),
            from: "sip:+4930123456@127.0.0.1".to_owned(),
            local: IpAddr::V4(Ipv4Addr::LOCALHOST),
            sip_port: 0,
            seed,
            headers: Vec::new(),
            cancel_after_ms: None,
            limit_ms: 120_000,
            steps: script.steps,
        };
        let thread = std::thread::Builder::new().name(format!("caller-{seed}")).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let report = runtime.block_on(place(placement, |event| {
                let _ = sender.send(event.clone());
            }))?;
            Ok(report)
        })?;
        Ok(Self { events, seen: Vec::new(), thread })
    }

    /// Waits until something happens.
    pub fn await_event(
        &mut self,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Happened) -> bool,
    ) -> anyhow::Result<Event> {
        let deadline = Instant::now() + within;
        if let Some(event) = self.seen.iter().find(|event| wanted(&event.what)) {
            return Ok(event.clone());
        }
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => {
                    self.seen.push(event.clone());
                    if wanted(&event.what) {
                        return Ok(event);
                    }
                }
                Err(_) => bail!("waited {within:?} for {what}; the caller saw {:?}", self.seen),
            }
        }
    }

    /// Waits for the answer.
    pub fn await_answer(&mut self) -> anyhow::Result<Event> {
        self.await_event("an answer", Duration::from_secs(10), |what| matches!(what, Happened::Answered))
    }

    /// True once the call is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end of the call.
    pub fn finish(self) -> anyhow::Result<Report> {
        self.thread.join().map_err(|_| anyhow!("the caller panicked"))?.context("the caller")
    }
}

/// The media line of a report: packets sent, received and lost, and the longest gap in milliseconds.
#[must_use]
pub fn media(report: &Report) -> Option<(u64, u64, u64, u64)> {
    report.events.iter().find_map(|event| match event.what {
        Happened::Media { sent, received, lost, longest_gap_ms, .. } => Some((sent, received, lost, longest_gap_ms)),
        _ => None,
    })
}

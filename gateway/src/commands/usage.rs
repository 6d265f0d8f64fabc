//! `trunkline usage`: what calls, and lines rendered beforehand, have used, from the records that are on this gateway.

use http::Method;
use serde_json::{Value, json};
use trunkline_api::usage::{ProviderUsage, Units, UsageRecord};
use trunkline_edge_store::EdgeStore;

use super::client::{ClientError, ask};
use super::offline;
use crate::config::Loaded;
use crate::output::say;
use crate::{Configuration, exit, history};

/// Lists calls and sums them up.
pub(crate) fn run(configuration: &Configuration, since: Option<&str>, last: usize, as_json: bool) -> u8 {
    let since_us = match since.map(|text| parse_since(text, jiff::Timestamp::now())).transpose() {
        Ok(since) => since.unwrap_or(0),
        Err(error) => {
            eprintln!("{error}");
            return exit::CONFIGURATION;
        }
    };
    let loaded = match super::load(configuration) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let state = &loaded.config.gateway.state_dir;
    let from_gateway = |after: Option<&str>| {
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        ask(state, Method::GET, &format!("/v1/usage?since_us={since_us}{after}"))
    };
    match gather(from_gateway) {
        Ok(used) => used.show(&loaded, last, as_json),
        Err(ClientError::Refused(error)) => {
            eprintln!("{error:#}");
            exit::FAILED
        }
        Err(ClientError::Unreachable(error)) => offline::read(state, &error, |store: &dyn EdgeStore| {
            let used = gather(|after| history::usage(store, since_us, after, usize::MAX))?;
            Ok(used.show(&loaded, last, as_json))
        }),
    }
}

/// Records and sums.
#[derive(Debug, Default)]
struct Used {
    /// Calls.
    records: Vec<Value>,
    /// Lines that were rendered beforehand.
    renderings: Vec<Value>,
    totals: Vec<ProviderUsage>,
    retired: Value,
}

/// Takes page after page.
fn gather<E>(mut page: impl FnMut(Option<&str>) -> Result<Value, E>) -> Result<Used, E> {
    let (mut used, mut after) = (Used::default(), None::<String>);
    loop {
        let mut got = page(after.as_deref())?;
        used.retired = got["retired"].take();
        if let Value::Array(records) = got["records"].take() {
            records.into_iter().for_each(|record| used.add(record));
        }
        match got["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => return Ok(used),
        }
    }
}

impl Used {
    fn add(&mut self, record: Value) {
        let read = serde_json::from_value::<UsageRecord>(record.clone());
        if let Ok(read) = &read {
            for used in read.usage() {
                match self.totals.iter_mut().find(|sum| sum.provider == used.provider && sum.kind == used.kind) {
                    Some(sum) => sum.units.add(&used.units),
                    None => self.totals.push(used.clone()),
                }
            }
        }
        let list = if let Ok(UsageRecord::Rendering(_)) = read { &mut self.renderings } else { &mut self.records };
        list.push(record);
    }

    fn show(&self, loaded: &Loaded, last: usize, as_json: bool) -> u8 {
        if as_json {
            say!(
                "{:#}",
                json!({
                    "calls": self.records, "renderings": self.renderings, "totals": self.totals, "retired": self.retired,
                })
            );
            return exit::OK;
        }
        say!("{:<31} {:<23} {:>8}  {:<16} {:<16} end", "call", "answered", "seconds", "from", "to");
        for record in &self.records[self.records.len().saturating_sub(last)..] {
            say!("{}", line(record));
        }
        say!("{} calls{}", self.records.len(), if self.records.len() > last { ", the last ones shown" } else { "" });
        if !self.renderings.is_empty() {
            say!(
                "{} lines of agents were rendered beforehand; what that took is part of these sums",
                self.renderings.len()
            );
        }
        self.totals.iter().for_each(|sum| say!("  {}", units(sum)));
        let older = self.retired["records"].as_u64().unwrap_or(0);
        if older > 0 {
            let until = history::utc(self.retired["until_us"].as_u64().unwrap_or(0));
            say!(
                "{older} older calls, until {until}, made room (history.usage_mib); their sums, not part of the above:"
            );
            let sums: Vec<ProviderUsage> = serde_json::from_value(self.retired["usage"].clone()).unwrap_or_default();
            sums.iter().for_each(|sum| say!("  {}", units(sum)));
        }
        if !loaded.config.control_plane.url.is_empty() {
            say!("records that the control plane has taken are there, at {}", loaded.config.control_plane.url);
        }
        exit::OK
    }
}

fn line(record: &Value) -> String {
    let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
    let (began, ended) = (record["answered_us"].as_u64().unwrap_or(0), record["ended_us"].as_u64().unwrap_or(0));
    let seconds = ended.saturating_sub(began) as f64 / 1e6;
    let end = record["failure"].as_str().map_or_else(|| text("end"), str::to_owned);
    format!(
        "{:<31} {:<23} {seconds:>8.1}  {:<16} {:<16} {end}",
        text("call"),
        history::utc(began),
        text("from"),
        text("to")
    )
}

/// One provider's units, those that are not 0.
fn units(sum: &ProviderUsage) -> String {
    let Units { call_ms, asr_ms, tts_chars, tokens_in, tokens_out, tokens_cached, plugin_us } = sum.units;
    let named = [
        (call_ms, "call_ms"),
        (asr_ms, "asr_ms"),
        (tts_chars, "tts_chars"),
        (tokens_in, "tokens_in"),
        (tokens_out, "tokens_out"),
        (tokens_cached, "tokens_cached"),
        (plugin_us, "plugin_us"),
    ];
    let used: Vec<String> =
        named.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
    let provider = if sum.provider.is_empty() { "calls" } else { &sum.provider };
    format!("{:<24} {}", format!("{provider} ({})", sum.kind), used.join(", "))
}

/// `90m`, `24h`, `7d`, a date or a time such as `2026-11-21T08:00:00Z`, as microseconds since the Unix epoch.
fn parse_since(text: &str, now: jiff::Timestamp) -> Result<u64, String> {
    let wrong = || format!("--since {text}: `90m`, `24h`, `7d`, `2026-11-21` or `2026-11-21T08:00:00Z` is expected");
    let ago = |seconds: u64| {
        u64::try_from(now.as_microsecond()).unwrap_or(0).saturating_sub(seconds.saturating_mul(1_000_000))
    };
    for (unit, seconds) in [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)] {
        if let Some(count) = text.strip_suffix(unit).and_then(|count| count.parse::<u64>().ok()) {
            return Ok(ago(count.saturating_mul(seconds)));
        }
    }
    let time = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let date = text.parse::<jiff::civil::Date>().ok()?;
        Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    });
    time.and_then(|time| u64::try_from(time.as_microsecond()).ok()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_span_a_date_or_a_moment() {
        let now: jiff::Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let hour = parse_since("1h", now).unwrap();
        assert_eq!(history::utc(hour), "2026-11-21 11:00:00 UTC");
        assert_eq!(parse_since("2026-11-21T11:00:00Z", now), Ok(hour));
        assert_eq!(parse_since("2026-11-21", now).map(history::utc), Ok("2026-11-21 00:00:00 UTC".to_owned()));
        assert_eq!(parse_since("60m", now), Ok(hour));
        for wrong in ["", "yesterday", "-1h", "h", "9999999999999999999999d"] {
            assert!(parse_since(wrong, now).is_err(), "{wrong}");
        }
    }

    #[test]
    fn pages_are_summed_up_by_provider() {
        let record = |n| {
            let mut record = trunkline_edge_store::conformance::samples::open_record(n);
            record = trunkline_edge_store::conformance::samples::closed(&record);
            serde_json::to_value(record).unwrap()
        };
        let retired = json!({ "records": 0 });
        let rendering = json!({
            "format": 1, "rendering": "rnd_01jd3v6m8kq2h5r9xw4n7p0tza", "tenant": record(1)["tenant"],
            "agent": record(1)["agent"], "agent_version": 1, "rendered_us": 7,
            "usage": [{ "provider": "espeak", "kind": "tts", "units": { "tts_chars": 1000 } }],
        });
        let used = gather(|after| match after {
            None => Ok::<_, ()>(json!({ "records": [record(1), record(2)], "next": "1:2", "retired": retired })),
            Some("1:2") => Ok(json!({ "records": [rendering, record(3)], "next": null, "retired": retired })),
            Some(_) => Err(()),
        });
        let used = used.unwrap();
        assert_eq!((used.records.len(), used.renderings.len()), (3, 1));
        assert_eq!(units(&used.totals[0]), "calls (call)             183000 call_ms");
        assert_eq!(units(&used.totals[1]), "espeak (tts)             2236 tts_chars");
        assert!(line(&used.records[0]).contains("    61.0  +14155550100"), "{}", line(&used.records[0]));
    }
}

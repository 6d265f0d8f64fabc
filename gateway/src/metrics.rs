//! The metrics page: every series by name, with its help, from counters that others keep.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};
use trunkline_edge_store::EdgeStore;
use trunkline_media::{LegTotals, MediaPlane, OPINION_BOUNDS, WorkerStats};
use trunkline_runtime::{DURATION_BOUNDS_MS, DurationCounts, PartLoad, Runtime};
use trunkline_sip::BanReason;

/// One label set.
type Labels = Vec<(&'static str, String)>;

/// The page in OpenMetrics text.
pub(crate) fn page(
    runtime: &Runtime,
    store: &dyn EdgeStore,
    audiosocket: Option<&trunkline_ws::Stats>,
) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("trunkline");
    registry.register_collector(Box::new(Snapshot::take(runtime, store, audiosocket)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Snapshot {
    counters: Vec<(Cow<'static, str>, &'static str, u64)>,
    gauges: Vec<(&'static str, &'static str, i64)>,
    families: Vec<(Cow<'static, str>, &'static str, Family<Labels, Gauge>)>,
    turn_stages: Vec<(&'static str, DurationCounts)>,
    tool_times: Vec<(&'static str, DurationCounts)>,
}

impl Snapshot {
    fn take(runtime: &Runtime, store: &dyn EdgeStore, audiosocket: Option<&trunkline_ws::Stats>) -> Self {
        let calls = runtime.counters();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let health = store.health();
        let recordings = runtime.recordings();
        let named = |(name, says, value): (&'static str, &'static str, u64)| (Cow::Borrowed(name), says, value);
        let mut counters: Vec<_> = [
            ("calls_answered", "Calls answered", count(&calls.answered)),
            ("calls_finished", "Calls whose record is durable", count(&calls.finished)),
            ("calls_refused", "Calls refused", count(&calls.refused)),
            ("calls_placed", "Calls and legs of calls that left, answered or not", count(&calls.placed)),
            ("turns", "Turns of callers", count(&calls.turns)),
            ("interruptions", "Utterances that callers interrupted", count(&calls.interruptions)),
            ("plugin_microseconds", "Time spent in plugins", count(&calls.plugin_us)),
            ("plugin_inputs_dropped", "Inputs that slow plugin sessions lost", count(&calls.dropped_inputs)),
            ("agent_steps", "Times a call was looked at by its agent worker", count(&calls.steps)),
            ("recordings_begun", "Recordings begun", recordings.begun),
            ("recording_bytes", "Bytes of recordings written", recordings.bytes),
            ("recording_syncs", "Times that all recordings were made durable", recordings.syncs),
            ("recording_sync_failures", "Times that failed", recordings.sync_failures),
            ("recording_slow_steps", "Times the disk kept a recording for more than 100 ms", recordings.slow_steps),
            ("events_lost", "Timeline events the store could not take", count(&calls.lost_events)),
        ]
        .map(named)
        .into();
        if let Some(stats) = audiosocket {
            counters.extend(
                [
                    ("audiosocket_connections", "AudioSocket connections taken", stats.connections()),
                    ("audiosocket_refused", "AudioSocket connections from strangers, or too many", stats.refused()),
                    ("audiosocket_failed", "AudioSocket connections that broke the protocol", stats.failed()),
                    ("audiosocket_frames_dropped", "Frames that came faster than time", stats.frames_dropped()),
                ]
                .map(named),
            );
        }
        let media = runtime.plane().totals();
        let of_media = |(name, says, value)| (Cow::Owned(format!("media_{name}")), sentence(says), value);
        counters.extend(media.each().map(of_media));
        let sip = runtime.sip_stats();
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let mut gauges = vec![
            ("calls_active", "Calls in progress", number(runtime.active() as u64)),
            ("media_legs", "Legs attached to media workers", number(runtime.plane().legs() as u64)),
            ("media_workers", "Media workers", number(runtime.plane().workers() as u64)),
            ("recordings_active", "Recordings in progress", number(recordings.active)),
            ("recording_free_bytes", "Bytes free where recordings go", number(recordings.free_bytes)),
            ("recording_longest_sync_us", "The longest sync of recordings", number(recordings.longest_sync_us)),
            ("store_available", "1 while the edge store takes new calls", i64::from(health.available)),
            ("store_pending_usage", "Usage records not acknowledged", number(health.pending[0])),
            ("store_pending_events", "Events not acknowledged", number(health.pending[1])),
            ("store_log_bytes", "Bytes of the append log on disk", number(health.log_bytes)),
            ("store_open_calls", "Calls in the journal", number(health.open_calls as u64)),
            ("store_alarms", "Alarms since the store was opened", number(health.alarms.len() as u64)),
        ];
        let failures = Family::<Labels, Gauge>::default();
        for (failure, count) in calls.failures() {
            failures.get_or_create(&vec![("failure", failure.name().to_owned())]).set(number(count));
        }
        let proofs = Family::<Labels, Gauge>::default();
        for (result, count) in calls.proofs() {
            proofs.get_or_create(&vec![("result", result.to_owned())]).set(number(count));
        }
        let (most, used) = (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
        for (pool, there_are, taken) in runtime.pools() {
            let labels = vec![("pool", pool.name().to_owned())];
            most.get_or_create(&labels).set(i64::from(there_are));
            used.get_or_create(&labels).set(i64::from(taken));
        }
        let mut families = vec![
            ("failures".into(), "Failures by name since the start", failures),
            ("callers_verified".into(), "Calls of trunks with `stir`, by what was found of their callers", proofs),
            ("capacity".into(), "What there is of each pool that calls use up; 4294967295 without a limit", most),
            ("capacity_used".into(), "What calls have taken of each pool", used),
        ];
        families.extend(load(runtime));
        families.extend(trunks(runtime));
        families.extend(workers(runtime.plane()));
        families.push((
            "media_legs_by_engine".into(),
            "Legs by what takes out their noise and finds their speech",
            engines(runtime.plane()),
        ));
        if let Some(sip) = sip {
            gauges.extend([
                ("sip_transactions", "SIP transactions", number(sip.transactions as u64)),
                (
                    "sip_transactions_ended",
                    "Those that ended and are kept for what is sent again",
                    number(sip.ended as u64),
                ),
                (
                    "sip_busy_permille",
                    "Share of the last second that the busiest thread of SIP worked",
                    i64::from(sip.busy_permille),
                ),
                ("sip_banned", "Sources that are not listened to", number(sip.bans.now as u64)),
            ]);
            let requests = Family::<Labels, Gauge>::default();
            for (method, count) in &sip.requests {
                requests.get_or_create(&vec![("method", (*method).to_owned())]).set(number(*count));
            }
            let responses = Family::<Labels, Gauge>::default();
            for ((method, status), count) in &sip.responses {
                let labels = vec![("method", (*method).to_owned()), ("status", status.to_string())];
                responses.get_or_create(&labels).set(number(*count));
            }
            let dropped = Family::<Labels, Gauge>::default();
            for (reason, count) in &sip.dropped {
                dropped.get_or_create(&vec![("reason", (*reason).to_owned())]).set(number(*count));
            }
            let connections = Family::<Labels, Gauge>::default();
            connections.get_or_create(&Vec::new()).set(i64::try_from(sip.connections).unwrap_or(i64::MAX));
            families.push(("sip_connections".into(), "Connections that SIP travels over now", connections));
            let bans = Family::<Labels, Gauge>::default();
            for (reason, count) in BanReason::ALL.into_iter().zip(sip.bans.begun) {
                bans.get_or_create(&vec![("reason", reason.name().to_owned())]).set(number(count));
            }
            if let Some(hep) = sip.hep {
                counters.extend(
                    [
                        ("hep_sent", "SIP messages sent to the capture server", hep.sent),
                        ("hep_dropped", "SIP messages not shown to it because many waited", hep.dropped),
                        ("hep_failed", "SIP messages that the network did not take to it", hep.failed),
                    ]
                    .map(named),
                );
            }
            families.push(("sip_bans".into(), "Bans of sources since the start", bans));
            families.push(("sip_requests".into(), "SIP requests admitted since the start", requests));
            families.push(("sip_responses".into(), "SIP responses sent since the start", responses));
            families.push(("sip_dropped".into(), "SIP messages that went no further since the start", dropped));
        }
        families.push((
            "calls_by_mos".into(),
            "Calls that have ended, by the mean opinion score of each direction, cumulative",
            opinions(&media),
        ));
        let turn_stages = calls.turn_stages.each().map(|(stage, counts)| (stage.name(), counts)).collect();
        let tool_times = calls.tool_times.each().collect();
        Self { counters, gauges, families, turn_stages, tool_times }
    }
}

/// How trunks are that have a server.
fn trunks(runtime: &Runtime) -> Vec<(Cow<'static, str>, &'static str, Family<Labels, Gauge>)> {
    let (open, registered, up) =
        (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
    for trunk in runtime.trunks() {
        let labels = vec![("trunk", trunk.trunk.0.to_string())];
        open.get_or_create(&labels).set(i64::from(trunk.takes_calls));
        if let Some(is_registered) = trunk.registered {
            registered.get_or_create(&labels).set(i64::from(is_registered));
        }
        for host in trunk.hosts {
            let Some(health) = host.health else { continue };
            let labels = vec![("trunk", trunk.trunk.0.to_string()), ("host", host.host)];
            let answers = matches!(health.name(), "up" | "degraded");
            up.get_or_create(&labels).set(i64::from(answers));
        }
    }
    vec![
        ("trunk_takes_calls".into(), "1 while calls can be placed over a trunk", open),
        ("trunk_registered".into(), "1 while a trunk's registration is there", registered),
        ("trunk_host_up".into(), "1 while a trunk's server answers OPTIONS", up),
    ]
}

/// How busy the parts are that calls wait for, a family a figure.
fn load(runtime: &Runtime) -> impl Iterator<Item = (Cow<'static, str>, &'static str, Family<Labels, Gauge>)> {
    type Figure = fn(&PartLoad) -> u64;
    let figures: [(&str, &str, Figure); 6] = [
        ("load_busy_permille", "Share of its time a part worked over the last two seconds", |load| {
            load.busy_permille.into()
        }),
        ("load_expected_permille", "Share of its time that calls which are up are expected to need", |load| {
            load.expected_permille.into()
        }),
        ("load_late_us", "The latest round or turn of the last quarter of a second", |load| load.late_us),
        ("load_cost_ppm", "What a call, or a session of the side pool, costs a thread, in millionths", |load| {
            load.cost_ppm.into()
        }),
        ("load_refusing", "1 while new calls are refused for it", |load| load.refuses.into()),
        ("load_refused", "Calls refused for it since the start", |load| load.refused),
    ];
    let parts = runtime.load();
    figures.into_iter().map(move |(name, says, figure)| {
        let family = Family::<Labels, Gauge>::default();
        for load in &parts {
            let labels = vec![("part", load.part.name().to_owned())];
            family.get_or_create(&labels).set(i64::try_from(figure(load)).unwrap_or(i64::MAX));
        }
        (name.into(), says, family)
    })
}

/// What each media worker counts, a family a figure. Legs by engine have a family of their own.
fn workers(plane: &MediaPlane) -> impl Iterator<Item = (Cow<'static, str>, &'static str, Family<Labels, Gauge>)> {
    let stats: Vec<_> = (0..plane.workers()).map(|worker| plane.worker_stats(worker).each()).collect();
    (0..WorkerStats::FIELDS).filter_map(move |figure| {
        let (name, says, _) = stats.first()?[figure];
        if name.starts_with("legs_") {
            return None;
        }
        let family = Family::<Labels, Gauge>::default();
        for (worker, figures) in stats.iter().enumerate() {
            let value = i64::try_from(figures[figure].2).unwrap_or(i64::MAX);
            family.get_or_create(&vec![("worker", worker.to_string())]).set(value);
        }
        Some((format!("media_worker_{name}").into(), sentence(says), family))
    })
}

/// Legs of each media worker by what works on their sound.
fn engines(plane: &MediaPlane) -> Family<Labels, Gauge> {
    let engines = Family::<Labels, Gauge>::default();
    for worker in 0..plane.workers() {
        let stats = plane.worker_stats(worker);
        let counts = [
            ("lanes", stats.legs_lanes),
            ("economy", stats.legs_economy),
            ("reference", stats.legs_reference),
            ("off", stats.legs_off),
        ];
        for (denoiser, count) in counts {
            let labels = vec![
                ("worker", worker.to_string()),
                ("denoiser", denoiser.to_owned()),
                ("detector", trunkline_media::DETECTOR.to_owned()),
            ];
            engines.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
    engines
}

/// Calls that have ended by what was heard of them, cumulative.
fn opinions(totals: &LegTotals) -> Family<Labels, Gauge> {
    let opinions = Family::<Labels, Gauge>::default();
    for (direction, classes) in [("in", totals.opinion_in), ("out", totals.opinion_out)] {
        let mut below = 0;
        for (bound, count) in OPINION_BOUNDS.iter().zip(classes) {
            below += count;
            let bound = format!("{:.2}", *bound as f64 / 100.0);
            let labels = vec![("direction", direction.to_owned()), ("up_to", bound)];
            opinions.get_or_create(&labels).set(i64::try_from(below).unwrap_or(i64::MAX));
        }
    }
    opinions
}

/// Histograms of one family, each under a label.
fn histograms(
    (name, help): (&str, &str),
    label: &'static str,
    each: &[(&'static str, DurationCounts)],
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), std::fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
    for (value, DurationCounts { classes, sum_ms }) in each {
        let bounds = DURATION_BOUNDS_MS.iter().map(|ms| *ms as f64 / 1000.0).chain([f64::INFINITY]);
        let classes: Vec<(f64, u64)> = bounds.zip(*classes).collect();
        let count: u64 = classes.iter().map(|(_, count)| count).sum();
        let labels: Labels = vec![(label, (*value).to_owned())];
        let mut histogram = family.encode_family(&labels)?;
        histogram.encode_histogram::<NoLabelSet>(*sum_ms as f64 / 1000.0, count, &classes, None)?;
    }
    Ok(())
}

/// A description without the space before it and the full stop that the page adds.
fn sentence(says: &'static str) -> &'static str {
    says.trim().trim_end_matches('.')
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, help, value) in &self.counters {
            let metric = ConstCounter::new(*value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        for (name, help, value) in &self.gauges {
            let metric = ConstGauge::new(*value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        for (name, help, family) in &self.families {
            family.encode(encoder.encode_descriptor(name, help, None, family.metric_type())?)?;
        }
        let help =
            "Time from the end of the caller's speech until a stage of the turn was reached, as in turn.waterfall";
        histograms(("turn_stage", help), "stage", &self.turn_stages, &mut encoder)?;
        let help = "Time from a model's call of a tool until it was told the result, by what came of it";
        histograms(("tool", help), "outcome", &self.tool_times, &mut encoder)
    }
}

#[cfg(test)]
mod tests {
    use trunkline_api::stages::Stage;

    use super::*;

    #[test]
    fn every_stage_of_a_turn_has_its_histogram_by_its_name() {
        let mut classes = [0; DURATION_BOUNDS_MS.len() + 1];
        (classes[0], classes[DURATION_BOUNDS_MS.len()]) = (2, 1);
        let counts = DurationCounts { classes, sum_ms: 12_500 };
        let turn_stages = Stage::ALL.map(|stage| (stage.name(), counts)).into();
        let tool_times = vec![("failed", counts)];
        let mut registry = Registry::with_prefix("trunkline");
        let (counters, gauges, families) = (Vec::new(), Vec::new(), Vec::new());
        let snapshot = Snapshot { counters, gauges, families, turn_stages, tool_times };
        registry.register_collector(Box::new(snapshot));
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
        for stage in Stage::ALL {
            let name = stage.name();
            let bucket = |bound: &str| {
                let labels = [format!("stage=\"{name}\""), format!("le=\"{bound}\"")];
                let mut lines = page.lines().filter(|line| line.starts_with("trunkline_turn_stage_seconds_bucket{"));
                let line = lines.rfind(|line| labels.iter().all(|label| line.contains(label)));
                line.and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
            };
            assert_eq!((bucket("0.02"), bucket("+Inf")), (Some("2".to_owned()), Some("3".to_owned())), "{page}");
            assert!(page.contains(&format!("trunkline_turn_stage_seconds_sum{{stage=\"{name}\"}} 12.5")), "{page}");
        }
        assert!(page.contains("trunkline_tool_seconds_count{outcome=\"failed\"} 3"), "{page}");
    }
}

//! The metrics page: every series by name, with its help, from counters that others keep.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use trunkline_edge_store::EdgeStore;
use trunkline_runtime::Runtime;

/// One label set.
type Labels = Vec<(&'static str, String)>;

/// The page in OpenMetrics text.
pub(crate) fn page(runtime: &Runtime, store: &dyn EdgeStore) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("trunkline");
    registry.register_collector(Box::new(Snapshot::take(runtime, store)));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Snapshot {
    counters: Vec<(&'static str, &'static str, u64)>,
    gauges: Vec<(&'static str, &'static str, i64)>,
    families: Vec<(&'static str, &'static str, Family<Labels, Gauge>)>,
}

impl Snapshot {
    fn take(runtime: &Runtime, store: &dyn EdgeStore) -> Self {
        let calls = runtime.counters();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let health = store.health();
        let counters = vec![
            ("calls_answered", "Calls answered", count(&calls.answered)),
            ("calls_finished", "Calls whose record is durable", count(&calls.finished)),
            ("calls_refused", "Calls refused", count(&calls.refused)),
            ("turns", "Turns of callers", count(&calls.turns)),
            ("interruptions", "Utterances that callers interrupted", count(&calls.interruptions)),
            ("plugin_microseconds", "Time spent in plugins", count(&calls.plugin_us)),
            ("plugin_inputs_dropped", "Inputs that slow plugin sessions lost", count(&calls.dropped_inputs)),
            ("events_lost", "Timeline events the store could not take", count(&calls.lost_events)),
        ];
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let gauges = vec![
            ("calls_active", "Calls in progress", number(runtime.active() as u64)),
            ("media_legs", "Legs attached to media workers", number(runtime.plane().legs() as u64)),
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
        let mut families = vec![("failures", "Failures by name since the start", failures)];
        if let Some(sip) = runtime.sip_stats() {
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
            families.push(("sip_requests", "SIP requests admitted since the start", requests));
            families.push(("sip_responses", "SIP responses sent since the start", responses));
            families.push(("sip_dropped", "Datagrams that went no further since the start", dropped));
        }
        Self { counters, gauges, families }
    }
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
        Ok(())
    }
}

//! What the control plane counts, in the Prometheus text format.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    listener: String,
    route: String,
    method: String,
    status: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RecordLabels {
    stream: String,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AlarmLabels {
    kind: String,
}

/// The registry with its families.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<ListenerLabels, Histogram>,
    records: Family<RecordLabels, Counter>,
    alarms: Family<AlarmLabels, Counter>,
    pub(crate) streams: Gauge,
    pub(crate) revisions: Counter<u64, AtomicU64>,
    pub(crate) enrolments: Counter<u64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("trunkline_cp");
        let requests = Family::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        let seconds: Family<ListenerLabels, Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_25, 2.0, 16)));
        registry.register("http_request_seconds", "Time until an answer began", seconds.clone());
        let records = Family::default();
        registry.register("upload_records", "Records uploaded by gateways", records.clone());
        let alarms = Family::default();
        registry.register("alarms", "Alarms raised", alarms.clone());
        let streams = Gauge::default();
        registry.register("state_streams", "Gateways on the state stream", streams.clone());
        let revisions = Counter::default();
        registry.register("state_revisions_sent", "Signed revisions sent to gateways", revisions.clone());
        let enrolments = Counter::default();
        registry.register("enrolments", "Gateways enrolled", enrolments.clone());
        Self { registry: Mutex::new(registry), requests, seconds, records, alarms, streams, revisions, enrolments }
    }

    pub(crate) fn request(&self, listener: &str, route: &str, method: &str, status: u16, took: Duration) {
        // A client may invent methods; only real ones become labels.
        let method = if ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD"].contains(&method) { method } else { "other" };
        let labels = RequestLabels {
            listener: listener.to_owned(),
            route: route.to_owned(),
            method: method.to_owned(),
            status: status.to_string(),
        };
        self.requests.get_or_create(&labels).inc();
        self.seconds.get_or_create(&ListenerLabels { listener: listener.to_owned() }).observe(took.as_secs_f64());
    }

    pub(crate) fn records(&self, stream: &str, outcome: &str, count: u64) {
        let labels = RecordLabels { stream: stream.to_owned(), outcome: outcome.to_owned() };
        self.records.get_or_create(&labels).inc_by(count);
    }

    pub(crate) fn alarm(&self, kind: &str) {
        self.alarms.get_or_create(&AlarmLabels { kind: kind.to_owned() }).inc();
    }

    /// The exposition text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let Ok(registry) = self.registry.lock() else { return text };
        if encode(&mut text, &registry).is_err() {
            let _ = writeln!(text, "# EOF");
        }
        text
    }
}

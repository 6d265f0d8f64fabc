//! How long tools take, over all calls: from the model's call of a tool to what the model reads as its result, be that the
//! answer, a fault, or that there was none in time.

use trunkline_api::Event;
use trunkline_api::event::EventType;

use crate::durations::{DurationCounts, Durations};

/// Most tools of a call that are waited for at once; what is called beyond them is not counted.
const MAX_OPEN: usize = 64;

/// Counts since the start.
#[derive(Debug, Default)]
pub struct ToolTimes {
    answered: Durations,
    failed: Durations,
}

/// The tools that a call waits for.
#[derive(Debug, Default)]
pub(crate) struct OpenTools(Vec<(String, u64)>);

impl ToolTimes {
    /// Counts by what came of a tool: `answered`, or `failed`, which one without an answer in its time has too.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, DurationCounts)> + '_ {
        [("answered", self.answered.counts()), ("failed", self.failed.counts())].into_iter()
    }
}

impl OpenTools {
    /// Follows `tool.called` and `tool.returned` of its call.
    pub(crate) fn follow(&mut self, times: &ToolTimes, kind: EventType, event: &Event) {
        let id = event.data["id"].as_str().unwrap_or_default();
        match kind {
            EventType::ToolCalled if self.0.len() < MAX_OPEN => self.0.push((id.to_owned(), event.at.call_us)),
            // What comes late the model was told of when its time was up.
            EventType::ToolReturned if event.data["late"] != true => {
                let Some(open) = self.0.iter().position(|(open, _)| open == id) else { return };
                let (_, called_us) = self.0.remove(open);
                let durations = if event.data["is_error"] == true { &times.failed } else { &times.answered };
                durations.count(event.at.call_us.saturating_sub(called_us) / 1000);
            }
            // Whatever was stopped half way took no time that anybody waited for.
            EventType::TurnStarted => self.0.clear(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use trunkline_api::event::EventTime;
    use trunkline_api::{Id, Prefix};

    use super::*;

    fn happens(open: &mut OpenTools, times: &ToolTimes, ms: u64, kind: EventType, data: Value) {
        let id = |prefix| Id::mint(prefix, 0, [0; 10]);
        let event = Event {
            id: id(Prefix::Event),
            v: 1,
            tenant: id(Prefix::Tenant),
            call: id(Prefix::Call),
            seq: 1,
            kind: kind.name().to_owned(),
            at: EventTime { wall_us: 0, call_us: ms * 1000 },
            leg: None,
            turn: None,
            data,
        };
        open.follow(times, kind, &event);
    }

    #[test]
    fn each_tool_is_counted_once_by_what_came_of_it() {
        let (times, mut open) = (ToolTimes::default(), OpenTools::default());
        let mut at = |ms, kind, data| happens(&mut open, &times, ms, kind, data);
        at(1000, EventType::ToolCalled, json!({ "name": "quick", "id": "a" }));
        at(1000, EventType::ToolCalled, json!({ "name": "slow", "id": "b" }));
        at(1015, EventType::ToolReturned, json!({ "id": "a", "is_error": false }));
        at(6000, EventType::ToolReturned, json!({ "id": "b", "is_error": true }));
        at(7000, EventType::ToolReturned, json!({ "id": "b", "is_error": false, "late": true }));
        at(8000, EventType::ToolCalled, json!({ "name": "dropped", "id": "c" }));
        at(8500, EventType::TurnStarted, json!({}));
        at(9000, EventType::ToolReturned, json!({ "id": "c", "is_error": false }));
        let counts: Vec<(&str, u64, u64)> =
            times.each().map(|(what, counts)| (what, counts.classes.iter().sum(), counts.sum_ms)).collect();
        assert_eq!(counts, [("answered", 1, 15), ("failed", 1, 5000)]);
    }
}

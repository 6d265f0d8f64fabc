//! Records for the checks, each a function of a number.

use serde_json::json;
use trunkline_api::event::EventTime;
use trunkline_api::object::{Kind, Object, ObjectRef};
use trunkline_api::usage::{CALL_RECORD_FORMAT, CallDirection, CallRecord, EndReason, Units};
use trunkline_api::{Event, EventType, Id, Prefix};

const BEGIN_US: u64 = 1_790_000_000_000_000;

/// The identifier of call `n`.
#[must_use]
pub fn call_id(n: u64) -> Id {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    Id::mint(Prefix::Call, BEGIN_US / 1000 + n, random)
}

/// The record of call `n` at its answer.
#[must_use]
pub fn open_record(n: u64) -> CallRecord {
    CallRecord {
        format: CALL_RECORD_FORMAT,
        call: call_id(n),
        tenant: Id::mint(Prefix::Tenant, 1, [1; 10]),
        agent: Id::mint(Prefix::Agent, 1, [2; 10]),
        agent_version: 3,
        handed_to: Vec::new(),
        trunk: None,
        direction: CallDirection::Inbound,
        from: "+14155550100".to_owned(),
        to: "+14155550199".to_owned(),
        answered_us: BEGIN_US + n * 1000,
        ended_us: None,
        end: None,
        failure: None,
        usage: Vec::new(),
        recording: None,
        turns: 0,
        stages: Vec::new(),
    }
}

/// The same call at its end.
#[must_use]
pub fn closed(record: &CallRecord) -> CallRecord {
    let mut record = record.clone();
    record.ended_us = Some(record.answered_us + 61_000_000);
    record.end = Some(EndReason::CallerHungUp);
    record.add_usage("", "call", &Units { call_ms: 61_000, ..Units::default() });
    record.add_usage("espeak", "tts", &Units { tts_chars: 412, ..Units::default() });
    record
}

/// Event `seq` of call `n`.
#[must_use]
pub fn event(n: u64, seq: u64, kind: EventType) -> Event {
    let data = match kind {
        EventType::CallEnded => json!({ "reason": "caller_hung_up", "duration_ms": seq * 20 }),
        _ => json!({ "prompt": seq }),
    };
    Event {
        id: Id::mint(Prefix::Event, BEGIN_US / 1000 + n, [(seq % 251) as u8; 10]),
        v: 1,
        tenant: Id::mint(Prefix::Tenant, 1, [1; 10]),
        call: call_id(n),
        seq,
        kind: kind.name().to_owned(),
        at: EventTime { wall_us: BEGIN_US + n * 1000 + seq * 20_000, call_us: seq * 20_000 },
        leg: None,
        turn: None,
        data,
    }
}

/// A few objects, ordered by kind and identifier.
pub(crate) fn objects() -> Vec<Object> {
    let object = |kind, id, body| Object {
        kind,
        id,
        tenant: Id::mint(Prefix::Tenant, 1, [1; 10]),
        version: 1,
        sha256: String::new(),
        body,
    };
    vec![
        object(Kind::Tenant, Id::mint(Prefix::Tenant, 1, [1; 10]), json!({ "name": "one" })),
        object(
            Kind::Agent,
            Id::mint(Prefix::Agent, 1, [2; 10]),
            json!({ "name": "a", "pipeline": { "cascade": { "tts": [{ "provider": "espeak" }] } } }),
        ),
        object(Kind::Trunk, Id::mint(Prefix::Trunk, 1, [3; 10]), json!({ "name": "t", "peers": ["127.0.0.1"] })),
    ]
}

pub(super) fn reference(object: &Object) -> ObjectRef {
    ObjectRef { kind: object.kind, id: object.id.clone() }
}

//! What gateways upload, taken in exactly once.
//!
//! A batch is one transaction: the ledger of sequence numbers, the records, the calls, costs and roll-ups derived from
//! them and the high-water mark. Whatever kills either side, a batch is there whole or not at all, and a batch sent
//! again changes nothing. A record that cannot be used is kept aside with its reason and counted as received, because
//! a gateway that could not get past it would hold back every record behind it.

use serde_json::Value;
use trunkline_api::event::{Event, EventType};
use trunkline_api::signature::sha256_hex;
use trunkline_api::sync::{Stream, StreamRecord, UploadBatch};
use trunkline_api::usage::{
    CALL_RECORD_FORMAT, CallDirection, HandedTo, ProviderUsage, RENDERING_RECORD_FORMAT, RenderingRecord, UsageRecord,
};
use trunkline_api::{Failure, Id};

use super::prices::Book;
use super::rating::Component;
use super::{Result, StoreError, Tx, args, fleet, prices, rating, usage};
use crate::clock;

/// Most agents that a call is shown to have been handed to; agents hand a call on 16 times at most.
const MOST_HANDED: usize = 16;

/// A batch that was not taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The batch begins after the next expected number.
    Gap { expected: i64, found: u64 },
    /// A number was used before in this epoch for something else.
    Reused { seq: i64 },
}

/// What a batch came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) high_water: i64,
    pub(crate) stored: u64,
    pub(crate) repeated: u64,
    pub(crate) set_aside: u64,
}

/// Why a record cannot be used; stable names, kept beside it.
type Aside = &'static str;

/// Takes a batch in; the caller commits on `Ok(Ok(_))`. The records' numbers are checked to ascend without gaps.
pub(crate) async fn take(
    tx: &mut Tx,
    tenant: &Id,
    gateway: &Id,
    batch: &UploadBatch,
    now_us: i64,
) -> Result<std::result::Result<Taken, Refusal>> {
    let epoch = batch.epoch.to_string();
    let stream = batch.stream.as_str();
    let mark = tx
        .row(
            "SELECT high_water FROM upload_marks
             WHERE tenant_id = $1 AND gateway_id = $2 AND epoch = $3 AND stream = $4",
            args![tenant, gateway, &epoch, stream],
        )
        .await?;
    let had = mark.map_or(Ok(0), |row| row.int("high_water"))?;
    let mut taken = Taken { high_water: had, ..Taken::default() };
    if let Some(first) = batch.records.first()
        && i64::try_from(first.seq).map_or(true, |seq| seq > had + 1)
    {
        return Ok(Err(Refusal::Gap { expected: had + 1, found: first.seq }));
    }
    let mut book = None;
    for record in &batch.records {
        let seq = i64::try_from(record.seq).unwrap_or(i64::MAX);
        let text = record.body.to_string();
        let digest: String = sha256_hex(text.as_bytes()).chars().take(32).collect();
        let new = tx
            .exec(
                "INSERT INTO upload_records (tenant_id, gateway_id, epoch, stream, seq, digest)
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
                args![tenant, gateway, &epoch, stream, seq, &digest],
            )
            .await?;
        if new == 0 {
            let row = tx
                .row(
                    "SELECT digest FROM upload_records
                     WHERE tenant_id = $1 AND gateway_id = $2 AND epoch = $3 AND stream = $4 AND seq = $5",
                    args![tenant, gateway, &epoch, stream, seq],
                )
                .await?;
            let stored = row.ok_or(StoreError::Corrupt("upload ledger"))?.text("digest")?;
            // A record lost at the edge after it was uploaded comes again as a placeholder: what is here stays.
            if !record.is_lost() && stored != digest {
                return Ok(Err(Refusal::Reused { seq }));
            }
            taken.repeated += 1;
            continue;
        }
        let place = Place { tenant, gateway, epoch: &epoch, seq, now_us };
        let used = match batch.stream {
            _ if holds_nul(&record.body) => Err("nul_character"),
            Stream::Usage => {
                if book.is_none() {
                    book = prices::newest(tx, tenant).await?;
                }
                let book = book.as_ref().ok_or(StoreError::Corrupt("price book"))?;
                usage_record(tx, &place, record, &text, book).await?
            }
            Stream::Events => event(tx, &place, record).await?,
        };
        match used {
            Ok(()) => taken.stored += 1,
            Err(reason) => {
                taken.set_aside += 1;
                tx.exec(
                    "INSERT INTO upload_refused (tenant_id, gateway_id, epoch, stream, seq, reason, body, created_us)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                    args![tenant, gateway, &epoch, stream, seq, reason, text, now_us],
                )
                .await?;
                let detail = format!("{stream} record {seq} of epoch {epoch} was set aside: {reason}");
                fleet::raise(tx, tenant, gateway, "record_set_aside", &detail, now_us).await?;
            }
        }
        taken.high_water = seq;
    }
    if taken.high_water != had {
        tx.exec(
            "INSERT INTO upload_marks (tenant_id, gateway_id, epoch, stream, high_water) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (tenant_id, gateway_id, epoch, stream) DO UPDATE SET high_water = excluded.high_water",
            args![tenant, gateway, &epoch, stream, taken.high_water],
        )
        .await?;
    }
    Ok(Ok(taken))
}

/// U+0000 cannot be stored as text by every engine. Kept aside, the record is JSON text, where it is an escape.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(fields) => fields.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

struct Place<'p> {
    tenant: &'p Id,
    gateway: &'p Id,
    epoch: &'p str,
    seq: i64,
    now_us: i64,
}

const fn direction(direction: CallDirection) -> &'static str {
    match direction {
        CallDirection::Inbound => "inbound",
        CallDirection::Outbound => "outbound",
    }
}

fn name_of<T: serde::Serialize>(value: T) -> Option<String> {
    serde_json::to_value(value).ok()?.as_str().map(str::to_owned)
}

/// Microseconds that the gateway reported; beyond year 9999 a clock is broken.
fn time(us: u64) -> std::result::Result<i64, Aside> {
    i64::try_from(us).ok().filter(|&us| us < 253_402_300_800_000_000).ok_or("time_out_of_range")
}

async fn usage_record(
    tx: &mut Tx,
    place: &Place<'_>,
    record: &StreamRecord,
    text: &str,
    book: &Book,
) -> Result<std::result::Result<(), Aside>> {
    let call = match <UsageRecord as serde::Deserialize>::deserialize(&record.body) {
        Ok(UsageRecord::Call(call)) => call,
        Ok(UsageRecord::Rendering(rendering)) => return self::rendering(tx, place, &rendering, text, book).await,
        Err(_) => return Ok(Err("not_a_usage_record")),
    };
    if call.format > CALL_RECORD_FORMAT {
        return Ok(Err("format_unknown"));
    }
    if call.tenant != *place.tenant {
        return Ok(Err("foreign_tenant"));
    }
    let (Ok(answered_us), Ok(ended_us)) = (time(call.answered_us), call.ended_us.map(time).transpose()) else {
        return Ok(Err("time_out_of_range"));
    };
    let Some(ended_us) = ended_us else { return Ok(Err("call_not_closed")) };
    let Some((components, total)) = priced(&call.usage, book) else { return Ok(Err("quantity_out_of_range")) };
    let day = clock::day(ended_us);
    if !is_new(tx, place, &call.call, &call.agent, &day, text).await? {
        // A restored disk uploads under a new epoch what the old one uploaded before; a call is paid for once.
        return Ok(Err("call_already_accounted"));
    }
    let handed = serde_json::json!(call.handed_to.iter().take(MOST_HANDED).collect::<Vec<_>>());
    let failed = call.failure.is_some() || name_of(call.end).as_deref() == Some("failed");
    tx.exec(
        "INSERT INTO calls (tenant_id, id, status, direction, from_party, to_party, agent_id, agent_version, trunk_id,
         gateway_id, started_us, answered_us, ended_us, end_reason, failure, turns, recording, cost_micro, currency,
         price_version, handed_to)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
         ON CONFLICT (tenant_id, id) DO UPDATE SET status = excluded.status, answered_us = excluded.answered_us,
         ended_us = excluded.ended_us, end_reason = excluded.end_reason, failure = excluded.failure,
         turns = excluded.turns, recording = excluded.recording, cost_micro = excluded.cost_micro,
         currency = excluded.currency, price_version = excluded.price_version, handed_to = excluded.handed_to",
        args![
            place.tenant,
            &call.call,
            if failed { "failed" } else { "completed" },
            direction(call.direction),
            &call.from,
            &call.to,
            &call.agent,
            call.agent_version,
            call.trunk.as_ref().map(Id::to_string),
            place.gateway,
            answered_us,
            ended_us,
            call.end.and_then(name_of),
            call.failure.map(Failure::name),
            call.turns,
            call.recording.as_ref().map(|path| path.chars().take(512).collect::<String>()),
            total,
            &book.currency,
            book.version,
            handed.to_string()
        ],
    )
    .await?;
    for part in &components {
        tx.exec(
            "INSERT INTO call_costs (tenant_id, call_id, kind, provider, unit, quantity, priced, cost_micro, currency,
             price_version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            args![
                place.tenant,
                &call.call,
                &part.kind,
                &part.provider,
                part.unit,
                part.quantity,
                i64::from(part.priced),
                part.cost_micro,
                &book.currency,
                book.version
            ],
        )
        .await?;
    }
    usage::add(tx, place.tenant, &day, &call.agent, &book.currency, &components, 1).await?;
    Ok(Ok(()))
}

/// Components of a record and their sum; `None` when something of it does not fit.
fn priced(usage: &[ProviderUsage], book: &Book) -> Option<(Vec<Component>, i64)> {
    let components = rating::rate(usage, book)?;
    let total = components.iter().try_fold(0_i64, |sum, part| sum.checked_add(part.cost_micro))?;
    Some((components, total))
}

/// Keeps a usage record by what it is about, a call or a rendering; false when that is accounted for already.
async fn is_new(tx: &mut Tx, place: &Place<'_>, about: &Id, agent: &Id, day: &str, text: &str) -> Result<bool> {
    let fresh = tx
        .exec(
            "INSERT INTO usage_records (tenant_id, gateway_id, epoch, seq, call_id, agent_id, day, body, created_us)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant_id, call_id) DO NOTHING",
            args![place.tenant, place.gateway, place.epoch, place.seq, about, agent, day, text, place.now_us],
        )
        .await?;
    Ok(fresh != 0)
}

/// A line of an agent that was rendered beforehand.
async fn rendering(
    tx: &mut Tx,
    place: &Place<'_>,
    rendering: &RenderingRecord,
    text: &str,
    book: &Book,
) -> Result<std::result::Result<(), Aside>> {
    if rendering.format > RENDERING_RECORD_FORMAT {
        return Ok(Err("format_unknown"));
    }
    if rendering.tenant != *place.tenant {
        return Ok(Err("foreign_tenant"));
    }
    let Ok(rendered_us) = time(rendering.rendered_us) else { return Ok(Err("time_out_of_range")) };
    let Some((components, total)) = priced(&rendering.usage, book) else { return Ok(Err("quantity_out_of_range")) };
    let day = clock::day(rendered_us);
    if !is_new(tx, place, &rendering.rendering, &rendering.agent, &day, text).await? {
        return Ok(Err("rendering_already_accounted"));
    }
    tx.exec(
        "INSERT INTO renderings (tenant_id, id, gateway_id, agent_id, agent_version, rendered_us, day, cost_micro, currency,
         price_version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        args![
            place.tenant,
            &rendering.rendering,
            place.gateway,
            &rendering.agent,
            rendering.agent_version,
            rendered_us,
            &day,
            total,
            &book.currency,
            book.version
        ],
    )
    .await?;
    usage::add(tx, place.tenant, &day, &rendering.agent, &book.currency, &components, 0).await?;
    Ok(Ok(()))
}

async fn event(tx: &mut Tx, place: &Place<'_>, record: &StreamRecord) -> Result<std::result::Result<(), Aside>> {
    let Ok(event) = <Event as serde::Deserialize>::deserialize(&record.body) else { return Ok(Err("not_an_event")) };
    if event.tenant != *place.tenant {
        return Ok(Err("foreign_tenant"));
    }
    let (Ok(wall_us), Ok(call_us)) = (time(event.at.wall_us), time(event.at.call_us)) else {
        return Ok(Err("time_out_of_range"));
    };
    let Ok(seq) = i64::try_from(event.seq) else { return Ok(Err("seq_out_of_range")) };
    let fresh = tx
        .exec(
            "INSERT INTO call_events (tenant_id, call_id, seq, id, v, type, wall_us, call_us, leg, turn, data)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
            args![
                place.tenant,
                &event.call,
                seq,
                &event.id,
                event.v,
                &event.kind,
                wall_us,
                call_us,
                event.leg.as_ref().map(Id::to_string),
                event.turn.map(i64::from),
                event.data.to_string()
            ],
        )
        .await?;
    if fresh == 0 {
        let known = tx
            .row(
                "SELECT id FROM call_events WHERE tenant_id = $1 AND call_id = $2 AND seq = $3",
                args![place.tenant, &event.call, seq],
            )
            .await?;
        let same = known.is_some_and(|row| row.id("id").is_ok_and(|id| id == event.id));
        return Ok(if same { Ok(()) } else { Err("event_number_taken") });
    }
    match EventType::from_name(&event.kind) {
        Some(EventType::CallStarted) => started(tx, place, &event, wall_us).await,
        Some(EventType::CallAnswered) => {
            tx.exec(
                "UPDATE calls SET answered_us = $3 WHERE tenant_id = $1 AND id = $2 AND answered_us IS NULL",
                args![place.tenant, &event.call, wall_us],
            )
            .await?;
            Ok(Ok(()))
        }
        Some(EventType::AgentHandedOff) => handed_off(tx, place, &event).await,
        Some(EventType::CallEnded) => {
            let reason = event.data.get("reason").and_then(Value::as_str);
            let failure = event.data.get("failure").and_then(Value::as_str);
            let status = if failure.is_some() || reason == Some("failed") { "failed" } else { "completed" };
            // The usage record is the account of the call; where it was first, it stands.
            tx.exec(
                "UPDATE calls SET status = $3, ended_us = $4, end_reason = $5, failure = $6
                 WHERE tenant_id = $1 AND id = $2 AND status = 'active'",
                args![place.tenant, &event.call, status, wall_us, reason, failure],
            )
            .await?;
            Ok(Ok(()))
        }
        Some(EventType::TurnWaterfall) => {
            let total = event.data.get("total_ms").and_then(Value::as_i64);
            if let (Some(turn), Some(total)) = (event.turn, total) {
                tx.exec(
                    "INSERT INTO call_turns (tenant_id, call_id, turn, total_ms) VALUES ($1, $2, $3, $4)
                     ON CONFLICT DO NOTHING",
                    args![place.tenant, &event.call, turn, total],
                )
                .await?;
            }
            Ok(Ok(()))
        }
        _ => Ok(Ok(())),
    }
}

/// The call goes on with another agent; the usage record has all of them in the end.
async fn handed_off(tx: &mut Tx, place: &Place<'_>, event: &Event) -> Result<std::result::Result<(), Aside>> {
    let agent = event.data.get("agent").and_then(Value::as_str).and_then(|id| id.parse::<Id>().ok());
    let version = event.data.get("agent_version").and_then(Value::as_u64).and_then(|version| version.try_into().ok());
    let (Some(agent), Some(agent_version)) = (agent, version) else { return Ok(Err("agent_handed_off_incomplete")) };
    let known = tx
        .row(
            "SELECT handed_to FROM calls WHERE tenant_id = $1 AND id = $2 AND status = 'active'",
            args![place.tenant, &event.call],
        )
        .await?;
    let Some(known) = known else { return Ok(Ok(())) };
    let mut handed: Vec<HandedTo> =
        serde_json::from_value(known.json("handed_to")?).map_err(|_| StoreError::Corrupt("handed_to"))?;
    handed.push(HandedTo { agent, agent_version, at_us: event.at.wall_us });
    // Events come in any order.
    handed.sort_by_key(|handed| handed.at_us);
    handed.truncate(MOST_HANDED);
    tx.exec(
        "UPDATE calls SET handed_to = $3 WHERE tenant_id = $1 AND id = $2 AND status = 'active'",
        args![place.tenant, &event.call, serde_json::json!(handed).to_string()],
    )
    .await?;
    Ok(Ok(()))
}

async fn started(
    tx: &mut Tx,
    place: &Place<'_>,
    event: &Event,
    wall_us: i64,
) -> Result<std::result::Result<(), Aside>> {
    let text = |field: &str| event.data.get(field).and_then(Value::as_str);
    let (Some(agent), Some(way)) = (text("agent").and_then(|id| id.parse::<Id>().ok()), text("direction")) else {
        return Ok(Err("call_started_incomplete"));
    };
    let way = if way == "outbound" { "outbound" } else { "inbound" };
    tx.exec(
        "INSERT INTO calls (tenant_id, id, status, direction, from_party, to_party, agent_id, agent_version, trunk_id,
         gateway_id, started_us) VALUES ($1, $2, 'active', $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (tenant_id, id) DO UPDATE SET started_us = excluded.started_us",
        args![
            place.tenant,
            &event.call,
            way,
            text("from").unwrap_or_default(),
            text("to").unwrap_or_default(),
            &agent,
            event.data.get("agent_version").and_then(Value::as_i64).unwrap_or_default(),
            text("trunk"),
            place.gateway,
            wall_us
        ],
    )
    .await?;
    Ok(Ok(()))
}

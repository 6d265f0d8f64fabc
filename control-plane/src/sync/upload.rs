//! `POST /sync/v1/upload`: a batch is checked, taken in by one transaction, and acknowledged up to what is durable.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::Request;
use trunkline_api::sync::{MAX_UPLOAD_RECORDS, UploadAck, UploadBatch};

use super::Gateway;
use crate::clock;
use crate::http::body;
use crate::http::problem::{Fault, Problem, Result};
use crate::server::Shared;
use crate::store::fleet;
use crate::store::upload::{self, Refusal};

pub(super) async fn upload(
    State(app): State<Shared>,
    gateway: Gateway,
    request: Request<Body>,
) -> Result<Json<UploadAck>> {
    let batch: UploadBatch = body::typed(&body::json(request, app.config.limits.upload_bytes).await?)?;
    check(&batch)?;
    let now = clock::now_us();
    let mut tx = app.db.begin().await?;
    match upload::take(&mut tx, &gateway.tenant, &gateway.id, &batch, now).await? {
        Ok(taken) => {
            tx.commit().await?;
            let stream = batch.stream.as_str();
            app.metrics.records(stream, "stored", taken.stored);
            app.metrics.records(stream, "repeated", taken.repeated);
            if taken.set_aside > 0 {
                app.metrics.records(stream, "set_aside", taken.set_aside);
                app.metrics.alarm("record_set_aside");
                tracing::warn!(gateway = %gateway.id, stream, count = taken.set_aside, "records were set aside");
            }
            let high_water = u64::try_from(taken.high_water).unwrap_or_default();
            Ok(Json(UploadAck { epoch: batch.epoch, stream: batch.stream, high_water }))
        }
        Err(refusal) => {
            drop(tx);
            Err(refuse(&app, &gateway, &batch, &refusal, now).await?)
        }
    }
}

fn check(batch: &UploadBatch) -> Result<()> {
    if batch.records.len() > MAX_UPLOAD_RECORDS {
        let message = format!("expected at most {MAX_UPLOAD_RECORDS}");
        return Err(Problem::invalid(vec![Fault::body("/records", "invalid_value", message)]));
    }
    let first = batch.records.first().map_or(1, |record| record.seq);
    for (index, record) in batch.records.iter().enumerate() {
        if record.seq == 0 || first.checked_add(index as u64) != Some(record.seq) {
            let pointer = format!("/records/{index}/seq");
            let message = "expected numbers from 1 that ascend without gaps";
            return Err(Problem::invalid(vec![Fault::body(pointer, "invalid_value", message)]));
        }
    }
    Ok(())
}

/// Raises the alarm and makes the answer.
async fn refuse(app: &Shared, gateway: &Gateway, batch: &UploadBatch, refusal: &Refusal, now: i64) -> Result<Problem> {
    let stream = batch.stream.as_str();
    let (code, detail) = match refusal {
        Refusal::Gap { expected, found } => {
            ("upload_gap", format!("{stream}: expected record {expected} next, found {found}; send from {expected} on"))
        }
        Refusal::Reused { seq } => (
            "upload_reused",
            format!("{stream}: record {seq} of this epoch was uploaded before with other content; begin a new epoch"),
        ),
    };
    app.metrics.alarm(code);
    tracing::warn!(gateway = %gateway.id, stream, code, detail, "an upload was refused");
    let mut tx = app.db.begin().await?;
    fleet::raise(&mut tx, &gateway.tenant, &gateway.id, code, &detail, now).await?;
    tx.commit().await?;
    Ok(Problem::conflict(code, detail))
}

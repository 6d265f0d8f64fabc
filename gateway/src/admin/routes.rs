//! Explanations of where calls go, over the admin API.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use trunkline_route::outbound::{OutboundDecision, OutboundRequest};
use trunkline_route::{Decision, Table};
use trunkline_runtime::{InboundQuestion, Runtime, Serving};

use super::{Admin, problem};
use crate::routing::{Answers, Question};

/// The gateway as it is now.
struct Now {
    runtime: Arc<Runtime>,
    serving: Arc<Serving>,
}

impl Answers for Now {
    fn table(&self) -> &Table {
        &self.serving.table
    }

    fn inbound(&self, question: &InboundQuestion) -> Option<Decision> {
        self.runtime.explain(question)
    }

    fn outbound(&self, request: &OutboundRequest<'_>) -> OutboundDecision {
        self.runtime.explain_outbound(request)
    }
}

pub(super) async fn explain(State(admin): State<Arc<Admin>>, Query(mut question): Query<Question>) -> Response {
    if question.at_us == 0 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        question.at_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
    }
    let now = Now { runtime: Arc::clone(&admin.runtime), serving: admin.runtime.serving() };
    match question.answer(&now) {
        Ok(answer) => Json(json!({ "data": answer })).into_response(),
        Err(error) => problem(StatusCode::BAD_REQUEST, &error),
    }
}

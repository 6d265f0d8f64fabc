//! The REST API: one module a resource, and the OpenAPI document they make up.

mod agents;
mod calls;
mod fleet;
mod keys;
mod meta;
mod prices;
mod telephony;
mod tenant;
mod usage;

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Router, middleware};
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::access;
use crate::http::problem::Problem;
use crate::server::Shared;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Trunkline control plane",
        description = "Agents, telephony, gateways, calls, usage and prices. Answers are `{data, meta}`; errors are \
                       problem details (RFC 9457). Lists are paged by opaque cursors. `/api/v1` is an alias of `/v1`."
    ),
    components(schemas(crate::http::problem::Details, crate::http::problem::Fault, crate::http::problem::Blocker))
)]
struct Document;

fn operations() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(meta::healthz))
        .routes(routes!(meta::health))
        .routes(routes!(meta::readyz))
        .routes(routes!(meta::openapi))
        .routes(routes!(meta::docs))
        .routes(routes!(meta::docs_script))
        .routes(routes!(keys::create, keys::list))
        .routes(routes!(keys::revoke))
        .routes(routes!(agents::create, agents::list))
        .routes(routes!(agents::get, agents::patch, agents::delete))
        .routes(routes!(agents::versions))
        .routes(routes!(agents::version))
        .routes(routes!(agents::publish))
        .routes(routes!(telephony::create_trunk, telephony::list_trunks))
        .routes(routes!(telephony::get_trunk, telephony::put_trunk, telephony::delete_trunk))
        .routes(routes!(telephony::create_route, telephony::list_routes))
        .routes(routes!(telephony::get_route, telephony::put_route, telephony::delete_route))
        .routes(routes!(telephony::create_outbound_route, telephony::list_outbound_routes))
        .routes(routes!(telephony::get_outbound_route, telephony::put_outbound_route, telephony::delete_outbound_route))
        .routes(routes!(telephony::create_number, telephony::list_numbers))
        .routes(routes!(telephony::get_number, telephony::put_number, telephony::delete_number))
        .routes(routes!(telephony::create_provider, telephony::list_providers))
        .routes(routes!(telephony::get_provider, telephony::put_provider, telephony::delete_provider))
        .routes(routes!(calls::list))
        .routes(routes!(calls::get))
        .routes(routes!(calls::timeline))
        .routes(routes!(tenant::get))
        .routes(routes!(tenant::put_recording_key))
        .routes(routes!(tenant::put_outbound))
        .routes(routes!(usage::report))
        .routes(routes!(prices::list, prices::create))
        .routes(routes!(fleet::list))
        .routes(routes!(fleet::get, fleet::revoke))
        .routes(routes!(fleet::token))
}

/// The router and its OpenAPI document.
pub(crate) fn router() -> (Router<Shared>, Value) {
    let (router, document) = operations().split_for_parts();
    let mut document = serde_json::to_value(&document).unwrap_or_default();
    complete(&mut document);
    (router, document)
}

/// What holds for every operation: the key scheme and the problem answer.
fn complete(document: &mut Value) {
    document["components"]["securitySchemes"]["api_key"] = json!({
        "type": "http", "scheme": "bearer",
        "description": "An API key, `tl_live_...`. The scope an operation needs is listed with it.",
    });
    let problem = json!({
        "description": "Problem details (RFC 9457)",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
    });
    let paths = document["paths"].as_object_mut();
    for operation in paths.into_iter().flatten().flat_map(|(_, item)| item.as_object_mut().into_iter().flatten()) {
        operation.1["responses"]["default"] = problem.clone();
    }
}

/// The OpenAPI document as committed and served, ending in a newline.
#[must_use]
pub fn openapi_json() -> String {
    format!("{:#}\n", router().1)
}

/// The public listener's router: keys checked, unknown paths and methods refused as problems.
pub(crate) fn with_access(router: Router<Shared>, app: &Shared) -> Router {
    router
        .fallback(async || Problem::not_found("path"))
        .layer(middleware::from_fn_with_state(Arc::clone(app), access::check))
        .with_state(Arc::clone(app))
}

/// The metrics listener's router.
pub(crate) fn metrics_router(app: &Shared) -> Router {
    async fn metrics(State(app): State<Shared>) -> ([(http::HeaderName, &'static str); 1], String) {
        let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        ([(http::header::CONTENT_TYPE, media)], app.metrics.text())
    }
    Router::new().route("/metrics", get(metrics)).with_state(Arc::clone(app))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::access::{Need, SCOPES, rules};

    #[test]
    fn every_operation_names_a_known_scope_or_is_meant_to_be_open() {
        let document = router().1;
        let rules = rules(&document);
        let operations: usize =
            document["paths"].as_object().unwrap().values().map(|item| item.as_object().unwrap().len()).sum();
        assert_eq!(rules.len(), operations, "an operation lacks `security`");
        for ((path, method), need) in rules {
            match need {
                Need::Nothing => assert!(!path.starts_with("/v1"), "{method} {path} needs a scope"),
                Need::Scope(scope) => assert!(SCOPES.contains(&scope.as_str()), "{method} {path}: {scope}"),
            }
        }
    }

    #[test]
    fn every_json_answer_is_an_envelope() {
        let document = router().1;
        let mut seen = 0;
        for (path, item) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| *path != "/openapi.json") {
            for (method, operation) in item.as_object().unwrap() {
                for (status, response) in operation["responses"].as_object().unwrap() {
                    let schema = &response["content"]["application/json"]["schema"]["$ref"];
                    let Some(name) = schema.as_str().filter(|_| status.starts_with('2')) else { continue };
                    let name = name.rsplit('/').next().unwrap();
                    let properties = &document["components"]["schemas"][name]["properties"];
                    assert!(
                        properties["data"].is_object() && properties["meta"].is_object(),
                        "{method} {path}: {name}"
                    );
                    seen += 1;
                }
            }
        }
        assert!(seen > 25, "{seen}");
    }

    #[test]
    fn the_committed_document_is_the_one_that_is_served() {
        let committed = include_str!("../../openapi.json");
        assert_eq!(committed, openapi_json(), "run `trunkline-control-plane openapi > control-plane/openapi.json`");
    }
}

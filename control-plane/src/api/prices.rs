//! `/v1/prices`: the versions of the price book.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock;
use crate::http::access::Caller;
use crate::http::body::Input;
use crate::http::envelope::{Answer, Envelope};
use crate::http::page::Page;
use crate::http::params::Params;
use crate::http::problem::{Fault, Problem, Result};
use crate::server::Shared;
use crate::store::prices::{self, Book, Price};
use crate::store::rating::UNITS;

const KINDS: [&str; 7] = ["call", "asr", "llm", "tts", "tool", "redactor", "realtime"];
/// Most rows of a version.
const MOST_ROWS: usize = 2000;
/// Largest price of a row, micro-units.
const MOST_MICRO: i64 = 1_000_000_000_000;

/// A version to make.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBook {
    /// Currency, ISO 4217.
    currency: String,
    /// Every row of the version; what has no row costs nothing.
    prices: Vec<Price>,
}

/// A version.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BookView {
    /// Number, from 1; the newest prices new usage.
    version: i64,
    /// Currency, ISO 4217.
    currency: String,
    /// When it was made.
    created_at: String,
    /// Its rows.
    prices: Vec<Price>,
}

fn view(book: Book) -> BookView {
    BookView {
        version: book.version,
        currency: book.currency,
        created_at: clock::rfc3339(book.created_us),
        prices: book.prices,
    }
}

fn faults(book: &NewBook) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut expect = |holds: bool, pointer: String, message: &str| {
        if !holds && faults.len() < 20 {
            faults.push(Fault::body(pointer, "invalid_value", message));
        }
    };
    let currency = book.currency.len() == 3 && book.currency.bytes().all(|byte| byte.is_ascii_uppercase());
    expect(currency, "/currency".to_owned(), "expected three capital letters, such as USD");
    expect((1..=MOST_ROWS).contains(&book.prices.len()), "/prices".to_owned(), "expected 1 to 2000 rows");
    let mut seen = std::collections::BTreeSet::new();
    for (index, price) in book.prices.iter().enumerate().take(MOST_ROWS) {
        let at = |field: &str| format!("/prices/{index}/{field}");
        expect(KINDS.contains(&price.kind.as_str()), at("kind"), "expected a kind of component, such as llm");
        expect(UNITS.contains(&price.unit.as_str()), at("unit"), "expected a unit, such as tokens_in");
        expect(price.provider.chars().count() <= 100, at("provider"), "expected at most 100 characters");
        expect(
            price.micro.checked_abs().is_some_and(|micro| micro <= MOST_MICRO),
            at("micro"),
            "expected at most 10^12",
        );
        expect((1..=1_000_000_000).contains(&price.per), at("per"), "expected 1 to 10^9");
        let fresh = seen.insert((&price.kind, &price.provider, &price.unit));
        expect(fresh, format!("/prices/{index}"), "expected one row for a kind, provider and unit");
    }
    faults
}

/// Lists versions of the price book, newest first.
#[utoipa::path(get, path = "/v1/prices", tag = "prices", security(("api_key" = ["prices:read"])),
    params(("limit" = Option<u32>, Query, description = "1 to 100, 20 by default"),
           ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
    responses((status = 200, description = "A page", body = Envelope<Vec<BookView>>)))]
pub(crate) async fn list(State(app): State<Shared>, caller: Caller, params: Params) -> Result<Answer<Vec<BookView>>> {
    let params = params.only(&["limit", "cursor"])?;
    let page = Page::read(&params, &app.keyring, &caller.tenant, "prices", &[])?;
    let before = page.after_number()?.unwrap_or(i64::MAX);
    let mut found = prices::list(&app.db, &caller.tenant, before, page.probe()).await?;
    let next = page.cut(&mut found, &app.keyring, |book| book.version.to_string());
    Ok(Answer::page(found.into_iter().map(view).collect(), next))
}

/// Makes the next version, which prices usage that arrives from now on.
#[utoipa::path(post, path = "/v1/prices", tag = "prices", security(("api_key" = ["prices:write"])),
    request_body = NewBook,
    responses((status = 201, description = "Made", body = Envelope<BookView>)))]
pub(crate) async fn create(
    State(app): State<Shared>,
    caller: Caller,
    Input(wanted): Input<NewBook>,
) -> Result<Answer<BookView>> {
    let faults = faults(&wanted);
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let mut tx = app.db.begin().await?;
    prices::add(&mut tx, &caller.tenant, &wanted.currency, &wanted.prices, clock::now_us()).await?;
    let book = prices::newest(&mut tx, &caller.tenant).await?.ok_or_else(Problem::internal)?;
    tx.commit().await?;
    Ok(Answer::created(view(book), "/v1/prices"))
}

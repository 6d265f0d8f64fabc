//! `/v1/trunks`, `/v1/routes`, `/v1/outbound-routes`, `/v1/numbers`, `/v1/providers`: the objects a gateway serves by, as desired state.

use axum::extract::{Path, State};
use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use trunkline_api::Id;
use trunkline_api::cidr::Cidr;
use trunkline_api::dialled::Pattern;
use trunkline_api::object::{CODECS, Kind, MediaSource, NumberBody, Object, ProviderBody, TrunkBody, is_codec};
use trunkline_api::outbound::OutboundRouteBody;
use trunkline_api::routing::RouteBody;
use utoipa::ToSchema;

use crate::clock;
use crate::http::access::Caller;
use crate::http::body::Input;
use crate::http::envelope::{Answer, Envelope};
use crate::http::page::Page;
use crate::http::params::{Params, path_id};
use crate::http::problem::{Blocker, Fault, Problem, Result};
use crate::server::Shared;
use crate::store::{StoreError, Tx, mint, state};

/// Most live objects of a kind.
const MOST_OBJECTS: i64 = 50_000;

/// An object with its body's fields.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct View<T> {
    /// Id.
    id: String,
    /// Version, from 1; grows with every change.
    version: i64,
    /// The object.
    #[serde(flatten)]
    body: T,
    /// When it was made.
    created_at: String,
    /// When it last changed.
    updated_at: String,
}

type Refs = Vec<(&'static str, String)>;

/// A kind of object that REST handles.
trait Resource: DeserializeOwned + Serialize {
    const KIND: Kind;
    const NAME: &'static str;
    const PATH: &'static str;

    /// What is wrong with it by itself.
    fn faults(&self) -> Vec<Fault>;
    /// The name that must be its own among its kind, with the field that holds it.
    fn own_name(&self) -> Option<(&'static str, &str)>;
    /// What it refers to, with the field that does.
    fn refers(&self) -> Vec<(&'static str, Kind, Id)>;
    /// Address ranges that must be its own among its kind, with the field that holds them.
    fn own_ranges(&self) -> Vec<(String, Cidr)> {
        Vec::new()
    }
}

/// How `object_refs` calls an address range.
const RANGE: &str = "peer";

fn expect(faults: &mut Vec<Fault>, holds: bool, pointer: &str, message: &str) {
    if !holds {
        faults.push(Fault::body(pointer, "invalid_value", message));
    }
}

fn short(text: &str) -> bool {
    (1..=100).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

impl Resource for TrunkBody {
    const KIND: Kind = Kind::Trunk;
    const NAME: &'static str = "trunk";
    const PATH: &'static str = "/v1/trunks";

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        expect(&mut faults, short(&self.name), "/name", "expected 1 to 100 characters");
        let least = usize::from(self.certificates.is_empty());
        let message = "expected 1 to 1000 addresses, or `certificates`";
        expect(&mut faults, (least..=1000).contains(&self.peers.len()), "/peers", message);
        let message = "expected an address or network, such as 203.0.113.7 or 203.0.113.0/24";
        for (index, peer) in self.peers.iter().enumerate().take(1000) {
            expect(&mut faults, peer.parse::<Cidr>().is_ok(), &format!("/peers/{index}"), message);
        }
        expect(&mut faults, self.media_peers.len() <= 1000, "/media_peers", "expected at most 1000 addresses");
        for (index, peer) in self.media_peers.iter().enumerate().take(1000) {
            expect(&mut faults, peer.parse::<Cidr>().is_ok(), &format!("/media_peers/{index}"), message);
        }
        let of_use = self.media_peers.is_empty() || self.source == MediaSource::Acl;
        expect(&mut faults, of_use, "/media_peers", "expected with `source` `acl` only");
        expect(&mut faults, (1..=16).contains(&self.codecs.len()), "/codecs", "expected 1 to 16 codecs");
        for (index, codec) in self.codecs.iter().enumerate().take(16) {
            let message = format!("expected one of {}", CODECS.join(", "));
            expect(&mut faults, is_codec(codec), &format!("/codecs/{index}"), &message);
        }
        let problems = self.ringing.problem().into_iter().chain(self.sound.problems()).chain(self.numbering.problems());
        let problems = problems.chain(self.server_problems());
        for (pointer, message) in problems {
            expect(&mut faults, false, pointer, message);
        }
        faults.truncate(20);
        faults
    }

    fn own_name(&self) -> Option<(&'static str, &str)> {
        Some(("/name", &self.name))
    }

    fn refers(&self) -> Vec<(&'static str, Kind, Id)> {
        Vec::new()
    }

    /// A range within another one is the more specific trunk's; the same range twice would be nobody's choice.
    fn own_ranges(&self) -> Vec<(String, Cidr)> {
        let ranges = self.peers.iter().enumerate();
        ranges.filter_map(|(index, peer)| Some((format!("/peers/{index}"), peer.parse().ok()?))).collect()
    }
}

impl Resource for RouteBody {
    const KIND: Kind = Kind::Route;
    const NAME: &'static str = "route";
    const PATH: &'static str = "/v1/routes";

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        expect(&mut faults, short(&self.name), "/name", "expected 1 to 100 characters");
        for (pointer, message) in self.problems() {
            expect(&mut faults, false, &pointer, &message);
        }
        faults.truncate(20);
        faults
    }

    fn own_name(&self) -> Option<(&'static str, &str)> {
        None
    }

    fn refers(&self) -> Vec<(&'static str, Kind, Id)> {
        let trunk = self.trunk.iter().map(|trunk| ("/trunk", Kind::Trunk, trunk.clone()));
        let overflow = self.overflow.iter().map(|target| ("/overflow", Kind::Agent, target.agent.clone()));
        trunk.chain([("/agent", Kind::Agent, self.agent.clone())]).chain(overflow).collect()
    }
}

impl Resource for OutboundRouteBody {
    const KIND: Kind = Kind::OutboundRoute;
    const NAME: &'static str = "outbound-route";
    const PATH: &'static str = "/v1/outbound-routes";

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        expect(&mut faults, short(&self.name), "/name", "expected 1 to 100 characters");
        for (pointer, message) in self.problems() {
            expect(&mut faults, false, &pointer, &message);
        }
        faults.truncate(20);
        faults
    }

    fn own_name(&self) -> Option<(&'static str, &str)> {
        None
    }

    fn refers(&self) -> Vec<(&'static str, Kind, Id)> {
        let trunks = self.trunks.iter().map(|trunk| ("/trunks", Kind::Trunk, trunk.clone()));
        trunks.chain(self.agents.iter().map(|agent| ("/agents", Kind::Agent, agent.clone()))).collect()
    }
}

impl Resource for NumberBody {
    const KIND: Kind = Kind::Number;
    const NAME: &'static str = "number";
    const PATH: &'static str = "/v1/numbers";

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let fits = matches!(self.number.parse(), Ok(Pattern::Exact(_)));
        expect(&mut faults, fits, "/number", "expected E.164 with `+`, or a URI user, of 1 to 128 characters");
        faults
    }

    fn own_name(&self) -> Option<(&'static str, &str)> {
        Some(("/number", &self.number))
    }

    fn refers(&self) -> Vec<(&'static str, Kind, Id)> {
        vec![("/agent", Kind::Agent, self.agent.clone())]
    }
}

impl Resource for ProviderBody {
    const KIND: Kind = Kind::Provider;
    const NAME: &'static str = "provider";
    const PATH: &'static str = "/v1/providers";

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        expect(&mut faults, short(&self.name), "/name", "expected 1 to 100 characters");
        expect(&mut faults, short(&self.plugin), "/plugin", "expected 1 to 100 characters");
        faults
    }

    fn own_name(&self) -> Option<(&'static str, &str)> {
        Some(("/name", &self.name))
    }

    fn refers(&self) -> Vec<(&'static str, Kind, Id)> {
        Vec::new()
    }
}

fn view<T: Resource>(stored: state::Stored) -> Result<View<T>> {
    let body = T::deserialize(stored.body).map_err(|_| StoreError::Corrupt("object"))?;
    Ok(View {
        id: stored.id.to_string(),
        version: stored.version,
        body,
        created_at: clock::rfc3339(stored.created_us),
        updated_at: clock::rfc3339(stored.updated_us),
    })
}

/// Checks `body` against itself and the tenant's other objects, and makes it an object of the desired state.
async fn put<T: Resource>(tx: &mut Tx, caller: &Caller, id: &Id, version: i64, body: &T) -> Result<View<T>> {
    let mut faults = body.faults();
    let mut refs: Refs = Vec::new();
    for (pointer, kind, other) in body.refers() {
        if other.prefix() != state::prefix(kind) || !state::exists(tx, &caller.tenant, kind, &other).await? {
            let message = format!("there is no such {} in service", state::name(kind));
            faults.push(Fault::body(pointer, "unknown_reference", message));
        }
        refs.push((state::name(kind), other.to_string()));
    }
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let own = body.own_name();
    if let Some((pointer, name)) = own
        && let Some(other) = state::name_taken(tx, &caller.tenant, T::KIND, name).await?
        && other != *id
    {
        let detail = format!("Another {} has this name.", T::NAME);
        let blockers = vec![Blocker { kind: T::NAME.to_owned(), id: other.to_string() }];
        return Err(Problem::conflict("name_taken", detail)
            .and("body", pointer, "name_taken", "expected a name of its own")
            .with_blockers(blockers));
    }
    for (pointer, range) in body.own_ranges() {
        let holders = state::referring(tx, &caller.tenant, RANGE, &range.to_string()).await?;
        if let Some((_, other)) = holders.into_iter().find(|(_, holder)| holder != id) {
            let detail = format!("{range} belongs to the {} {other} already, which gets its calls.", T::NAME);
            let blockers = vec![Blocker { kind: T::NAME.to_owned(), id: other.to_string() }];
            return Err(Problem::conflict("range_taken", detail)
                .and("body", pointer, "range_taken", "expected an address or network of its own")
                .with_blockers(blockers));
        }
        refs.push((RANGE, range.to_string()));
    }
    let object = Object {
        kind: T::KIND,
        id: id.clone(),
        tenant: caller.tenant.clone(),
        version: u32::try_from(version).unwrap_or(u32::MAX),
        sha256: String::new(),
        body: serde_json::to_value(body).map_err(|_| Problem::internal())?,
    };
    state::put(tx, &object, own.map(|(_, name)| name), &refs, clock::now_us()).await?;
    let stored = state::get_in(tx, &caller.tenant, T::KIND, id).await?.ok_or_else(Problem::internal)?;
    view(stored)
}

async fn create<T: Resource>(app: &Shared, caller: &Caller, body: T) -> Result<Answer<View<T>>> {
    let id = mint(state::prefix(T::KIND), clock::now_us())?;
    let mut tx = app.db.begin().await?;
    if state::count(&mut tx, &caller.tenant, T::KIND).await? >= MOST_OBJECTS {
        let detail = format!("There are {MOST_OBJECTS} of them; delete one first.");
        return Err(Problem::conflict("too_many_objects", detail));
    }
    let made = put(&mut tx, caller, &id, 1, &body).await?;
    tx.commit().await?;
    app.changed(&caller.tenant);
    Ok(Answer::created(made, &format!("{}/{id}", T::PATH)))
}

async fn replace<T: Resource>(app: &Shared, caller: &Caller, id: &str, body: T) -> Result<Answer<View<T>>> {
    let id = path_id(state::prefix(T::KIND), id, T::NAME)?;
    let mut tx = app.db.begin().await?;
    let current = state::get_in(&mut tx, &caller.tenant, T::KIND, &id).await?;
    let current = current.ok_or_else(|| Problem::not_found(T::NAME))?;
    let made = put(&mut tx, caller, &id, current.version + 1, &body).await?;
    tx.commit().await?;
    app.changed(&caller.tenant);
    Ok(Answer::ok(made))
}

async fn list<T: Resource>(app: &Shared, caller: &Caller, params: Params) -> Result<Answer<Vec<View<T>>>> {
    let params = params.only(&["limit", "cursor"])?;
    let page = Page::read(&params, &app.keyring, &caller.tenant, T::NAME, &[])?;
    let mut found = state::list(&app.db, &caller.tenant, T::KIND, page.after.as_deref(), page.probe()).await?;
    let next = page.cut(&mut found, &app.keyring, |object| object.id.to_string());
    Ok(Answer::page(found.into_iter().map(view).collect::<Result<_>>()?, next))
}

async fn get<T: Resource>(app: &Shared, caller: &Caller, id: &str) -> Result<Answer<View<T>>> {
    let id = path_id(state::prefix(T::KIND), id, T::NAME)?;
    let found = state::get(&app.db, &caller.tenant, T::KIND, &id).await?;
    Ok(Answer::ok(view(found.ok_or_else(|| Problem::not_found(T::NAME))?)?))
}

async fn delete<T: Resource>(app: &Shared, caller: &Caller, id: &str) -> Result<StatusCode> {
    let id = path_id(state::prefix(T::KIND), id, T::NAME)?;
    let mut tx = app.db.begin().await?;
    let stored = state::get_in(&mut tx, &caller.tenant, T::KIND, &id).await?;
    let stored = stored.ok_or_else(|| Problem::not_found(T::NAME))?;
    // Agents name providers, everything else is named by id.
    let key = match T::KIND {
        Kind::Provider => stored.body["name"].as_str().unwrap_or_default().to_owned(),
        _ => id.to_string(),
    };
    let referring = state::referring(&mut tx, &caller.tenant, T::NAME, &key).await?;
    if !referring.is_empty() {
        let blockers = referring.into_iter().map(|(kind, id)| Blocker { kind, id: id.to_string() }).collect();
        let detail = format!("Other objects refer to the {}; see `blockers`.", T::NAME);
        return Err(Problem::conflict("object_in_use", detail).with_blockers(blockers));
    }
    state::remove(&mut tx, &caller.tenant, T::KIND, &id, clock::now_us()).await?;
    tx.commit().await?;
    app.changed(&caller.tenant);
    Ok(StatusCode::NO_CONTENT)
}

macro_rules! resource {
    ($body:ident, $one:literal, $many:literal, $item:literal,
     $create:ident, $list:ident, $get:ident, $put:ident, $delete:ident) => {
        #[doc = concat!("Makes a ", $one, "; gateways have it within moments.")]
        #[utoipa::path(post, path = $many, tag = "telephony", security(("api_key" = ["telephony:write"])),
                    request_body = $body,
                    responses((status = 201, description = "Made", body = Envelope<View<$body>>)))]
        pub(crate) async fn $create(
            State(app): State<Shared>,
            caller: Caller,
            Input(body): Input<$body>,
        ) -> Result<Answer<View<$body>>> {
            create(&app, &caller, body).await
        }

        #[doc = concat!("Lists ", $one, "s, newest first.")]
        #[utoipa::path(get, path = $many, tag = "telephony", security(("api_key" = ["telephony:read"])),
                    params(("limit" = Option<u32>, Query, description = "1 to 100, 20 by default"),
                           ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
                    responses((status = 200, description = "A page", body = Envelope<Vec<View<$body>>>)))]
        pub(crate) async fn $list(
            State(app): State<Shared>,
            caller: Caller,
            params: Params,
        ) -> Result<Answer<Vec<View<$body>>>> {
            list(&app, &caller, params).await
        }

        #[doc = concat!("A ", $one, ".")]
        #[utoipa::path(get, path = $item, tag = "telephony", security(("api_key" = ["telephony:read"])),
                    params(("id" = String, Path, description = "Its id")),
                    responses((status = 200, description = "It", body = Envelope<View<$body>>)))]
        pub(crate) async fn $get(
            State(app): State<Shared>,
            caller: Caller,
            Path(id): Path<String>,
        ) -> Result<Answer<View<$body>>> {
            get(&app, &caller, &id).await
        }

        #[doc = concat!("Replaces a ", $one, ".")]
        #[utoipa::path(put, path = $item, tag = "telephony", security(("api_key" = ["telephony:write"])),
                    params(("id" = String, Path, description = "Its id")),
                    request_body = $body,
                    responses((status = 200, description = "Replaced", body = Envelope<View<$body>>)))]
        pub(crate) async fn $put(
            State(app): State<Shared>,
            caller: Caller,
            Path(id): Path<String>,
            Input(body): Input<$body>,
        ) -> Result<Answer<View<$body>>> {
            replace(&app, &caller, &id, body).await
        }

        #[doc = concat!("Deletes a ", $one, " that nothing refers to.")]
        #[utoipa::path(delete, path = $item, tag = "telephony", security(("api_key" = ["telephony:write"])),
                    params(("id" = String, Path, description = "Its id")),
                    responses((status = 204, description = "Deleted"),
                              (status = 409, description = "`blockers` lists what refers to it")))]
        pub(crate) async fn $delete(
            State(app): State<Shared>,
            caller: Caller,
            Path(id): Path<String>,
        ) -> Result<StatusCode> {
            delete::<$body>(&app, &caller, &id).await
        }
    };
}

resource!(
    TrunkBody,
    "trunk",
    "/v1/trunks",
    "/v1/trunks/{id}",
    create_trunk,
    list_trunks,
    get_trunk,
    put_trunk,
    delete_trunk
);
resource!(
    RouteBody,
    "route",
    "/v1/routes",
    "/v1/routes/{id}",
    create_route,
    list_routes,
    get_route,
    put_route,
    delete_route
);
resource!(
    OutboundRouteBody,
    "outbound route",
    "/v1/outbound-routes",
    "/v1/outbound-routes/{id}",
    create_outbound_route,
    list_outbound_routes,
    get_outbound_route,
    put_outbound_route,
    delete_outbound_route
);
resource!(
    NumberBody,
    "number",
    "/v1/numbers",
    "/v1/numbers/{id}",
    create_number,
    list_numbers,
    get_number,
    put_number,
    delete_number
);
resource!(
    ProviderBody,
    "provider",
    "/v1/providers",
    "/v1/providers/{id}",
    create_provider,
    list_providers,
    get_provider,
    put_provider,
    delete_provider
);

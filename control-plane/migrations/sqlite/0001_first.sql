-- Ids are TEXT, times BIGINT microseconds since the Unix epoch, money BIGINT micro-units, JSON TEXT.
CREATE TABLE tenants (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    max_calls BIGINT NOT NULL,
    created_us BIGINT NOT NULL
);

CREATE TABLE api_keys (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    key_hash TEXT NOT NULL UNIQUE,
    prefix TEXT NOT NULL,
    last4 TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    expires_us BIGINT,
    revoked_us BIGINT,
    PRIMARY KEY (tenant_id, id)
) WITHOUT ROWID;

CREATE TABLE agents (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    version BIGINT NOT NULL,
    published BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id)
) WITHOUT ROWID;

CREATE TABLE agent_versions (
    tenant_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    spec TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, agent_id, version)
);

-- Desired state: the newest form of every object with the revision that made it so. A removed object stays as a
-- tombstone (body NULL), which is what a delta needs; revisions below `floor` are answered with a whole snapshot.
CREATE TABLE state_heads (
    tenant_id TEXT PRIMARY KEY,
    rev BIGINT NOT NULL,
    floor BIGINT NOT NULL
);

CREATE TABLE state_objects (
    tenant_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    name_key TEXT,
    version BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    body TEXT,
    rev BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    updated_us BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, kind, id)
);
CREATE INDEX state_objects_by_rev ON state_objects (tenant_id, rev);
CREATE UNIQUE INDEX state_objects_by_name ON state_objects (tenant_id, kind, name_key)
    WHERE body IS NOT NULL AND name_key IS NOT NULL;

CREATE TABLE object_refs (
    tenant_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    ref_kind TEXT NOT NULL,
    ref_key TEXT NOT NULL,
    PRIMARY KEY (tenant_id, ref_kind, ref_key, kind, id)
) WITHOUT ROWID;
CREATE INDEX object_refs_by_owner ON object_refs (tenant_id, kind, id);

CREATE TABLE enrolment_tokens (
    tenant_id TEXT NOT NULL,
    token_hash TEXT PRIMARY KEY,
    created_us BIGINT NOT NULL,
    expires_us BIGINT NOT NULL,
    used_us BIGINT,
    gateway_id TEXT
);

CREATE TABLE gateways (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    credential_hash TEXT NOT NULL UNIQUE,
    created_us BIGINT NOT NULL,
    last_seen_us BIGINT,
    applied_rev BIGINT NOT NULL,
    rejected_rev BIGINT,
    rejected_problem TEXT,
    calls BIGINT NOT NULL,
    revoked_us BIGINT,
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE alarms (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    gateway_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, gateway_id, id)
) WITHOUT ROWID;

-- What gateways uploaded: `epoch` is a 64-bit number without sign, so it is TEXT.
CREATE TABLE upload_marks (
    tenant_id TEXT NOT NULL,
    gateway_id TEXT NOT NULL,
    epoch TEXT NOT NULL,
    stream TEXT NOT NULL,
    high_water BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, gateway_id, epoch, stream)
) WITHOUT ROWID;

CREATE TABLE upload_records (
    tenant_id TEXT NOT NULL,
    gateway_id TEXT NOT NULL,
    epoch TEXT NOT NULL,
    stream TEXT NOT NULL,
    seq BIGINT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (tenant_id, gateway_id, epoch, stream, seq)
) WITHOUT ROWID;

CREATE TABLE upload_refused (
    tenant_id TEXT NOT NULL,
    gateway_id TEXT NOT NULL,
    epoch TEXT NOT NULL,
    stream TEXT NOT NULL,
    seq BIGINT NOT NULL,
    reason TEXT NOT NULL,
    body TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, gateway_id, epoch, stream, seq)
);

CREATE TABLE calls (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    status TEXT NOT NULL,
    direction TEXT NOT NULL,
    from_party TEXT NOT NULL,
    to_party TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    agent_version BIGINT NOT NULL,
    trunk_id TEXT,
    gateway_id TEXT NOT NULL,
    started_us BIGINT NOT NULL,
    answered_us BIGINT,
    ended_us BIGINT,
    end_reason TEXT,
    failure TEXT,
    turns BIGINT,
    recording TEXT,
    cost_micro BIGINT,
    currency TEXT,
    price_version BIGINT,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX calls_by_agent ON calls (tenant_id, agent_id, id);
CREATE INDEX calls_active ON calls (tenant_id, agent_id) WHERE status = 'active';
CREATE INDEX calls_by_start ON calls (tenant_id, started_us);

CREATE TABLE call_events (
    tenant_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    id TEXT NOT NULL,
    v BIGINT NOT NULL,
    type TEXT NOT NULL,
    wall_us BIGINT NOT NULL,
    call_us BIGINT NOT NULL,
    leg TEXT,
    turn BIGINT,
    data TEXT NOT NULL,
    PRIMARY KEY (tenant_id, call_id, seq)
) WITHOUT ROWID;

CREATE TABLE call_turns (
    tenant_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    turn BIGINT NOT NULL,
    total_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, call_id, turn)
) WITHOUT ROWID;

CREATE TABLE usage_records (
    tenant_id TEXT NOT NULL,
    gateway_id TEXT NOT NULL,
    epoch TEXT NOT NULL,
    seq BIGINT NOT NULL,
    call_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    day TEXT NOT NULL,
    body TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, gateway_id, epoch, seq)
);
CREATE UNIQUE INDEX usage_records_by_call ON usage_records (tenant_id, call_id);

CREATE TABLE call_costs (
    tenant_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    provider TEXT NOT NULL,
    unit TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    priced BIGINT NOT NULL,
    cost_micro BIGINT NOT NULL,
    currency TEXT NOT NULL,
    price_version BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, call_id, kind, provider, unit)
) WITHOUT ROWID;

CREATE TABLE usage_rollups (
    tenant_id TEXT NOT NULL,
    day TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    provider TEXT NOT NULL,
    unit TEXT NOT NULL,
    currency TEXT NOT NULL,
    calls BIGINT NOT NULL,
    quantity BIGINT NOT NULL,
    cost_micro BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, day, agent_id, kind, provider, unit, currency)
) WITHOUT ROWID;

CREATE TABLE price_books (
    tenant_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    currency TEXT NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, version)
) WITHOUT ROWID;

CREATE TABLE price_rows (
    tenant_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    kind TEXT NOT NULL,
    provider TEXT NOT NULL,
    unit TEXT NOT NULL,
    micro BIGINT NOT NULL,
    per BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, version, kind, provider, unit)
) WITHOUT ROWID;

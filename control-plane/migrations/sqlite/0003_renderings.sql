-- Lines of agents that gateways rendered beforehand: usage of no call.
CREATE TABLE renderings (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    gateway_id TEXT NOT NULL,
    agent_id TEXT NOT NULL,
    agent_version BIGINT NOT NULL,
    rendered_us BIGINT NOT NULL,
    day TEXT NOT NULL,
    cost_micro BIGINT NOT NULL,
    currency TEXT NOT NULL,
    price_version BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id)
) WITHOUT ROWID;
CREATE INDEX renderings_by_day ON renderings (tenant_id, day);

-- Webhooks: endpoints, what waits to be sent to each, and every attempt. Twin of migrations/sqlite/0004_webhooks.sql.

CREATE TABLE webhooks (
    id UUID NOT NULL PRIMARY KEY,
    url TEXT NOT NULL,
    description TEXT,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('enabled', 'disabled')),
    disabled_reason TEXT CHECK (disabled_reason IN ('operator', 'failing', 'gone')),
    failing_since TIMESTAMPTZ,
    secret BYTEA NOT NULL,
    previous_secret BYTEA,
    previous_secret_until TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX webhooks_created_at_idx ON webhooks (created_at, id);

-- Which types an endpoint wants; '*' for all.
CREATE TABLE webhook_filters (
    type TEXT COLLATE "C" NOT NULL,
    webhook_id UUID NOT NULL REFERENCES webhooks (id),
    PRIMARY KEY (type, webhook_id)
);
CREATE INDEX webhook_filters_webhook_id_idx ON webhook_filters (webhook_id);

-- One event for one endpoint. No foreign keys: a change that tells of an event waits for nobody who removes an
-- endpoint, and what an endpoint leaves behind goes in small batches.
CREATE TABLE webhook_messages (
    webhook_id UUID NOT NULL,
    event_id UUID NOT NULL,
    type TEXT COLLATE "C" NOT NULL,
    body TEXT NOT NULL,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('waiting', 'running', 'delivered', 'dead')),
    attempts BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    due_at TIMESTAMPTZ NOT NULL,
    lease_until TIMESTAMPTZ,
    lease_owner UUID,
    PRIMARY KEY (webhook_id, event_id)
);
CREATE INDEX webhook_messages_due_idx ON webhook_messages (webhook_id, due_at) WHERE state = 'waiting';
CREATE INDEX webhook_messages_lease_idx ON webhook_messages (webhook_id, lease_until) WHERE state = 'running';
CREATE INDEX webhook_messages_created_at_idx ON webhook_messages (created_at);

CREATE TABLE deliveries (
    id UUID NOT NULL PRIMARY KEY,
    webhook_id UUID NOT NULL,
    event_id UUID NOT NULL,
    type TEXT COLLATE "C" NOT NULL,
    attempt BIGINT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    duration_ms BIGINT NOT NULL,
    status BIGINT,
    error TEXT
);
CREATE INDEX deliveries_webhook_id_idx ON deliveries (webhook_id, at, id);
CREATE INDEX deliveries_at_idx ON deliveries (at);

INSERT INTO schema_compatibility (migration, oldest_binary) VALUES (4, '0.1.0');

-- Webhooks: endpoints, what waits to be sent to each, and every attempt. Twin of migrations/postgres/0004_webhooks.sql.

CREATE TABLE webhooks (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    url TEXT NOT NULL,
    description TEXT,
    state TEXT NOT NULL CHECK (state IN ('enabled', 'disabled')),
    disabled_reason TEXT CHECK (disabled_reason IN ('operator', 'failing', 'gone')),
    failing_since INTEGER,
    secret BLOB NOT NULL,
    previous_secret BLOB,
    previous_secret_until INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;
CREATE INDEX webhooks_created_at_idx ON webhooks (created_at, id);

-- Which types an endpoint wants; '*' for all.
CREATE TABLE webhook_filters (
    type TEXT NOT NULL,
    webhook_id BLOB NOT NULL CHECK (length(webhook_id) = 16) REFERENCES webhooks (id),
    PRIMARY KEY (type, webhook_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_filters_webhook_id_idx ON webhook_filters (webhook_id);

-- One event for one endpoint. No foreign keys: a change that tells of an event waits for nobody who removes an
-- endpoint, and what an endpoint leaves behind goes in small batches.
CREATE TABLE webhook_messages (
    webhook_id BLOB NOT NULL CHECK (length(webhook_id) = 16),
    event_id BLOB NOT NULL CHECK (length(event_id) = 16),
    type TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'delivered', 'dead')),
    attempts INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    lease_until INTEGER,
    lease_owner BLOB CHECK (length(lease_owner) = 16),
    PRIMARY KEY (webhook_id, event_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_messages_due_idx ON webhook_messages (webhook_id, due_at) WHERE state = 'waiting';
CREATE INDEX webhook_messages_lease_idx ON webhook_messages (webhook_id, lease_until) WHERE state = 'running';
CREATE INDEX webhook_messages_created_at_idx ON webhook_messages (created_at);

CREATE TABLE deliveries (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    webhook_id BLOB NOT NULL CHECK (length(webhook_id) = 16),
    event_id BLOB NOT NULL CHECK (length(event_id) = 16),
    type TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    at INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status INTEGER,
    error TEXT
) STRICT;
CREATE INDEX deliveries_webhook_id_idx ON deliveries (webhook_id, at, id);
CREATE INDEX deliveries_at_idx ON deliveries (at);

INSERT INTO schema_compatibility (migration, oldest_binary) VALUES (4, '0.1.0');

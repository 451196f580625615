-- Accounts, sessions, tokens, roles, keys, events, jobs. Twin of migrations/postgres/0001_accounts.sql.

CREATE TABLE schema_compatibility (
    migration INTEGER NOT NULL PRIMARY KEY,
    oldest_binary TEXT NOT NULL
) STRICT;

CREATE TABLE users (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    email TEXT NOT NULL,
    email_canonical TEXT NOT NULL,
    email_verified_at INTEGER,
    username TEXT,
    profile TEXT NOT NULL CHECK (json_valid(profile)),
    pending_since INTEGER,
    suspended_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    last_login_at INTEGER,
    deleted_at INTEGER,
    erased_at INTEGER,
    version INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX users_email_canonical_key ON users (email_canonical);
CREATE INDEX users_created_at_idx ON users (created_at, id);

CREATE TABLE unique_values (
    field TEXT NOT NULL,
    value_canonical TEXT NOT NULL,
    user_id BLOB NOT NULL CHECK (length(user_id) = 16) REFERENCES users (id),
    PRIMARY KEY (field, value_canonical)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX unique_values_user_id_key ON unique_values (user_id, field);

CREATE TABLE password_credentials (
    user_id BLOB NOT NULL PRIMARY KEY CHECK (length(user_id) = 16) REFERENCES users (id),
    hash TEXT NOT NULL,
    set_at INTEGER NOT NULL,
    must_change INTEGER NOT NULL CHECK (must_change IN (0, 1))
) STRICT;

CREATE TABLE sessions (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    user_id BLOB NOT NULL CHECK (length(user_id) = 16) REFERENCES users (id),
    client_id TEXT NOT NULL,
    audience TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    absolute_expires_at INTEGER NOT NULL,
    ended_at INTEGER,
    end_reason TEXT,
    auth_time INTEGER NOT NULL,
    amr TEXT NOT NULL CHECK (json_valid(amr)),
    address TEXT NOT NULL,
    user_agent TEXT
) STRICT;
CREATE INDEX sessions_user_id_idx ON sessions (user_id, created_at, id);

CREATE TABLE refresh_tokens (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    session_id BLOB NOT NULL CHECK (length(session_id) = 16) REFERENCES sessions (id),
    generation INTEGER NOT NULL,
    successor BLOB,
    created_at INTEGER NOT NULL,
    used_at INTEGER,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX refresh_tokens_session_id_key ON refresh_tokens (session_id, generation);
CREATE UNIQUE INDEX refresh_tokens_live_key ON refresh_tokens (session_id) WHERE used_at IS NULL;

CREATE TABLE one_time_tokens (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    user_id BLOB NOT NULL CHECK (length(user_id) = 16) REFERENCES users (id),
    purpose TEXT NOT NULL,
    bound_to TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER
) STRICT;
CREATE UNIQUE INDEX one_time_tokens_live_key ON one_time_tokens (user_id, purpose) WHERE used_at IS NULL;

CREATE TABLE roles (
    name TEXT NOT NULL PRIMARY KEY,
    description TEXT NOT NULL
) STRICT;

CREATE TABLE role_permissions (
    role TEXT NOT NULL REFERENCES roles (name),
    permission TEXT NOT NULL,
    PRIMARY KEY (role, permission)
) STRICT, WITHOUT ROWID;

CREATE TABLE user_roles (
    user_id BLOB NOT NULL CHECK (length(user_id) = 16) REFERENCES users (id),
    role TEXT NOT NULL REFERENCES roles (name),
    granted_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, role)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_roles_role_idx ON user_roles (role);

CREATE TABLE signing_keys (
    kid TEXT NOT NULL PRIMARY KEY,
    algorithm TEXT NOT NULL CHECK (algorithm IN ('ES256', 'EdDSA', 'RS256')),
    private_key BLOB NOT NULL,
    public_jwk TEXT NOT NULL CHECK (json_valid(public_jwk)),
    lifetime_max_s INTEGER NOT NULL,
    announced_at INTEGER NOT NULL,
    signs_at INTEGER,
    retires_at INTEGER,
    gone_at INTEGER,
    revoked_at INTEGER
) STRICT;

CREATE TABLE events (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    at INTEGER NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT,
    action TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    request_id TEXT,
    outcome TEXT NOT NULL,
    details_hash BLOB NOT NULL CHECK (length(details_hash) = 32)
) STRICT;
CREATE INDEX events_subject_idx ON events (subject_id, id);

CREATE TABLE event_details (
    event_id BLOB NOT NULL PRIMARY KEY CHECK (length(event_id) = 16) REFERENCES events (id),
    address TEXT,
    data TEXT NOT NULL CHECK (json_valid(data))
) STRICT;

-- LOG-06: the trail is append only.
CREATE TRIGGER events_refuse_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append only'); END;
CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are append only'); END;
-- REPLACE removes the old row without its DELETE trigger.
CREATE TRIGGER events_refuse_replace BEFORE INSERT ON events WHEN EXISTS (SELECT 1 FROM events WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'events are append only'); END;

CREATE TABLE jobs (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    kind TEXT NOT NULL,
    priority INTEGER NOT NULL,
    payload BLOB,
    dedupe_key BLOB,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'given_up')),
    attempts INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    lease_until INTEGER,
    lease_owner BLOB CHECK (length(lease_owner) = 16),
    finished_at INTEGER,
    last_error TEXT
) STRICT;
CREATE INDEX jobs_due_idx ON jobs (priority, due_at) WHERE state = 'waiting';
CREATE INDEX jobs_lease_idx ON jobs (lease_until) WHERE state = 'running';
CREATE UNIQUE INDEX jobs_dedupe_key ON jobs (kind, dedupe_key) WHERE state = 'waiting' AND dedupe_key IS NOT NULL;

INSERT INTO roles (name, description) VALUES ('admin', 'May do everything');
INSERT INTO schema_compatibility (migration, oldest_binary) VALUES (1, '0.1.0');

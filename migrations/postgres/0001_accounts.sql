-- Accounts, sessions, tokens, roles, keys, events, jobs. Twin of migrations/sqlite/0001_accounts.sql.

CREATE TABLE schema_compatibility (
    migration BIGINT NOT NULL PRIMARY KEY,
    oldest_binary TEXT NOT NULL
);

CREATE TABLE users (
    id UUID NOT NULL PRIMARY KEY,
    email TEXT NOT NULL,
    email_canonical TEXT COLLATE "C" NOT NULL,
    email_verified_at TIMESTAMPTZ,
    username TEXT,
    profile JSONB NOT NULL,
    pending_since TIMESTAMPTZ,
    suspended_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    last_login_at TIMESTAMPTZ,
    deleted_at TIMESTAMPTZ,
    erased_at TIMESTAMPTZ,
    version BIGINT NOT NULL
);
CREATE UNIQUE INDEX users_email_canonical_key ON users (email_canonical);
CREATE INDEX users_created_at_idx ON users (created_at, id);

CREATE TABLE unique_values (
    field TEXT COLLATE "C" NOT NULL,
    value_canonical TEXT COLLATE "C" NOT NULL,
    user_id UUID NOT NULL REFERENCES users (id),
    PRIMARY KEY (field, value_canonical)
);
CREATE UNIQUE INDEX unique_values_user_id_key ON unique_values (user_id, field);

CREATE TABLE password_credentials (
    user_id UUID NOT NULL PRIMARY KEY REFERENCES users (id),
    hash TEXT NOT NULL,
    set_at TIMESTAMPTZ NOT NULL,
    must_change BOOLEAN NOT NULL
);

CREATE TABLE sessions (
    id UUID NOT NULL PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id),
    client_id TEXT NOT NULL,
    audience TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    last_used_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    absolute_expires_at TIMESTAMPTZ NOT NULL,
    ended_at TIMESTAMPTZ,
    end_reason TEXT,
    auth_time TIMESTAMPTZ NOT NULL,
    amr JSONB NOT NULL,
    address TEXT NOT NULL,
    user_agent TEXT
);
CREATE INDEX sessions_user_id_idx ON sessions (user_id, created_at, id);

CREATE TABLE refresh_tokens (
    digest BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(digest) = 32),
    session_id UUID NOT NULL REFERENCES sessions (id),
    generation BIGINT NOT NULL,
    successor BYTEA,
    created_at TIMESTAMPTZ NOT NULL,
    used_at TIMESTAMPTZ,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX refresh_tokens_session_id_key ON refresh_tokens (session_id, generation);
CREATE UNIQUE INDEX refresh_tokens_live_key ON refresh_tokens (session_id) WHERE used_at IS NULL;

CREATE TABLE one_time_tokens (
    digest BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(digest) = 32),
    user_id UUID NOT NULL REFERENCES users (id),
    purpose TEXT COLLATE "C" NOT NULL,
    bound_to TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    used_at TIMESTAMPTZ
);
CREATE UNIQUE INDEX one_time_tokens_live_key ON one_time_tokens (user_id, purpose) WHERE used_at IS NULL;

CREATE TABLE roles (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    description TEXT NOT NULL
);

CREATE TABLE role_permissions (
    role TEXT COLLATE "C" NOT NULL REFERENCES roles (name),
    permission TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (role, permission)
);

CREATE TABLE user_roles (
    user_id UUID NOT NULL REFERENCES users (id),
    role TEXT COLLATE "C" NOT NULL REFERENCES roles (name),
    granted_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (user_id, role)
);
CREATE INDEX user_roles_role_idx ON user_roles (role);

CREATE TABLE signing_keys (
    kid TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    algorithm TEXT NOT NULL CHECK (algorithm IN ('ES256', 'EdDSA', 'RS256')),
    private_key BYTEA NOT NULL,
    public_jwk JSONB NOT NULL,
    lifetime_max_s BIGINT NOT NULL,
    announced_at TIMESTAMPTZ NOT NULL,
    signs_at TIMESTAMPTZ,
    retires_at TIMESTAMPTZ,
    gone_at TIMESTAMPTZ,
    revoked_at TIMESTAMPTZ
);

CREATE TABLE events (
    id UUID NOT NULL PRIMARY KEY,
    at TIMESTAMPTZ NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT,
    action TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject_id TEXT COLLATE "C" NOT NULL,
    request_id TEXT,
    outcome TEXT NOT NULL,
    details_hash BYTEA NOT NULL CHECK (octet_length(details_hash) = 32)
);
CREATE INDEX events_subject_idx ON events (subject_id, id);

CREATE TABLE event_details (
    event_id UUID NOT NULL PRIMARY KEY REFERENCES events (id),
    address TEXT,
    data JSONB NOT NULL
);

-- LOG-06: the trail is append only.
CREATE FUNCTION events_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are append only';
END
$$;
CREATE TRIGGER events_refuse_update BEFORE UPDATE OR DELETE ON events
FOR EACH ROW EXECUTE FUNCTION events_refuse_change();
CREATE TRIGGER events_refuse_truncate BEFORE TRUNCATE ON events
FOR EACH STATEMENT EXECUTE FUNCTION events_refuse_change();

CREATE TABLE jobs (
    id UUID NOT NULL PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    priority BIGINT NOT NULL,
    payload BYTEA,
    dedupe_key BYTEA,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'given_up')),
    attempts BIGINT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    due_at TIMESTAMPTZ NOT NULL,
    lease_until TIMESTAMPTZ,
    lease_owner UUID,
    finished_at TIMESTAMPTZ,
    last_error TEXT
);
CREATE INDEX jobs_due_idx ON jobs (priority, due_at) WHERE state = 'waiting';
CREATE INDEX jobs_lease_idx ON jobs (lease_until) WHERE state = 'running';
CREATE UNIQUE INDEX jobs_dedupe_key ON jobs (kind, dedupe_key) WHERE state = 'waiting' AND dedupe_key IS NOT NULL;

INSERT INTO roles (name, description) VALUES ('admin', 'May do everything');
INSERT INTO schema_compatibility (migration, oldest_binary) VALUES (1, '0.1.0');

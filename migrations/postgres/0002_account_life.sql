-- The life of an account: invitations, resets, changes of the address, limits of mails, idempotent calls.
-- Twin of migrations/sqlite/0002_account_life.sql.

-- An invited account leaves then, unless it was taken.
ALTER TABLE users ADD COLUMN invited_until TIMESTAMPTZ;
-- What the sweeps look for.
CREATE INDEX users_pending_since_idx ON users (pending_since) WHERE pending_since IS NOT NULL;
CREATE INDEX users_invited_until_idx ON users (invited_until) WHERE invited_until IS NOT NULL;
CREATE INDEX users_deleted_at_idx ON users (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;

-- EML-05: a token that names a credential is good for that version of it only.
ALTER TABLE one_time_tokens ADD COLUMN credential_set_at TIMESTAMPTZ;
CREATE INDEX one_time_tokens_expires_at_idx ON one_time_tokens (expires_at);

-- One wish a user; its two tokens stand in one_time_tokens.
CREATE TABLE email_changes (
    user_id UUID NOT NULL PRIMARY KEY REFERENCES users (id),
    email TEXT NOT NULL,
    email_canonical TEXT COLLATE "C" NOT NULL,
    session_id UUID NOT NULL,
    requested_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX email_changes_expires_at_idx ON email_changes (expires_at);

-- What a mailbox was sent, as two theoretical arrival times (GCRA); key: keyed hash of address and kind.
CREATE TABLE mail_allowances (
    key BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(key) = 32),
    paced_until TIMESTAMPTZ NOT NULL,
    hourly_until TIMESTAMPTZ NOT NULL
);
CREATE INDEX mail_allowances_hourly_until_idx ON mail_allowances (hourly_until);

-- HTTP-17. scope: route and caller; request: keyed digest of the body; answer: sealed.
CREATE TABLE idempotency_keys (
    scope BYTEA NOT NULL CHECK (octet_length(scope) = 32),
    key TEXT COLLATE "C" NOT NULL,
    request BYTEA NOT NULL CHECK (octet_length(request) = 32),
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('running', 'done')),
    lease_owner UUID NOT NULL,
    lease_until TIMESTAMPTZ NOT NULL,
    answer BYTEA,
    created_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_expires_at_idx ON idempotency_keys (expires_at);

INSERT INTO schema_compatibility (migration, oldest_binary) VALUES (2, '0.1.0');

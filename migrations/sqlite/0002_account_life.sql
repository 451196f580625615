-- The life of an account: invitations, resets, changes of the address, limits of mails, idempotent calls.
-- Twin of migrations/postgres/0002_account_life.sql.

-- An invited account leaves then, unless it was taken.
ALTER TABLE users ADD COLUMN invited_until INTEGER;
-- What the sweeps look for.
CREATE INDEX users_pending_since_idx ON users (pending_since) WHERE pending_since IS NOT NULL;
CREATE INDEX users_invited_until_idx ON users (invited_until) WHERE invited_until IS NOT NULL;
CREATE INDEX users_deleted_at_idx ON users (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;

-- EML-05: a token that names a credential is good for that version of it only.
ALTER TABLE one_time_tokens ADD COLUMN credential_set_at INTEGER;
CREATE INDEX one_time_tokens_expires_at_idx ON one_time_tokens (expires_at);

-- One wish a user; its two tokens stand in one_time_tokens.
CREATE TABLE email_changes (
    user_id BLOB NOT NULL PRIMARY KEY CHECK (length(user_id) = 16) REFERENCES users (id),
    email TEXT NOT NULL,
    email_canonical TEXT NOT NULL,
    session_id BLOB NOT NULL CHECK (length(session_id) = 16),
    requested_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX email_changes_expires_at_idx ON email_changes (expires_at);

-- What a mailbox was sent, as two theoretical arrival times (GCRA); key: keyed hash of address and kind.
CREATE TABLE mail_allowances (
    key BLOB NOT NULL PRIMARY KEY CHECK (length(key) = 32),
    paced_until INTEGER NOT NULL,
    hourly_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mail_allowances_hourly_until_idx ON mail_allowances (hourly_until);

-- HTTP-17. scope: route and caller; request: keyed digest of the body; answer: sealed.
CREATE TABLE idempotency_keys (
    scope BLOB NOT NULL CHECK (length(scope) = 32),
    key TEXT NOT NULL,
    request BLOB NOT NULL CHECK (length(request) = 32),
    state TEXT NOT NULL CHECK (state IN ('running', 'done')),
    lease_owner BLOB NOT NULL CHECK (length(lease_owner) = 16),
    lease_until INTEGER NOT NULL,
    answer BLOB,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_expires_at_idx ON idempotency_keys (expires_at);

INSERT INTO schema_compatibility (migration, oldest_binary) VALUES (2, '0.1.0');

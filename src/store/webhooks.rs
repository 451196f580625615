//! The tables `webhooks` and `webhook_filters`: endpoints, what they are told of, and how they fare.

use super::sql::{Sql, all, execute, optional, statements};
use super::{Read, Writer};
use crate::Fault;
use crate::domain::ids::WebhookId;
use crate::domain::time::Timestamp;
use crate::domain::webhook::{DisabledReason, Endpoint};

/// The columns of [`Endpoint`].
macro_rules! endpoint_columns {
    () => {
        "webhooks.id, webhooks.url, webhooks.description, webhooks.state, webhooks.disabled_reason,
         webhooks.failing_since, webhooks.secret, webhooks.previous_secret, webhooks.previous_secret_until,
         webhooks.created_at, webhooks.updated_at, webhooks.version,
         COALESCE((SELECT string_agg(webhook_filters.type, ',' ORDER BY webhook_filters.type)
                   FROM webhook_filters WHERE webhook_filters.webhook_id = webhooks.id), '') AS events"
    };
}

statements! {
    INSERT = Sql::both(
        "INSERT INTO webhooks (id, url, description, state, secret, created_at, updated_at, version)
         SELECT $1, $2, $3, 'enabled', $4, $5, $5, 1 WHERE (SELECT COUNT(*) FROM webhooks) < $6",
    );
    ADD_FILTER = Sql::both("INSERT INTO webhook_filters (type, webhook_id) VALUES ($1, $2)");
    REMOVE_FILTERS = Sql::both("DELETE FROM webhook_filters WHERE webhook_id = $1");
    FIND = Sql::both(concat!("SELECT ", endpoint_columns!(), " FROM webhooks WHERE id = $1"));
    // PORTABILITY: SQLite has one writer, so a row needs no lock.
    LOCK = Sql::split(
        concat!("SELECT ", endpoint_columns!(), " FROM webhooks WHERE id = $1"),
        concat!("SELECT ", endpoint_columns!(), " FROM webhooks WHERE id = $1 FOR UPDATE"),
    );
    LIST = Sql::both(concat!(
        "SELECT ", endpoint_columns!(), " FROM webhooks WHERE (created_at, id) < ($1, $2)
         ORDER BY created_at DESC, id DESC LIMIT $3"
    ));
    COUNT = Sql::both("SELECT COUNT(*) FROM webhooks");
    UPDATE = Sql::both(
        "UPDATE webhooks SET url = $2, description = $3, state = $4, disabled_reason = $5, failing_since = $6,
                             updated_at = $7, version = version + 1
         WHERE id = $1 AND version = $8",
    );
    REPLACE_SECRET = Sql::both(
        "UPDATE webhooks SET secret = $2, previous_secret = $3, previous_secret_until = $4,
                             updated_at = $5, version = version + 1
         WHERE id = $1 AND version = $6",
    );
    DELETE = Sql::both("DELETE FROM webhooks WHERE id = $1");
    SUCCEEDED = Sql::both(
        "UPDATE webhooks SET failing_since = NULL WHERE id = $1 AND failing_since IS NOT NULL",
    );
    FAILED = Sql::both(
        "UPDATE webhooks SET failing_since = $2 WHERE id = $1 AND failing_since IS NULL",
    );
    DISABLE = Sql::both(
        "UPDATE webhooks SET state = 'disabled', disabled_reason = $2, updated_at = $3, version = version + 1
         WHERE id = $1 AND state = 'enabled' AND failing_since <= $4",
    );
    DUE = Sql::both(concat!(
        "SELECT ", endpoint_columns!(), " FROM webhooks
         WHERE webhooks.state = 'enabled'
           AND (EXISTS (SELECT 1 FROM webhook_messages WHERE webhook_id = webhooks.id
                          AND webhook_messages.state = 'waiting' AND due_at <= $1)
             OR EXISTS (SELECT 1 FROM webhook_messages WHERE webhook_id = webhooks.id
                          AND webhook_messages.state = 'running' AND lease_until <= $1))
         ORDER BY webhooks.id LIMIT $2"
    ));
    FORGET_SECRETS = Sql::both(
        "UPDATE webhooks SET previous_secret = NULL, previous_secret_until = NULL
         WHERE previous_secret_until <= $1",
    );
}

/// Inserts an enabled endpoint with its filter; `false` if there are `max` already.
pub async fn insert(tx: &mut Writer, endpoint: &Endpoint, max: i64) -> Result<bool, Fault> {
    let rows = execute!(
        tx,
        INSERT,
        endpoint.id,
        &endpoint.url,
        &endpoint.description,
        &endpoint.secret,
        endpoint.created_at,
        max,
    )?;
    if rows == 1 {
        add_filters(tx, endpoint).await?;
    }
    Ok(rows == 1)
}

async fn add_filters(tx: &mut Writer, endpoint: &Endpoint) -> Result<(), Fault> {
    for word in endpoint.events.words() {
        execute!(tx, ADD_FILTER, word, endpoint.id)?;
    }
    Ok(())
}

/// Finds the endpoint with this id.
pub async fn find(db: &mut impl Read, id: WebhookId) -> Result<Option<Endpoint>, Fault> {
    optional!(db, FIND, id)
}

/// Finds the endpoint with this id and keeps other changes away from it.
pub async fn lock(tx: &mut Writer, id: WebhookId) -> Result<Option<Endpoint>, Fault> {
    optional!(tx, LOCK, id)
}

/// Lists at most `limit` endpoints made before the place `(at, id)`, newest first.
pub async fn list(
    db: &mut impl Read,
    before: (Timestamp, WebhookId),
    limit: i64,
) -> Result<Vec<Endpoint>, Fault> {
    all!(db, LIST, before.0, before.1, limit)
}

/// Counts the endpoints.
pub async fn count(db: &mut impl Read) -> Result<i64, Fault> {
    let row: Option<(i64,)> = optional!(db, COUNT)?;
    Ok(row.map_or(0, |(count,)| count))
}

/// Stores what an operator decides of an endpoint, at its `updated_at`; `false` if it is not at its `version` any more.
pub async fn update(tx: &mut Writer, endpoint: &Endpoint) -> Result<bool, Fault> {
    let rows = execute!(
        tx,
        UPDATE,
        endpoint.id,
        &endpoint.url,
        &endpoint.description,
        endpoint.state.as_str(),
        &endpoint.disabled_reason,
        endpoint.failing_since,
        endpoint.updated_at,
        endpoint.version,
    )?;
    if rows == 1 {
        execute!(tx, REMOVE_FILTERS, endpoint.id)?;
        add_filters(tx, endpoint).await?;
    }
    Ok(rows == 1)
}

/// Stores both secrets of an endpoint, at its `updated_at`; `false` if it is not at its `version` any more.
pub async fn replace_secret(tx: &mut Writer, endpoint: &Endpoint) -> Result<bool, Fault> {
    let rows = execute!(
        tx,
        REPLACE_SECRET,
        endpoint.id,
        &endpoint.secret,
        &endpoint.previous_secret,
        endpoint.previous_secret_until,
        endpoint.updated_at,
        endpoint.version,
    )?;
    Ok(rows == 1)
}

/// Removes an endpoint; `false` if there is none. What waits for it is never sent, and leaves with the sweep.
pub async fn delete(tx: &mut Writer, id: WebhookId) -> Result<bool, Fault> {
    execute!(tx, REMOVE_FILTERS, id)?;
    Ok(execute!(tx, DELETE, id)? == 1)
}

/// Notes that the endpoint took a message.
pub async fn succeeded(tx: &mut Writer, id: WebhookId) -> Result<(), Fault> {
    execute!(tx, SUCCEEDED, id).map(|_rows| ())
}

/// Notes that an attempt at the endpoint failed at `at`; the first of a row of failures stays noted.
pub async fn failed(tx: &mut Writer, id: WebhookId, at: Timestamp) -> Result<(), Fault> {
    execute!(tx, FAILED, id, at).map(|_rows| ())
}

/// Disables an endpoint that has failed since `since` or longer; `false` if it has not, or is disabled already.
pub async fn disable(
    tx: &mut Writer,
    id: WebhookId,
    reason: DisabledReason,
    at: Timestamp,
    since: Timestamp,
) -> Result<bool, Fault> {
    Ok(execute!(tx, DISABLE, id, reason.as_str(), at, since)? == 1)
}

/// The enabled endpoints, at most `limit`, for which a message is due or was left by its worker.
pub async fn due(db: &mut impl Read, now: Timestamp, limit: i64) -> Result<Vec<Endpoint>, Fault> {
    all!(db, DUE, now, limit)
}

/// Forgets the former secrets that sign nothing any more; how many that were.
pub async fn forget_secrets(tx: &mut Writer, now: Timestamp) -> Result<u64, Fault> {
    execute!(tx, FORGET_SECRETS, now)
}

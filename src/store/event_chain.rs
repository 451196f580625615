//! The tables `event_chain`, `event_chain_root` and `events_unchained`: the trail's order, closed after the commit.
//!
//! Insert only, but for the prefix that the retention removes (LOG-06, LOG-10). What is appended says what it follows,
//! and a row count decides: two who close the chain at once cannot fork it.

use serde_json::Value;
use sqlx::types::Json;

use super::sql::{Sql, all, execute, optional, statements};
use super::{Read, ReadFresh, Writer};
use crate::Fault;
use crate::domain::ids::EventId;
use crate::domain::time::Timestamp;
use crate::domain::trail::{Details, Entry, Line, Recorded, Root, hex};

macro_rules! recorded_columns {
    () => {
        "event_chain.seq AS seq, event_chain.event_id AS chained_id, event_chain.prev_hash AS prev_hash,
         event_chain.hash AS hash, events.id AS id, events.at AS at, events.actor_kind AS actor_kind,
         events.actor_id AS actor_id, events.action AS action, events.subject_kind AS subject_kind,
         events.subject_id AS subject_id, events.request_id AS request_id, events.outcome AS outcome,
         events.details_hash AS details_hash, event_details.event_id AS detailed_id,
         event_details.address AS address, event_details.data AS data, event_details.hash_key AS hash_key"
    };
}
pub(super) use recorded_columns;

statements! {
    FIND_ROOT = Sql::both(
        "SELECT sealed_key, seq, hash, removed_before, mac FROM event_chain_root WHERE id = 1",
    );
    // A chain whose root was taken away gets no other: it would begin anew, as if nothing had been.
    INSERT_ROOT = Sql::both(
        "INSERT INTO event_chain_root (id, sealed_key, seq, hash, removed_before, mac)
         SELECT 1, $1, $2, $3, $4, $5
         WHERE NOT EXISTS (SELECT 1 FROM event_chain) AND NOT EXISTS (SELECT 1 FROM event_chain_root)",
    );
    MOVE_ROOT = Sql::both(
        "UPDATE event_chain_root SET seq = $2, hash = $3, removed_before = $4, mac = $5
         WHERE id = 1 AND seq = $1",
    );
    FIND_HEAD = Sql::both(
        "SELECT seq, event_id, prev_hash, hash FROM event_chain ORDER BY seq DESC LIMIT 1",
    );
    FIND_WAITING = Sql::both("SELECT event_id FROM events_unchained LIMIT 1");
    LIST_WAITING = Sql::both(
        "SELECT events.id, events.at, events.actor_kind, events.actor_id, events.action, events.subject_kind,
                events.subject_id, events.request_id, events.outcome, events.details_hash
         FROM events_unchained JOIN events ON events.id = events_unchained.event_id
         ORDER BY events_unchained.event_id LIMIT $1",
    );
    // PORTABILITY: one statement for hundreds of rows; the dialects take a JSON list apart each in its way.
    APPEND = Sql::split(
        "INSERT INTO event_chain (seq, event_id, prev_hash, hash)
         SELECT value ->> 0, unhex(value ->> 1), unhex(value ->> 2), unhex(value ->> 3) FROM json_each($1)
         WHERE $2 = COALESCE((SELECT hash FROM event_chain ORDER BY seq DESC LIMIT 1),
                             (SELECT hash FROM event_chain_root))
         ORDER BY 1",
        "INSERT INTO event_chain (seq, event_id, prev_hash, hash)
         SELECT CAST(value ->> 0 AS BIGINT), CAST(value ->> 1 AS UUID), decode(value ->> 2, 'hex'),
                decode(value ->> 3, 'hex')
         FROM jsonb_array_elements($1) AS entries (value)
         WHERE $2 = COALESCE((SELECT hash FROM event_chain ORDER BY seq DESC LIMIT 1),
                             (SELECT hash FROM event_chain_root))
         ORDER BY 1",
    );
    REMOVE_WAITING = Sql::both(
        "DELETE FROM events_unchained WHERE event_id IN
           (SELECT event_id FROM event_chain WHERE seq >= $1 AND seq <= $2)",
    );
    LIST_RECORDED = Sql::both(concat!(
        "SELECT ", recorded_columns!(), " FROM event_chain
         LEFT JOIN events ON events.id = event_chain.event_id
         LEFT JOIN event_details ON event_details.event_id = event_chain.event_id
         WHERE event_chain.seq > $1 ORDER BY event_chain.seq LIMIT $2"
    ));
    LIST_PLACES = Sql::both(
        "SELECT events.id, events.at, event_chain.seq FROM events
         LEFT JOIN event_chain ON event_chain.event_id = events.id
         WHERE events.id > $1 ORDER BY events.id LIMIT $2",
    );
    DELETE_DETAILS = Sql::both(
        "DELETE FROM event_details WHERE event_id IN (SELECT event_id FROM event_chain WHERE seq <= $1)",
    );
    DELETE_EVENTS = Sql::both(
        "DELETE FROM events WHERE id IN (SELECT event_id FROM event_chain WHERE seq <= $1)",
    );
    DELETE_ENTRIES = Sql::both("DELETE FROM event_chain WHERE seq <= $1");
}

/// Finds where the chain begins; nobody has closed it yet where there is none.
pub async fn find_root(db: &mut impl ReadFresh) -> Result<Option<Root>, Fault> {
    optional!(db, FIND_ROOT)
}

/// Begins a chain; `false` if there is one, or what is left of one.
pub async fn insert_root(tx: &mut Writer, root: &Root) -> Result<bool, Fault> {
    let rows = execute!(
        tx,
        INSERT_ROOT,
        &root.sealed_key,
        root.seq,
        &root.hash,
        root.removed_before,
        &root.mac,
    )?;
    Ok(rows == 1)
}

/// Finds the last entry.
pub async fn find_head(db: &mut impl ReadFresh) -> Result<Option<Entry>, Fault> {
    optional!(db, FIND_HEAD)
}

/// Tells whether an event waits for its entry.
pub async fn is_waiting(db: &mut impl Read) -> Result<bool, Fault> {
    let row: Option<(EventId,)> = optional!(db, FIND_WAITING)?;
    Ok(row.is_some())
}

/// Lists at most `limit` events that wait for their entries.
pub async fn list_waiting(db: &mut impl ReadFresh, limit: i64) -> Result<Vec<Line>, Fault> {
    all!(db, LIST_WAITING, limit)
}

/// Appends `entries`, which follow the hash `after`; `false` if somebody else went on from there.
pub async fn append(tx: &mut Writer, after: &[u8], entries: &[Entry]) -> Result<bool, Fault> {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(true) };
    let row = |entry: &Entry| {
        let hashes = (hex(&entry.prev_hash), hex(&entry.hash));
        (entry.seq, entry.event_id.0.simple().to_string(), hashes.0, hashes.1)
    };
    let rows: Vec<_> = entries.iter().map(row).collect();
    let appended = execute!(tx, APPEND, Json(rows), after)?;
    if appended == 0 {
        return Ok(false);
    }
    execute!(tx, REMOVE_WAITING, first.seq, last.seq)?;
    Ok(true)
}

/// Lists at most `limit` entries behind the place `seq`, with what is left of their events.
pub async fn list_recorded(
    db: &mut impl Read,
    seq: i64,
    limit: i64,
) -> Result<Vec<Recorded>, Fault> {
    let rows: Vec<RecordedRow> = all!(db, LIST_RECORDED, seq, limit)?;
    Ok(rows.into_iter().map(Recorded::from).collect())
}

/// An event, its time, and its place in the chain.
pub type Place = (EventId, Timestamp, Option<i64>);

/// Lists at most `limit` events behind the id `after`, each with its place in the chain.
pub async fn list_places(
    db: &mut impl ReadFresh,
    after: EventId,
    limit: i64,
) -> Result<Vec<Place>, Fault> {
    all!(db, LIST_PLACES, after, limit)
}

/// Moves the root from the place `from` on to `root` and removes all up to there; `false` if it was moved before.
pub async fn remove_until(tx: &mut Writer, from: i64, root: &Root) -> Result<bool, Fault> {
    // First, because the triggers let go only what lies behind it.
    let values = (root.seq, &root.hash, root.removed_before, &root.mac);
    let moved = execute!(tx, MOVE_ROOT, from, values.0, values.1, values.2, values.3)?;
    if moved == 0 {
        return Ok(false);
    }
    execute!(tx, DELETE_DETAILS, root.seq)?;
    execute!(tx, DELETE_EVENTS, root.seq)?;
    execute!(tx, DELETE_ENTRIES, root.seq)?;
    Ok(true)
}

/// A row of `recorded_columns!`.
#[derive(sqlx::FromRow)]
pub(super) struct RecordedRow {
    seq: Option<i64>,
    chained_id: Option<EventId>,
    prev_hash: Option<Vec<u8>>,
    hash: Option<Vec<u8>>,
    id: Option<EventId>,
    at: Option<Timestamp>,
    actor_kind: Option<String>,
    actor_id: Option<String>,
    action: Option<String>,
    subject_kind: Option<String>,
    subject_id: Option<String>,
    request_id: Option<String>,
    outcome: Option<String>,
    details_hash: Option<Vec<u8>>,
    detailed_id: Option<EventId>,
    address: Option<String>,
    data: Option<Json<Value>>,
    hash_key: Option<Vec<u8>>,
}

impl From<RecordedRow> for Recorded {
    fn from(row: RecordedRow) -> Self {
        let details = row.detailed_id.map(|_is_there| Details {
            address: row.address,
            data: row.data.map_or(Value::Null, |data| data.0),
            hash_key: row.hash_key,
        });
        let entry = row.seq.zip(row.chained_id).map(|(seq, event_id)| Entry {
            seq,
            event_id,
            prev_hash: row.prev_hash.unwrap_or_default(),
            hash: row.hash.unwrap_or_default(),
        });
        // The other columns are NOT NULL: they are there if the event is.
        let line = row.id.zip(row.at).map(|(id, at)| Line {
            id,
            at,
            actor_kind: row.actor_kind.unwrap_or_default(),
            actor_id: row.actor_id,
            action: row.action.unwrap_or_default(),
            subject_kind: row.subject_kind.unwrap_or_default(),
            subject_id: row.subject_id.unwrap_or_default(),
            request_id: row.request_id,
            outcome: row.outcome.unwrap_or_default(),
            details_hash: row.details_hash.unwrap_or_default(),
        });
        Self { entry, line, details }
    }
}

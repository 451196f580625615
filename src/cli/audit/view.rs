//! An event as `audit list` and `audit export` show it.

use serde::Serialize;
use serde_json::Value;

use super::{EventId, Recorded, Timestamp, hex};

/// One event with its place in the chain, as JSON.
#[derive(Serialize)]
pub(super) struct RecordView {
    pub(super) seq: Option<i64>,
    prev_hash: Option<String>,
    hash: Option<String>,
    pub(super) id: EventId,
    at: Timestamp,
    actor: Party,
    pub(super) action: String,
    subject: Party,
    request_id: Option<String>,
    outcome: String,
    details_hash: String,
    details: Option<DetailsView>,
}

#[derive(Serialize)]
struct Party {
    kind: String,
    id: Option<String>,
}

#[derive(Serialize)]
struct DetailsView {
    address: Option<String>,
    data: Value,
    hash_key: Option<String>,
}

impl RecordView {
    /// The view of an event; none where only its entry is left.
    pub(super) fn new(recorded: Recorded) -> Option<Self> {
        let line = recorded.line?;
        let entry = recorded.entry.as_ref();
        let details = recorded.details.map(|details| DetailsView {
            address: details.address,
            data: details.data,
            hash_key: details.hash_key.map(|key| hex(&key)),
        });
        Some(Self {
            seq: entry.map(|entry| entry.seq),
            prev_hash: entry.map(|entry| hex(&entry.prev_hash)),
            hash: entry.map(|entry| hex(&entry.hash)),
            id: line.id,
            at: line.at,
            actor: Party { kind: line.actor_kind, id: line.actor_id },
            action: line.action,
            subject: Party { kind: line.subject_kind, id: Some(line.subject_id) },
            request_id: line.request_id,
            outcome: line.outcome,
            details_hash: hex(&line.details_hash),
            details,
        })
    }

    /// The row of a table for people.
    pub(super) fn row(&self) -> [String; 8] {
        let dash = || "-".to_owned();
        let details = self.details.as_ref();
        [
            self.id.to_string(),
            self.at.to_string(),
            self.action.clone(),
            self.actor.text(),
            self.subject.text(),
            details.and_then(|it| it.address.clone()).unwrap_or_else(dash),
            self.request_id.clone().unwrap_or_else(dash),
            details.map_or_else(|| "(erased)".to_owned(), |it| it.data.to_string()),
        ]
    }
}

impl Party {
    fn text(&self) -> String {
        self.id.as_ref().map_or_else(|| self.kind.clone(), |id| format!("{}:{id}", self.kind))
    }
}

//! What must be true of each entry of the chain, held one after the other in constant memory.

use std::fmt;

use crate::crypto::chain::{self, ChainKey};
use crate::domain::ids::EventId;
use crate::domain::trail::{Recorded, Root};

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The root of the chain is missing, or the service did not write it.
    Root,
    /// The event is not the one that the entry was made for, or the entry was changed.
    Altered,
    /// The event of an entry is gone.
    EventMissing,
    /// Entries are gone before this one.
    EntriesMissing,
    /// The entry does not follow the one before it.
    Unlinked,
    /// The details are not those that the event was written with.
    DetailsAltered,
    /// An event has no entry.
    Unchained,
    /// The entry is not the one that was noted elsewhere, or it is not there.
    NotExpected,
}

/// A row that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub wrong: Wrong,
    /// The place in the chain.
    pub seq: Option<i64>,
    /// The event.
    pub event: Option<EventId>,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "the root of the chain is missing or forged",
            Self::Altered => "the event or its entry was altered",
            Self::EventMissing => "the event was removed",
            Self::EntriesMissing => "entries were removed before this one",
            Self::Unlinked => "the entry does not follow the one before it",
            Self::DetailsAltered => "the details of the event were altered",
            Self::Unchained => "the event has no entry in the chain",
            Self::NotExpected => "the entry is not the one that was noted",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.seq.map_or(Ok(()), |seq| write!(f, "seq {seq}, "))?;
        self.event.map_or(Ok(()), |event| write!(f, "event {event}: "))?;
        write!(f, "{}", self.wrong)
    }
}

/// Stands between two entries and looks at the next.
pub(super) struct Checker {
    key: ChainKey,
    /// The entry before.
    pub(super) seq: i64,
    /// Its hash.
    pub(super) hash: Vec<u8>,
}

impl Checker {
    /// Stands at the root of the chain; `None` if the service did not write it.
    pub(super) fn at(key: ChainKey, root: &Root) -> Option<Self> {
        let is_own =
            chain::is_same(&root.mac, &key.root(root.seq, &root.hash, root.removed_before));
        is_own.then(|| Self { key, seq: root.seq, hash: root.hash.clone() })
    }

    /// The key of the chain.
    pub(super) fn key(&self) -> &ChainKey {
        &self.key
    }

    /// Looks at the next entry and steps behind it; all that is wrong with it.
    pub(super) fn step(&mut self, recorded: &Recorded) -> Vec<Finding> {
        let Some(entry) = &recorded.entry else { return Vec::new() };
        let mut wrong = Vec::new();
        if entry.seq != self.seq + 1 {
            wrong.push(Wrong::EntriesMissing);
        } else if entry.prev_hash != self.hash {
            wrong.push(Wrong::Unlinked);
        }
        match &recorded.line {
            None => wrong.push(Wrong::EventMissing),
            Some(line) => {
                // By the hash that stands there: one altered row is one finding, not one and all behind it.
                let hash = self.key.entry(entry.seq, &entry.prev_hash, line);
                if !chain::is_same(&entry.hash, &hash) {
                    wrong.push(Wrong::Altered);
                }
                let details = recorded.details.as_ref();
                if details.is_some_and(|it| !chain::are_details(it, &line.details_hash)) {
                    wrong.push(Wrong::DetailsAltered);
                }
            }
        }
        self.seq = entry.seq;
        self.hash.clone_from(&entry.hash);
        let named = |wrong| Finding { wrong, seq: Some(entry.seq), event: Some(entry.event_id) };
        wrong.into_iter().map(named).collect()
    }
}

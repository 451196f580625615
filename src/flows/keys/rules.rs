//! The rules of signing keys, on rows in memory: who signs, who waits, who leaves (ADR 0010).

use std::time::Duration;

use super::KeysError;
use crate::Fault;
use crate::domain::event::Action;
use crate::domain::keys::{KeyState, SigningAlgorithm, StoredKey};
use crate::domain::time::Timestamp;
use crate::store::signing_keys::KeyRow;

/// LIMIT: what a former key stays beyond the last token it signed: 30 s until every instance has read the table
/// again, 60 s of leeway at foreign verifiers (api.md §3).
const AFTERLIFE: Duration = Duration::from_secs(90);

/// The rows as they are at one moment.
pub(super) struct Table {
    pub(super) rows: Vec<KeyRow>,
    pub(super) now: Timestamp,
}

impl Table {
    fn newest(&mut self, is: impl Fn(&StoredKey, KeyState) -> bool) -> Option<&mut KeyRow> {
        let now = self.now;
        let rows = self.rows.iter_mut().filter(|row| is(&row.key, row.key.state(now)));
        rows.max_by_key(|row| (row.key.signs_at, row.key.announced_at))
    }

    pub(super) fn signing(&mut self) -> Option<&mut KeyRow> {
        self.newest(|_, state| state == KeyState::Signing)
    }

    /// The successor that nobody has called yet.
    pub(super) fn idle(&mut self) -> Option<&mut KeyRow> {
        self.newest(|key, state| state == KeyState::Announced && key.signs_at.is_none())
    }

    /// The successor that has been called and waits for its time.
    fn pending(&mut self) -> Option<&mut KeyRow> {
        self.newest(|key, state| state == KeyState::Announced && key.signs_at.is_some())
    }
}

/// The rules, on rows in memory.
pub(super) struct Keys<'a> {
    pub(super) table: &'a mut Table,
    /// Today's algorithm.
    pub(super) algorithm: SigningAlgorithm,
    /// How long a key is announced before it signs.
    pub(super) announce: Duration,
    /// Today's life of an access token, in seconds.
    pub(super) lifetime_s: i64,
    /// New keys for places that turn out to be empty.
    pub(super) spare: std::slice::Iter<'a, KeyRow>,
    /// What was done, for the trail.
    pub(super) made: Vec<(String, Action)>,
}

impl Keys<'_> {
    fn note(&mut self, kid: String, action: Action) {
        self.made.push((kid, action));
    }

    fn announce_new(&mut self, signs_at: Option<Timestamp>) -> Result<(), Fault> {
        let spare =
            self.spare.next().ok_or_else(|| Fault::unavailable("the keys changed meanwhile"))?;
        let mut row = spare.clone();
        row.key.signs_at = signs_at;
        self.note(row.key.kid.clone(), Action::KeyAnnounced);
        self.table.rows.push(row);
        Ok(())
    }

    /// The signing key stops at `at`, and leaves once its last token is dead.
    fn retire_signing(&mut self, at: Timestamp) {
        if let Some(row) = self.table.signing() {
            row.key.retires_at = Some(at);
            row.key.gone_at = Some(gone_after(at, row.lifetime_max_s));
        }
    }

    /// The signing key goes on after all: what was to follow it is gone.
    fn keep_signing(&mut self) {
        if let Some(row) = self.table.signing() {
            row.key.retires_at = None;
            row.key.gone_at = None;
        }
    }

    /// Calls the idle successor, which signs once it was announced for long enough.
    fn call_idle(&mut self, announce: Duration) -> bool {
        let now = self.table.now;
        let Some(row) = self.table.idle() else { return false };
        let at = row.key.announced_at.plus(announce).max(now);
        let kid = row.key.kid.clone();
        // The old key retires first: once the new one has its time, it may be the signing one itself.
        self.retire_signing(at);
        if let Some(row) = self.table.rows.iter_mut().find(|row| row.key.kid == kid) {
            row.key.signs_at = Some(at);
        }
        self.note(kid, Action::KeyRotated);
        true
    }

    pub(super) fn rotate(&mut self) -> Result<(), KeysError> {
        if self.table.pending().is_some() {
            return Err(KeysError::Conflict("a key waits for its time to sign"));
        }
        if !self.call_idle(self.announce) {
            return Err(Fault::unavailable("there is no successor").into());
        }
        Ok(())
    }

    pub(super) fn revoke(&mut self, kid: &str) -> Result<(), KeysError> {
        let now = self.table.now;
        let row = self.table.rows.iter_mut().find(|row| row.key.kid == kid);
        let row = row.ok_or(KeysError::NotFound)?;
        let state = row.key.state(now);
        let was_pending = state == KeyState::Announced && row.key.signs_at.is_some();
        match state {
            KeyState::Revoked => return Err(KeysError::Conflict("the key is revoked already")),
            KeyState::Gone => return Err(KeysError::Conflict("the key is gone already")),
            KeyState::Announced | KeyState::Signing | KeyState::Retiring => {}
        }
        row.key.revoked_at = Some(now);
        self.note(kid.to_owned(), Action::KeyRevoked);
        if was_pending {
            self.keep_signing();
        }
        Ok(())
    }

    pub(super) fn import(&mut self, row: &KeyRow, signs_at: Timestamp) -> Result<(), KeysError> {
        if self.table.rows.iter().any(|known| known.key.kid == row.key.kid) {
            return Err(KeysError::Conflict("the key is known already"));
        }
        if self.table.pending().is_some() {
            return Err(KeysError::Conflict("a key waits for its time to sign"));
        }
        self.dismiss_idle();
        self.retire_signing(signs_at);
        let mut row = row.clone();
        row.key.signs_at = Some(signs_at);
        self.note(row.key.kid.clone(), Action::KeyImported);
        self.table.rows.push(row);
        Ok(())
    }

    /// A successor that never signed leaves at once.
    fn dismiss_idle(&mut self) {
        let now = self.table.now;
        if let Some(row) = self.table.idle() {
            row.key.gone_at = Some(now);
        }
    }

    /// What holds after every change: one key signs, one idle successor of today's algorithm is announced.
    pub(super) fn care(&mut self) -> Result<(), Fault> {
        let (now, algorithm) = (self.table.now, self.algorithm);
        if self.table.signing().is_none() {
            self.replace_signing()?;
        }
        if self.table.pending().is_some_and(|row| row.key.algorithm != algorithm) {
            if let Some(row) = self.table.pending() {
                row.key.gone_at = Some(now);
            }
            self.keep_signing();
        }
        if self.table.idle().is_some_and(|row| row.key.algorithm != algorithm) {
            self.dismiss_idle();
        }
        let is_of_today = self.table.signing().is_some_and(|row| row.key.algorithm == algorithm);
        if !is_of_today && self.table.pending().is_none() {
            if self.table.idle().is_none() {
                self.announce_new(None)?;
            }
            self.call_idle(self.announce);
        }
        if self.table.idle().is_none() {
            self.announce_new(None)?;
        }
        let lifetime_s = self.lifetime_s;
        if let Some(row) = self.table.signing().filter(|row| row.lifetime_max_s < lifetime_s) {
            row.lifetime_max_s = lifetime_s;
            row.key.gone_at = row.key.retires_at.map(|at| gone_after(at, lifetime_s));
        }
        Ok(())
    }

    /// No key signs: the called successor does now, else the idle one, else a new one.
    fn replace_signing(&mut self) -> Result<(), Fault> {
        let now = self.table.now;
        if self.table.pending().is_none() && self.table.idle().is_none() {
            return self.announce_new(Some(now));
        }
        let row =
            if self.table.pending().is_some() { self.table.pending() } else { self.table.idle() };
        if let Some(row) = row {
            row.key.signs_at = Some(now);
            let kid = row.key.kid.clone();
            self.note(kid, Action::KeyRotated);
        }
        Ok(())
    }
}

fn gone_after(retires_at: Timestamp, lifetime_s: i64) -> Timestamp {
    let lifetime = Duration::from_secs(u64::try_from(lifetime_s).unwrap_or(0));
    retires_at.plus(lifetime).plus(AFTERLIFE)
}

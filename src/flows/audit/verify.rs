//! Verifying the trail, page by page, while others write, erase and remove (LOG-11).

use std::time::Duration;

use super::check::{Checker, Finding, Wrong};
use super::close;
use crate::Fault;
use crate::app::App;
use crate::crypto::chain::ChainKey;
use crate::domain::ids::EventId;
use crate::domain::time::Timestamp;
use crate::domain::trail::{Recorded, Root};
use crate::store::event_chain;

/// LIMIT: entries a page: about a megabyte in memory.
const PAGE: i64 = 1000;
/// LIMIT: events a page of the second walk, which has ids only.
const PLACES: i64 = 5000;
/// LIMIT: findings that are kept; the rest is counted.
const FINDINGS_MAX: usize = 100;
/// LIMIT: the chain is closed about once a second; an event that is younger may wait for it.
const GRACE: Duration = Duration::from_mins(1);

/// An entry that was noted outside of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its place.
    pub seq: i64,
    /// Its hash.
    pub hash: Vec<u8>,
}

/// What a verification found.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// Entries that were looked at.
    pub entries: u64,
    /// Events whose details are erased.
    pub erased: u64,
    /// The last entry that the retention removed.
    pub removed: i64,
    /// The last entry.
    pub head_seq: i64,
    /// Its hash.
    pub head_hash: Vec<u8>,
    /// The first of what is wrong.
    pub findings: Vec<Finding>,
    /// How much is wrong in all.
    pub wrong: u64,
}

impl Verified {
    fn add(&mut self, finding: Finding) {
        self.wrong += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }
}

/// Closes the chain over what waits, then recomputes it and looks for events without a place.
pub async fn verify(app: &App, expected: Option<&Expected>) -> Result<Verified, Fault> {
    let mut verified = Verified::default();
    // Where nobody serves, nobody else does. A failure is told unless the cause is found.
    let closed = close::close_all(app).await;
    let began = app.clock.now();
    match start(app).await? {
        Some(Some(mut checker)) => {
            verified.removed = checker.seq;
            walk(app, &mut checker, expected, &mut verified).await?;
            (verified.head_seq, verified.head_hash) = (checker.seq, checker.hash);
        }
        Some(None) => verified.add(Finding { wrong: Wrong::Root, seq: None, event: None }),
        None => {}
    }
    if let Some(expected) = expected
        && expected.seq > verified.head_seq
    {
        verified.add(Finding { wrong: Wrong::NotExpected, seq: Some(expected.seq), event: None });
    }
    find_unchained(app, began, &mut verified).await?;
    if verified.wrong == 0 {
        closed?;
    }
    Ok(verified)
}

/// Stands at the root: nothing where there is no chain, `Some(None)` where the root is gone or forged.
async fn start(app: &App) -> Result<Option<Option<Checker>>, Fault> {
    let mut db = app.store.read().await?;
    match event_chain::find_root(&mut db).await? {
        Some(root) => Ok(Some(open(app, &root))),
        None => Ok(event_chain::find_head(&mut db).await?.map(|_orphan| None)),
    }
}

fn open(app: &App, root: &Root) -> Option<Checker> {
    Checker::at(ChainKey::open(&app.sealer, &root.sealed_key).ok()?, root)
}

async fn walk(
    app: &App,
    checker: &mut Checker,
    expected: Option<&Expected>,
    verified: &mut Verified,
) -> Result<(), Fault> {
    loop {
        let page = {
            let mut db = app.store.read().await?;
            event_chain::list_recorded(&mut db, checker.seq, PAGE).await?
        };
        if page.is_empty() {
            return Ok(());
        }
        let first = page.first().and_then(|it| it.entry.as_ref());
        if first.is_some_and(|first| first.seq != checker.seq + 1)
            && let Some(Some(moved)) = start(app).await?
            && moved.seq > checker.seq
        {
            // The retention came by: the chain goes on behind its new root.
            *checker = moved;
            verified.removed = checker.seq;
            continue;
        }
        for recorded in &page {
            look(checker, recorded, expected, verified);
        }
    }
}

fn look(
    checker: &mut Checker,
    recorded: &Recorded,
    expected: Option<&Expected>,
    verified: &mut Verified,
) {
    for finding in checker.step(recorded) {
        verified.add(finding);
    }
    verified.entries += 1;
    verified.erased += u64::from(recorded.details.is_none());
    if let Some(expected) = expected
        && expected.seq == checker.seq
        && expected.hash != checker.hash
    {
        let event = recorded.entry.as_ref().map(|entry| entry.event_id);
        verified.add(Finding { wrong: Wrong::NotExpected, seq: Some(checker.seq), event });
    }
}

async fn find_unchained(app: &App, began: Timestamp, verified: &mut Verified) -> Result<(), Fault> {
    let late = began.minus(GRACE);
    let mut after = EventId(uuid::Uuid::nil());
    loop {
        let page = {
            let mut db = app.store.read().await?;
            event_chain::list_places(&mut db, after, PLACES).await?
        };
        let Some((last, _, _)) = page.last() else { return Ok(()) };
        after = *last;
        for (event, at, seq) in page {
            if seq.is_none() && at <= late {
                verified.add(Finding { wrong: Wrong::Unchained, seq: None, event: Some(event) });
            }
        }
    }
}

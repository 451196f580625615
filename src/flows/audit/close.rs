//! Closing the chain: events that were committed get their places, a moment later and in an order of its own (LOG-11).
//!
//! The hashes are taken outside of any transaction; what is written is one statement that says what it follows. So no
//! change waits for the chain, and two who close it at once cannot fork it.

use crate::Fault;
use crate::app::App;
use crate::crypto::chain::ChainKey;
use crate::domain::time::Timestamp;
use crate::domain::trail::{Entry, GENESIS, Line, Root};
use crate::store::{Writer, event_chain};

/// LIMIT: entries a batch: some 100 KiB, some milliseconds of the database's time.
const ENTRIES: i64 = 500;

struct Closing {
    after: Vec<u8>,
    entries: Vec<Entry>,
}

/// Tells whether an event waits for its place.
pub async fn is_waiting(app: &App) -> Result<bool, Fault> {
    event_chain::is_waiting(&mut app.store.read().await?).await
}

/// Gives one batch of events their places; `true` if more may wait.
pub async fn close(app: &App) -> Result<bool, Fault> {
    let mut db = app.store.read().await?;
    let root = event_chain::find_root(&mut db).await?;
    // The head first: what somebody else appends after it makes this batch void, not wrong.
    let head = event_chain::find_head(&mut db).await?;
    let waiting = event_chain::list_waiting(&mut db, ENTRIES).await?;
    drop(db);
    if waiting.is_empty() {
        return Ok(false);
    }
    let Some(root) = root else {
        begin(app).await?;
        return Ok(true);
    };
    let key = ChainKey::open(&app.sealer, &root.sealed_key)?;
    let (seq, after) = head.map_or((root.seq, root.hash), |head| (head.seq, head.hash));
    let entries = entries(&key, (seq, &after), &waiting);
    let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
    let closing = Closing { after, entries };
    if app.store.write(closing, |tx, new| Box::pin(append(tx, new))).await? {
        metrics::counter!("portcullis_audit_chained_total").increment(count);
        return Ok(i64::try_from(count).is_ok_and(|count| count == ENTRIES));
    }
    Ok(true)
}

/// Closes the chain over everything that waits now.
pub async fn close_all(app: &App) -> Result<(), Fault> {
    while close(app).await? {}
    Ok(())
}

fn entries(key: &ChainKey, (mut seq, after): (i64, &[u8]), lines: &[Line]) -> Vec<Entry> {
    let mut prev_hash = after.to_vec();
    let next = |line: &Line| {
        seq += 1;
        let hash = key.entry(seq, &prev_hash, line).to_vec();
        let prev_hash = std::mem::replace(&mut prev_hash, hash.clone());
        Entry { seq, event_id: line.id, prev_hash, hash }
    };
    lines.iter().map(next).collect()
}

async fn append(tx: &mut Writer, new: &Closing) -> Result<bool, Fault> {
    event_chain::append(tx, &new.after, &new.entries).await
}

/// Draws the key of a chain that nobody has closed before.
async fn begin(app: &App) -> Result<(), Fault> {
    let key = ChainKey::generate(&app.random);
    let removed_before = Timestamp::from_micros(0);
    let root = Root {
        sealed_key: key.seal(&app.sealer)?,
        seq: 0,
        hash: GENESIS.to_vec(),
        removed_before,
        mac: key.root(0, &GENESIS, removed_before).to_vec(),
    };
    let begun = app.store.write(root, |tx, root| Box::pin(event_chain::insert_root(tx, root)));
    if begun.await? || event_chain::find_root(&mut app.store.read().await?).await?.is_some() {
        return Ok(());
    }
    // SECURITY: LOG-11. No chain begins behind the back of another.
    Err(Fault::internal("the audit chain has lost its root; portcullis audit verify tells more"))
}

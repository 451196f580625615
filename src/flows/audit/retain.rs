//! The retention: the oldest entries leave with their events, and the root of the chain moves behind them (LOG-10).

use super::check::Checker;
use crate::Fault;
use crate::app::App;
use crate::crypto::chain::ChainKey;
use crate::domain::trail::{Recorded, Root};
use crate::store::{Writer, event_chain};

/// LIMIT: entries a batch, each with an event and its details.
const ENTRIES: i64 = 200;

struct Removing {
    from: i64,
    root: Root,
}

/// Removes one batch of what is older than `audit.retention`; `true` if there may be more.
///
/// What is removed was verified once more: what was tampered with stays, for whoever looks into it.
pub async fn remove_old(app: &App) -> Result<bool, Fault> {
    let Some(retention) = app.settings.audit_retention else { return Ok(false) };
    let before = app.clock.now().minus(retention);
    let mut db = app.store.read().await?;
    let Some(old) = event_chain::find_root(&mut db).await? else { return Ok(false) };
    let page = event_chain::list_recorded(&mut db, old.seq, ENTRIES).await?;
    drop(db);
    let key = ChainKey::open(&app.sealer, &old.sealed_key)?;
    let mut checker = Checker::at(key, &old)
        .ok_or_else(|| Fault::internal("the root of the audit chain is not the service's own"))?;
    // A prefix: the first that is young enough keeps everything behind it.
    let is_old = |it: &&Recorded| it.line.as_ref().is_none_or(|line| line.at < before);
    let mut count = 0;
    for recorded in page.iter().take_while(is_old) {
        if let Some(finding) = checker.step(recorded).first() {
            return Err(Fault::internal(format!("the audit trail is not removed: {finding}")));
        }
        count += 1;
    }
    if count == 0 {
        return Ok(false);
    }
    let removed_before = old.removed_before.max(before);
    let (seq, hash) = (checker.seq, checker.hash.clone());
    let mac = checker.key().root(seq, &hash, removed_before).to_vec();
    let root = Root { seq, hash, removed_before, mac, sealed_key: old.sealed_key };
    let removing = Removing { from: old.seq, root };
    app.store.write(removing, |tx, it| Box::pin(remove(tx, it))).await?;
    Ok(count == ENTRIES)
}

async fn remove(tx: &mut Writer, it: &Removing) -> Result<bool, Fault> {
    event_chain::remove_until(tx, it.from, &it.root).await
}

//! Brings what is held in line with the schema: a field that became `unique` gets its holders, one that is it no more
//! frees its values.
//!
//! It runs beside everything else, in small changes, and again and again: an instance with the schema of yesterday may
//! still be writing. Two at the same time do each other no harm, because the row count decides here too. An account
//! that lost to another keeps its value in its profile, and holds nothing (ADR 0015).

use std::sync::Arc;

use crate::Fault;
use crate::app::App;
use crate::domain::ids::UserId;
use crate::domain::profile::ProfileSchema;
use crate::flows::check_profiles::Winners;
use crate::flows::unique;
use crate::store::unique_values::{self, USERNAME};
use crate::store::{Writer, users};

/// LIMIT: ours; a change of so few rows keeps nobody waiting.
const BATCH: usize = 50;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Values that have a holder now.
    pub claimed: u64,
    /// Values of fields that are `unique` no more.
    pub released: u64,
    /// How often a value is in an account that does not hold it, because another does.
    pub clashes: u64,
}

/// Gives each value of a `unique` field its holder, and frees what nobody needs to hold.
pub async fn settle_values(app: &App) -> Result<Settled, Fault> {
    let released = release(app).await?;
    let winners = Arc::new(Winners::find(app, &app.schema).await?);
    let mut claimed = 0;
    // What is held for nothing is freed first.
    let mut ids: Vec<UserId> = winners.outdated.iter().copied().collect();
    ids.extend(winners.waiting());
    for ids in ids.chunks(BATCH) {
        // In the order of their ids, as far as two instances meet.
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let (winners, schema) = (Arc::clone(&winners), Arc::clone(&app.schema));
        let change = Claiming { ids, winners, schema };
        claimed += app.store.write(change, |tx, change| Box::pin(claim(tx, change))).await?;
    }
    Ok(Settled { claimed, released, clashes: winners.clashes })
}

struct Claiming {
    ids: Vec<UserId>,
    winners: Arc<Winners>,
    schema: Arc<ProfileSchema>,
}

async fn claim(tx: &mut Writer, change: &Claiming) -> Result<u64, Fault> {
    let mut claimed = 0;
    for id in &change.ids {
        // What it was is asked again: the account may have changed since it was seen.
        let Some(user) = users::lock(tx, *id).await? else { continue };
        if user.email_verified_at.is_none() {
            continue;
        }
        let values = unique::of_profile(&change.schema, &user.profile);
        let mut held = unique_values::list_held_by(tx, (*id, *id)).await?;
        for row in &held {
            if row.field != USERNAME && values.get(&row.field) != Some(&row.value_canonical) {
                // Of a time when the field was not `unique`, and the value moved on.
                unique_values::release(tx, &row.field, *id).await?;
            }
        }
        held.retain(|row| values.get(&row.field) == Some(&row.value_canonical));
        for (field, value) in &values {
            let is_held = held.iter().any(|row| row.field == *field);
            if !is_held && change.winners.keeps(*id, field, value) {
                claimed += u64::from(unique::take(tx, field, value, *id).await?);
            }
        }
    }
    Ok(claimed)
}

async fn release(app: &App) -> Result<u64, Fault> {
    let declared = app.schema.unique_fields();
    let (mut released, mut after) = (0, String::new());
    loop {
        let field = {
            let mut db = app.store.read().await?;
            unique_values::find_next_field(&mut db, &after).await?
        };
        let Some(field) = field else { return Ok(released) };
        if field != USERNAME && !declared.contains(&field) {
            let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
            let some = app.store.write((field.clone(), limit), |tx, (field, limit)| {
                Box::pin(unique_values::release_some(tx, field, *limit))
            });
            let rows = some.await?;
            released += rows;
            if rows > 0 {
                continue;
            }
        }
        after = field;
    }
}

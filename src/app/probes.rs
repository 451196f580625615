//! How the parts of an instance are: what `/health/ready` asks, and the gauges of `/metrics`.

use std::sync::Arc;

use metrics::gauge;

use super::App;
use crate::Fault;
use crate::http::health::{Check, Health, Probe};
use crate::store::jobs;

/// LIMIT: due jobs that wait longer than this degrade an instance: a mail should be there by then.
const OUTBOX_LATE_S: i64 = 300;

/// All probes of an instance.
pub(super) fn all(app: &Arc<App>) -> Vec<Probe> {
    vec![
        probe(app, "store", true, |app| Box::pin(async move { store(&app).await })),
        probe(app, "keys", true, |app| Box::pin(async move { keys(&app) })),
        probe(app, "hashing", false, |app| Box::pin(async move { hashing(&app) })),
        probe(app, "outbox", false, |app| Box::pin(async move { outbox(&app).await })),
    ]
}

type Ask = fn(Arc<App>) -> crate::http::health::Probing;

fn probe(app: &Arc<App>, name: &'static str, is_critical: bool, ask: Ask) -> Probe {
    let app = Arc::clone(app);
    Probe { name, is_critical, ask: Arc::new(move || ask(Arc::clone(&app))) }
}

async fn store(app: &App) -> Check {
    let pool = app.store.pool_stats();
    // The schema is read, not only the connection tried: a database that was emptied is not ready.
    let status = match app.store.schema().await {
        Ok(state) if state.pending == 0 && state.allows(super::open::VERSION) => Health::Ok,
        Ok(_) | Err(_) => Health::Unavailable,
    };
    Check::new(status)
        .with("connections", pool.connections.into())
        .with("idle", pool.idle.into())
        .with("max", pool.max.into())
}

fn keys(app: &App) -> Check {
    let now = app.clock.now();
    let published = i64::try_from(app.keys.ring.public(now).len()).unwrap_or(i64::MAX);
    let status = match (app.keys.ring.signing(now), app.keys.ring.needs_care(now)) {
        (None, _) => Health::Unavailable,
        (Some(_), true) => Health::Degraded,
        (Some(_), false) => Health::Ok,
    };
    Check::new(status).with("published", published)
}

fn hashing(app: &App) -> Check {
    let pool = app.hasher.stats();
    let (queued, max) = (count(pool.queued), count(pool.queue_max));
    let status = if queued >= max { Health::Degraded } else { Health::Ok };
    Check::new(status).with("queued", queued).with("queue_max", max)
}

async fn outbox(app: &App) -> Check {
    let Ok((backlog, late_s)) = backlog(app).await else { return Check::new(Health::Unavailable) };
    let status = if late_s > OUTBOX_LATE_S { Health::Degraded } else { Health::Ok };
    Check::new(status).with("backlog", backlog).with("oldest_due_s", late_s)
}

async fn backlog(app: &App) -> Result<(i64, i64), Fault> {
    let now = app.clock.now();
    let mut db = app.store.read_stale().await?;
    let (backlog, oldest) = jobs::backlog(&mut db, now).await?;
    let late = oldest.map_or(0, |oldest| now.since(oldest).as_secs());
    Ok((backlog, i64::try_from(late).unwrap_or(i64::MAX)))
}

/// Sets the gauges that nobody moves while the service works.
pub(super) fn gauges(app: &App) {
    let pool = app.store.pool_stats();
    gauge!("portcullis_store_connections").set(pool.connections);
    gauge!("portcullis_store_connections_idle").set(pool.idle);
    gauge!("portcullis_store_connections_max").set(pool.max);
    let stats = app.hasher.stats();
    gauge!("portcullis_hash_running").set(number(stats.running));
    gauge!("portcullis_hash_queue_max").set(number(stats.queue_max));
    gauge!("portcullis_hash_threads").set(number(stats.threads));
    let published = app.keys.ring.public(app.clock.now()).len();
    gauge!("portcullis_keys_published").set(number(published));
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Gauges are floats; these are small.
fn number(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

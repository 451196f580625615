//! The life of signing keys: a successor is always announced, so that even an emergency rotation signs with a key
//! that every verifier has (JWT-12). All changes hold the lock of the table.

mod rules;

use std::time::Duration;

use portcullis_verify::{JwkSet, KeySet};
use serde_json::Map;
use tokio::time::Instant;

use rules::{Keys, Table};

use crate::Fault;
use crate::app::{App, Verifying};
use crate::crypto::keyring::private_key_place;
use crate::crypto::keys::PrivateKey;
use crate::domain::event::{Action, Actor, Subject};
use crate::domain::keys::{SigningAlgorithm, StoredKey};
use crate::domain::session::Origin;
use crate::domain::time::Timestamp;
use crate::flows::Stamp;
use crate::store::signing_keys::{self, KeyRow};
use crate::store::{Writer, events};

/// LIMIT: an unknown `kid` makes an instance read the table again, but not more often than this (JWT-06).
const READ_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Why keys were not changed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// No such key.
    #[error("there is no such key")]
    NotFound,
    /// The table knows the key already, or one waits for its time to sign.
    #[error("{0}")]
    Conflict(&'static str),
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Lists every key, newest first.
pub async fn list(app: &App) -> Result<Vec<KeyRow>, Fault> {
    signing_keys::list(&mut app.store.read().await?).await
}

/// Reads the table into memory.
pub async fn read(app: &App) -> Result<(), Fault> {
    let rows = list(app).await?;
    let now = app.clock.now();
    app.keys.ring.load(rows.into_iter().map(|row| row.key).collect(), &app.sealer, now)?;
    let published = serde_json::json!({ "keys": app.keys.ring.public(now) });
    let set: JwkSet = serde_json::from_value(published).map_err(Fault::internal)?;
    app.keys.replace(Verifying::new(KeySet::new(&set)));
    Ok(())
}

/// Reads the table again because of an unknown `kid`: one at a time, at most once a second; `false` if it was not due.
pub async fn read_again(app: &App) -> Result<bool, Fault> {
    let asked = Instant::now();
    let mut last = app.keys.reading.lock().await;
    match *last {
        // Whoever waited for the lock profits from the reading that was made meanwhile.
        Some(at) if at >= asked => return Ok(true),
        Some(at) if at.elapsed() < READ_AGAIN_AFTER => return Ok(false),
        _ => {}
    }
    // Noted first: while the database is out, unknown ids do not queue up before it.
    *last = Some(Instant::now());
    read(app).await?;
    Ok(true)
}

/// Makes what is missing (a signing key, an announced successor, a change of algorithm), then reads the table.
pub async fn care(app: &App, actor: Actor) -> Result<(), Fault> {
    let change = Change::new(app, actor, Wish::Care).await?;
    match app.store.write(change, |tx, change| Box::pin(apply(tx, change))).await {
        Ok(()) => read(app).await,
        Err(KeysError::Fault(fault)) => Err(fault),
        Err(other) => Err(Fault::internal(other)),
    }
}

/// Lets the successor sign once it was announced for long enough, and announces another.
pub async fn rotate(app: &App, actor: Actor) -> Result<(), KeysError> {
    change(app, actor, Wish::Rotate).await
}

/// Takes a key out at once; of the signing key the successor takes over.
pub async fn revoke(app: &App, actor: Actor, kid: String) -> Result<(), KeysError> {
    change(app, actor, Wish::Revoke(kid)).await
}

/// Puts a key of an earlier issuer in the successor's place; it signs by itself later, or now.
pub async fn import(
    app: &App,
    actor: Actor,
    key: PrivateKey,
    is_to_sign_now: bool,
) -> Result<(), KeysError> {
    let now = app.clock.now();
    let signs_at = if is_to_sign_now { now } else { now.plus(app.settings.key_announce) };
    let row = sealed(app, &key, now)?;
    change(app, actor, Wish::Import(Box::new(row), signs_at)).await
}

async fn change(app: &App, actor: Actor, wish: Wish) -> Result<(), KeysError> {
    let change = Change::new(app, actor, wish).await?;
    app.store.write(change, |tx, change| Box::pin(apply(tx, change))).await?;
    Ok(read(app).await?)
}

enum Wish {
    Care,
    Rotate,
    Revoke(String),
    Import(Box<KeyRow>, Timestamp),
}

struct Change {
    stamp: Stamp,
    wish: Wish,
    algorithm: SigningAlgorithm,
    announce: Duration,
    lifetime_s: i64,
    /// New keys, for the places that turn out to be empty: made before the lock, because RSA takes seconds.
    spare: Vec<KeyRow>,
}

impl Change {
    async fn new(app: &App, actor: Actor, wish: Wish) -> Result<Self, Fault> {
        let algorithm = app.settings.algorithm;
        let stamp = Stamp::new(app, actor, Origin::default());
        let wanted = match &wish {
            Wish::Care => missing(app, stamp.now).await?,
            Wish::Rotate | Wish::Revoke(_) | Wish::Import(..) => 2,
        };
        let mut spare = Vec::new();
        for _ in 0..wanted {
            let made = app.tasks.spawn_blocking(move || PrivateKey::generate(algorithm)).await;
            spare.push(sealed(app, &made.map_err(Fault::internal)??, stamp.now)?);
        }
        let lifetime_s = i64::try_from(app.settings.access_lifetime.as_secs()).unwrap_or(i64::MAX);
        Ok(Self { stamp, wish, algorithm, announce: app.settings.key_announce, lifetime_s, spare })
    }
}

/// How many keys `care` may need: none in the usual case, so that a start makes no RSA key in vain.
async fn missing(app: &App, now: Timestamp) -> Result<usize, Fault> {
    let mut table = Table { rows: list(app).await?, now };
    let is_of_today = |row: Option<&mut KeyRow>| {
        row.is_some_and(|row| row.key.algorithm == app.settings.algorithm)
    };
    let is_complete = is_of_today(table.signing()) && is_of_today(table.idle());
    Ok(if is_complete { 0 } else { 2 })
}

fn sealed(app: &App, key: &PrivateKey, now: Timestamp) -> Result<KeyRow, Fault> {
    let place = private_key_place(key.kid());
    let stored = StoredKey {
        kid: key.kid().to_owned(),
        algorithm: key.algorithm(),
        private_key: app.sealer.seal(place, &key.to_pkcs8()?)?,
        public_jwk: key.public_jwk().clone(),
        announced_at: now,
        signs_at: None,
        retires_at: None,
        gone_at: None,
        revoked_at: None,
    };
    let lifetime_max_s = i64::try_from(app.settings.access_lifetime.as_secs()).unwrap_or(i64::MAX);
    Ok(KeyRow { key: stored, lifetime_max_s })
}

/// Applies a wish, then fills the places that are empty.
async fn apply(tx: &mut Writer, change: &Change) -> Result<(), KeysError> {
    signing_keys::lock(tx).await?;
    let now = change.stamp.now;
    let before = signing_keys::list(tx).await?;
    let mut table = Table { rows: before.clone(), now };
    let mut keys = Keys {
        table: &mut table,
        algorithm: change.algorithm,
        announce: change.announce,
        lifetime_s: change.lifetime_s,
        spare: change.spare.iter(),
        made: Vec::new(),
    };
    match &change.wish {
        Wish::Care => {}
        Wish::Rotate => keys.rotate()?,
        Wish::Revoke(kid) => keys.revoke(kid)?,
        Wish::Import(row, signs_at) => keys.import(row, *signs_at)?,
    }
    keys.care()?;
    let made = keys.made;
    store(tx, change, &before, &table, &made).await
}

async fn store(
    tx: &mut Writer,
    change: &Change,
    before: &[KeyRow],
    table: &Table,
    made: &[(String, Action)],
) -> Result<(), KeysError> {
    for row in &table.rows {
        match before.iter().find(|old| old.key.kid == row.key.kid) {
            Some(old) if is_same(old, row) => {}
            Some(_) => signing_keys::set_times(tx, row).await?,
            None if signing_keys::insert(tx, row).await? => {}
            None => return Err(KeysError::Conflict("the key is known already")),
        }
    }
    for (kid, action) in made {
        let subject = Subject::Key(kid.clone());
        events::append(tx, &change.stamp.event(*action, subject, Map::new())?).await?;
    }
    Ok(())
}

fn is_same(old: &KeyRow, new: &KeyRow) -> bool {
    let times = |row: &KeyRow| {
        let key = &row.key;
        (row.lifetime_max_s, key.signs_at, key.retires_at, key.gone_at, key.revoked_at)
    };
    times(old) == times(new)
}

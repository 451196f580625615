//! A call that is repeated under its `Idempotency-Key` (HTTP-17): its effects once, its first answer again.
//!
//! The answer is stored in the transaction of the effect, so a crash leaves both or neither.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use crate::app::App;
use crate::crypto::seal::Place;
use crate::store::Writer;
use crate::store::idempotency_keys::{self, Claim, Known, StoredKey};
use crate::{Fault, deadline};

/// LIMIT: api.md section 1: so long the first answer is given again.
const KEPT: Duration = Duration::from_hours(24);
/// LIMIT: the lease of a call without a deadline.
const LEASE_MAX: Duration = Duration::from_mins(1);
/// The column of sealed answers.
const ANSWER: &str = "idempotency_keys.answer";

/// A key as it was sent, for the call that it came with.
pub struct Presented<'a> {
    /// 1 to 128 of visible ASCII.
    pub key: &'a str,
    /// The route, `POST /v1/signup`.
    pub route: &'static str,
    /// Who calls; for a signup the canonical address.
    pub caller: &'a str,
    /// The body.
    pub body: &'a Value,
}

/// An answer that is given again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kept", rename_all = "snake_case")]
pub enum Kept {
    /// A yes.
    Answer {
        /// 200 to 299.
        status: u16,
        /// The JSON of the answer.
        body: Value,
    },
    /// A conflict with what is stored (409).
    Conflict {
        /// The code of the problem.
        code: String,
        /// Pointers to the values that are taken.
        pointers: Vec<String>,
    },
}

/// What becomes of a call with a key.
#[derive(Debug)]
pub enum Begun {
    /// It is the first: go on, and end what is held.
    First(Held),
    /// It was answered before.
    Again(Kept),
}

/// Why a call with a key is not run.
#[derive(Debug, thiserror::Error)]
pub enum IdempotencyError {
    /// The key came with another body before.
    #[error("the key was used with another body")]
    KeyReused,
    /// The first call still runs.
    #[error("the first call with the key still runs")]
    InProgress,
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A key in the hands of the call that runs.
#[derive(Clone, Debug)]
pub struct Held {
    stored: StoredKey,
    owner: Uuid,
}

/// Takes the key for this call, or finds what it was answered.
pub async fn begin(app: &App, presented: &Presented<'_>) -> Result<Begun, IdempotencyError> {
    let now = app.clock.now();
    let lease = deadline::current()
        .map_or(LEASE_MAX, |until| until.saturating_duration_since(Instant::now()));
    // SECURITY: PWD-16. Keyed: the body holds a password, and a plain digest of it could be guessed.
    let body =
        zeroize::Zeroizing::new(serde_json::to_vec(presented.body).map_err(Fault::internal)?);
    let claim = Claim {
        stored: StoredKey { scope: scope(app, presented), key: presented.key.to_owned() },
        request: app.sealer.keyed_hash("idempotency_request", &body).to_vec(),
        owner: app.random.uuid(now),
        lease_until: now.plus(lease),
        at: now,
        expires_at: now.plus(KEPT),
    };
    match app.store.write(claim.clone(), |tx, claim| Box::pin(take(tx, claim))).await? {
        None => Ok(Begun::First(Held { stored: claim.stored, owner: claim.owner })),
        Some(known) if known.request != claim.request => Err(IdempotencyError::KeyReused),
        Some(Known { answer: None, .. }) => Err(IdempotencyError::InProgress),
        Some(Known { answer: Some(sealed), .. }) => {
            let plain = app.sealer.open(Place::new(ANSWER, &row(&claim.stored)), &sealed)?;
            Ok(Begun::Again(serde_json::from_slice(&plain).map_err(Fault::internal)?))
        }
    }
}

fn scope(app: &App, presented: &Presented<'_>) -> Vec<u8> {
    let scope = format!("{}\n{}", presented.route, presented.caller);
    app.sealer.keyed_hash("idempotency_scope", scope.as_bytes()).to_vec()
}

fn row(key: &StoredKey) -> Vec<u8> {
    [key.scope.as_slice(), key.key.as_bytes()].concat()
}

async fn take(tx: &mut Writer, claim: &Claim) -> Result<Option<Known>, IdempotencyError> {
    if idempotency_keys::claim(tx, claim).await? {
        return Ok(None);
    }
    // Gone between the two statements: its call failed just now.
    let known = idempotency_keys::find(tx, &claim.stored).await?;
    known.map(Some).ok_or(IdempotencyError::InProgress)
}

/// An answer that is to be kept with the effects of its call.
#[derive(Clone)]
pub struct Keep {
    held: Held,
    sealed: Vec<u8>,
}

impl Held {
    /// Seals the answer of the call.
    pub fn keep(&self, app: &App, kept: &Kept) -> Result<Keep, Fault> {
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(kept).map_err(Fault::internal)?);
        // SECURITY: SES-01. The answer may hold tokens.
        let sealed = app.sealer.seal(Place::new(ANSWER, &row(&self.stored)), &plain)?;
        Ok(Keep { held: self.clone(), sealed })
    }

    /// Keeps an answer that goes with no effect.
    pub async fn end(&self, app: &App, kept: &Kept) -> Result<(), Fault> {
        let keep = self.keep(app, kept)?;
        app.store
            .write(keep, |tx, keep| {
                Box::pin(async move { keep.store(tx).await.map(|_is_ours| ()) })
            })
            .await
    }

    /// Gives the key up: the next call with it is the first.
    pub async fn release(self, app: &App) {
        let released = app.store.write(self, |tx, held| {
            Box::pin(idempotency_keys::release(tx, &held.stored, held.owner))
        });
        if let Err(fault) = released.await {
            tracing::warn!(error = %fault, "an idempotency key is left to its lease");
        }
    }
}

impl Keep {
    /// Stores the answer; `false` if another call has the key by now: nothing may be done then.
    pub async fn store(&self, tx: &mut Writer) -> Result<bool, Fault> {
        idempotency_keys::finish(tx, &self.held.stored, self.held.owner, &self.sealed).await
    }
}

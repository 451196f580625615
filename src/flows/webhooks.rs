//! Webhook endpoints: made, looked at and removed by an operator. What is sent to them is `jobs`' business.

mod change;
mod send;

pub use change::{Patch, rotate_secret, update};
pub use send::{redeliver, secrets, sweep, test};

use std::time::Duration;

use serde_json::Map;
use zeroize::Zeroizing;

use crate::Fault;
use crate::app::App;
use crate::crypto::seal::{Place, Sealer};
use crate::crypto::webhook::WebhookSecret;
use crate::domain::event::{Action, Actor, Subject};
use crate::domain::fields::{FieldCode, FieldFault};
use crate::domain::ids::{DeliveryId, WebhookId};
use crate::domain::session::Origin;
use crate::domain::time::Timestamp;
use crate::domain::webhook::{Endpoint, Filter, Listed, State};
use crate::flows::Stamp;
use crate::store::{Writer, deliveries, events, webhooks};

/// What the operator decided about webhooks.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// `webhooks.secret_overlap`
    pub secret_overlap: Duration,
    /// `webhooks.disable_after`
    pub disable_after: Duration,
    /// `webhooks.keep`
    pub keep: Duration,
}

/// LIMIT: WHK-10. Each endpoint has places of its own among the attempts of a process, so that none waits for another.
pub const ENDPOINTS_MAX: u16 = 100;

/// LIMIT: characters of a description; it is for a table on a screen.
pub const DESCRIPTION_CHARS_MAX: usize = 200;

/// Why an endpoint was not made, changed or used.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// What was given is not valid.
    #[error("the endpoint is not valid")]
    Invalid(Vec<FieldFault>),
    /// There is no such endpoint, or no such delivery.
    #[error("there is no such endpoint or delivery")]
    NotFound,
    /// Somebody else changed it, or the caller never saw it.
    #[error("the version is another one by now")]
    VersionConflict,
    /// The state does not allow it; the text says why.
    #[error("{0}")]
    Conflict(&'static str),
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Who does it, and from where.
pub type By = (Actor, Origin);

/// An endpoint that is to be made.
#[derive(Clone, Debug)]
pub struct New {
    /// Where messages go.
    pub url: String,
    /// Types, or `*` alone.
    pub events: Vec<String>,
    /// What the operator says of it.
    pub description: Option<String>,
}

/// Makes an endpoint; gives its secret, which is shown this once.
pub async fn create(
    app: &App,
    (actor, origin): By,
    new: New,
) -> Result<(Endpoint, Zeroizing<String>), WebhookError> {
    let mut faults = Vec::new();
    let url = checked_url(app, &new.url, &mut faults);
    let events = kept(Filter::parse(&new.events), &mut faults);
    let description = new.description.filter(|text| !text.is_empty());
    faults.extend(description.as_deref().and_then(description_fault));
    let (Some(url), Some(events), true) = (url, events, faults.is_empty()) else {
        return Err(WebhookError::Invalid(faults));
    };
    let stamp = Stamp::new(app, actor, origin);
    let (id, now) = (WebhookId(app.random.uuid(stamp.now)), stamp.now);
    let secret = WebhookSecret::generate(&app.random);
    let endpoint = Endpoint {
        id,
        url,
        description,
        events,
        state: State::Enabled,
        disabled_reason: None,
        failing_since: None,
        secret: seal(&app.sealer, SECRET, id, &secret)?,
        previous_secret: None,
        previous_secret_until: None,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    let change = (stamp, endpoint);
    let endpoint = app.store.write(change, |tx, change| Box::pin(insert(tx, change))).await?;
    Ok((endpoint, secret.to_text()))
}

async fn insert(
    tx: &mut Writer,
    (stamp, endpoint): &(Stamp, Endpoint),
) -> Result<Endpoint, WebhookError> {
    if !webhooks::insert(tx, endpoint, ENDPOINTS_MAX.into()).await? {
        return Err(WebhookError::Conflict("There are as many endpoints as there can be."));
    }
    let subject = Subject::Webhook(endpoint.id);
    events::append(tx, &stamp.event(Action::WebhookCreated, subject, Map::new())?).await?;
    Ok(endpoint.clone())
}

/// Removes an endpoint and its secrets. What waits for it is not sent any more.
pub async fn delete(app: &App, (actor, origin): By, id: WebhookId) -> Result<(), WebhookError> {
    let change = (Stamp::new(app, actor, origin), id);
    app.store.write(change, |tx, change| Box::pin(remove(tx, change))).await
}

async fn remove(tx: &mut Writer, (stamp, id): &(Stamp, WebhookId)) -> Result<(), WebhookError> {
    if !webhooks::delete(tx, *id).await? {
        return Err(WebhookError::NotFound);
    }
    let event = stamp.event(Action::WebhookDeleted, Subject::Webhook(*id), Map::new())?;
    Ok(events::append(tx, &event).await?)
}

/// The endpoint with this id.
pub async fn find(app: &App, id: WebhookId) -> Result<Endpoint, WebhookError> {
    let found = webhooks::find(&mut app.store.read().await?, id).await?;
    found.ok_or(WebhookError::NotFound)
}

/// A page of a list, newest first.
pub struct Page<T, P> {
    /// What it holds.
    pub items: Vec<T>,
    /// The place of the last one, if more follow.
    pub next: Option<P>,
}

/// A place in the list of endpoints.
pub type EndpointPlace = (Timestamp, WebhookId);
/// A place in a list of deliveries.
pub type DeliveryPlace = (Timestamp, DeliveryId);

/// LIMIT: the last second of the calendar of both databases: everything is before it.
const LATEST: Timestamp = Timestamp::from_micros(253_402_300_799_000_000);

/// The page of at most `limit` endpoints made before the place `before`.
pub async fn list(
    app: &App,
    before: Option<EndpointPlace>,
    limit: usize,
) -> Result<Page<Endpoint, EndpointPlace>, Fault> {
    let before = before.unwrap_or((LATEST, WebhookId(uuid::Uuid::max())));
    let mut db = app.store.read_stale().await?;
    let found = webhooks::list(&mut db, before, fetched(limit)).await?;
    Ok(page(found, limit, |endpoint| (endpoint.created_at, endpoint.id)))
}

/// How many endpoints there are.
pub async fn count(app: &App) -> Result<i64, Fault> {
    webhooks::count(&mut app.store.read_stale().await?).await
}

/// The page of at most `limit` deliveries to an endpoint that began before the place `before`.
pub async fn deliveries(
    app: &App,
    id: WebhookId,
    before: Option<DeliveryPlace>,
    limit: usize,
) -> Result<Page<Listed, DeliveryPlace>, Fault> {
    let before = before.unwrap_or((LATEST, DeliveryId(uuid::Uuid::max())));
    let mut db = app.store.read_stale().await?;
    let found = deliveries::list(&mut db, id, before, fetched(limit)).await?;
    Ok(page(found, limit, |listed| (listed.delivery.at, listed.delivery.id)))
}

/// How many deliveries to an endpoint are kept.
pub async fn count_deliveries(app: &App, id: WebhookId) -> Result<i64, Fault> {
    deliveries::count(&mut app.store.read_stale().await?, id).await
}

/// One more than a page holds, so that it knows whether more follow.
fn fetched(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

fn page<T, P>(mut items: Vec<T>, limit: usize, place: impl Fn(&T) -> P) -> Page<T, P> {
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| has_more).map(place);
    Page { items, next }
}

/// SECURITY: WHK-05, WHK-08. The one check that is asked again before each call.
fn checked_url(app: &App, url: &str, faults: &mut Vec<FieldFault>) -> Option<String> {
    match app.outbound.webhooks.check_url(url) {
        Ok(url) => Some(url.as_str().to_owned()),
        Err(fault) => {
            faults.push(fault.at("/url"));
            None
        }
    }
}

fn kept<T>(result: Result<T, Vec<FieldFault>>, faults: &mut Vec<FieldFault>) -> Option<T> {
    result.map_err(|found| faults.extend(found)).ok()
}

fn description_fault(text: &str) -> Option<FieldFault> {
    let at = "/description";
    if text.chars().count() > DESCRIPTION_CHARS_MAX {
        let detail = format!("At most {DESCRIPTION_CHARS_MAX} characters.");
        return Some(FieldFault::new(at, FieldCode::TooLong, detail));
    }
    text.chars()
        .any(char::is_control)
        .then(|| FieldFault::new(at, FieldCode::InvalidFormat, "No control characters."))
}

/// The columns of sealed secrets (CFG-13).
const SECRET: &str = "webhooks.secret";
const PREVIOUS: &str = "webhooks.previous_secret";

fn seal(
    sealer: &Sealer,
    column: &'static str,
    id: WebhookId,
    secret: &WebhookSecret,
) -> Result<Vec<u8>, Fault> {
    sealer.seal(Place::new(column, id.0.as_bytes()), secret.as_bytes())
}

fn unseal(
    sealer: &Sealer,
    column: &'static str,
    id: WebhookId,
    stored: &[u8],
) -> Result<WebhookSecret, Fault> {
    WebhookSecret::from_bytes(&sealer.open(Place::new(column, id.0.as_bytes()), stored)?)
}

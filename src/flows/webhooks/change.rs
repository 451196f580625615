//! Changes of an endpoint: what it is told of and where, whether it is told at all, and the secret that signs.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{
    By, PREVIOUS, SECRET, WebhookError, checked_url, description_fault, kept, seal, unseal,
};
use crate::Fault;
use crate::app::App;
use crate::crypto::seal::Sealer;
use crate::crypto::webhook::WebhookSecret;
use crate::domain::event::{Action, Subject};
use crate::domain::ids::WebhookId;
use crate::domain::time::Timestamp;
use crate::domain::webhook::{DisabledReason, Endpoint, Filter, State};
use crate::flows::Stamp;
use crate::flows::me::Expected;
use crate::store::{Writer, events, webhooks};

/// What is to change. The members that are absent stay as they are.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// Where messages go.
    pub url: Option<String>,
    /// Types, or `*` alone.
    pub events: Option<Vec<String>>,
    /// `Some(None)` removes the description.
    pub description: Option<Option<String>>,
    /// Whether anything is sent.
    pub state: Option<State>,
}

struct Change {
    stamp: Stamp,
    id: WebhookId,
    expected: Expected,
    /// Its `url` is in its normal form, and no text is empty.
    patch: Patch,
    filter: Option<Filter>,
}

/// Changes an endpoint; gives it as it is afterwards. A patch that changes nothing moves no version.
pub async fn update(
    app: &App,
    (actor, origin): By,
    id: WebhookId,
    (patch, expected): (Patch, Expected),
) -> Result<Endpoint, WebhookError> {
    let mut faults = Vec::new();
    let url = patch.url.and_then(|url| checked_url(app, &url, &mut faults));
    let filter = patch.events.as_ref().and_then(|words| kept(Filter::parse(words), &mut faults));
    let description = patch.description.map(|text| text.filter(|text| !text.is_empty()));
    faults.extend(description.iter().flatten().filter_map(|text| description_fault(text)));
    if !faults.is_empty() {
        return Err(WebhookError::Invalid(faults));
    }
    let patch = Patch { url, description, ..patch };
    let change = Change { stamp: Stamp::new(app, actor, origin), id, expected, patch, filter };
    app.store.write(change, |tx, change| Box::pin(apply(tx, change))).await
}

async fn apply(tx: &mut Writer, change: &Change) -> Result<Endpoint, WebhookError> {
    let before = webhooks::lock(tx, change.id).await?.ok_or(WebhookError::NotFound)?;
    if let Expected::Versions(versions) = &change.expected
        && !versions.contains(&before.version)
    {
        return Err(WebhookError::VersionConflict);
    }
    let (mut after, mut changed) = wished(&before, change);
    if changed.is_empty() {
        return Ok(before);
    }
    if !webhooks::update(tx, &after).await? {
        return Err(Fault::internal("a locked endpoint was changed by somebody else").into());
    }
    after.version += 1;
    let is_disabled = before.state == State::Enabled && after.state == State::Disabled;
    if is_disabled {
        changed.retain(|name| *name != "state");
        let data = Map::from_iter([("reason".into(), DisabledReason::Operator.as_str().into())]);
        tell(tx, change, Action::WebhookDisabled, data).await?;
    }
    if !changed.is_empty() {
        let names = changed.into_iter().map(Value::from).collect();
        let data = Map::from_iter([("changed".into(), Value::Array(names))]);
        tell(tx, change, Action::WebhookUpdated, data).await?;
    }
    Ok(after)
}

async fn tell(
    tx: &mut Writer,
    change: &Change,
    action: Action,
    data: Map<String, Value>,
) -> Result<(), Fault> {
    let event = change.stamp.event(action, Subject::Webhook(change.id), data)?;
    events::append(tx, &event).await
}

/// The endpoint as it is wished for, and the names of what differs.
fn wished(before: &Endpoint, change: &Change) -> (Endpoint, Vec<&'static str>) {
    let (wish, now) = (&change.patch, change.stamp.now);
    let mut after = Endpoint { updated_at: now, ..before.clone() };
    let mut changed = Vec::new();
    if let Some(url) = wish.url.as_ref().filter(|url| **url != before.url) {
        after.url.clone_from(url);
        changed.push("url");
    }
    if let Some(events) = change.filter.as_ref().filter(|events| **events != before.events) {
        after.events.clone_from(events);
        changed.push("events");
    }
    if let Some(text) = wish.description.as_ref().filter(|text| **text != before.description) {
        after.description.clone_from(text);
        changed.push("description");
    }
    if let Some(state) = wish.state.filter(|state| *state != before.state) {
        after.state = state;
        let reason = DisabledReason::Operator.as_str().to_owned();
        after.disabled_reason = (state == State::Disabled).then_some(reason);
        // The days of failure begin anew.
        after.failing_since = None;
        changed.push("state");
    }
    (after, changed)
}

struct Rotation {
    stamp: Stamp,
    id: WebhookId,
    secret: WebhookSecret,
    previous_until: Timestamp,
    sealer: Sealer,
}

/// Gives an endpoint a new secret, which is shown this once; for a while messages are signed with the old one too.
pub async fn rotate_secret(
    app: &App,
    (actor, origin): By,
    id: WebhookId,
) -> Result<(Endpoint, Zeroizing<String>), WebhookError> {
    let secret = WebhookSecret::generate(&app.random);
    let text = secret.to_text();
    let stamp = Stamp::new(app, actor, origin);
    let previous_until = stamp.now.plus(app.settings.webhooks.secret_overlap);
    let rotation = Rotation { stamp, id, secret, previous_until, sealer: app.sealer.clone() };
    let rotated = app.store.write(rotation, |tx, rotation| Box::pin(rotate(tx, rotation)));
    Ok((rotated.await?, text))
}

async fn rotate(tx: &mut Writer, rotation: &Rotation) -> Result<Endpoint, WebhookError> {
    let Rotation { stamp, id, secret, previous_until, sealer } = rotation;
    let before = webhooks::lock(tx, *id).await?.ok_or(WebhookError::NotFound)?;
    let old = unseal(sealer, SECRET, *id, &before.secret)?;
    let mut after = Endpoint {
        secret: seal(sealer, SECRET, *id, secret)?,
        previous_secret: Some(seal(sealer, PREVIOUS, *id, &old)?),
        previous_secret_until: Some(*previous_until),
        updated_at: stamp.now,
        ..before
    };
    if !webhooks::replace_secret(tx, &after).await? {
        return Err(Fault::internal("a locked endpoint was changed by somebody else").into());
    }
    after.version += 1;
    let data = Map::from_iter([("changed".into(), Value::Array(vec!["secret".into()]))]);
    let event = stamp.event(Action::WebhookUpdated, Subject::Webhook(*id), data)?;
    events::append(tx, &event).await?;
    Ok(after)
}

//! What is asked of the sending: a message that tries an endpoint, one that is begun again, the secrets that sign, and
//! what leaves when it is old.

use super::{PREVIOUS, SECRET, WebhookError, unseal};
use crate::Fault;
use crate::app::App;
use crate::crypto::webhook::WebhookSecret;
use crate::domain::ids::{DeliveryId, EventId, WebhookId};
use crate::domain::time::Timestamp;
use crate::domain::webhook::{Endpoint, State, TEST_TYPE, test_message};
use crate::store::{Writer, deliveries, webhook_messages, webhooks};

/// LIMIT: rows that leave in one change, so that no login waits for it.
const SWEPT_AT_ONCE: i64 = 200;

const IS_DISABLED: WebhookError = WebhookError::Conflict("The endpoint is disabled.");

struct Test {
    webhook: WebhookId,
    message: EventId,
    body: String,
    now: Timestamp,
}

/// Has one message sent that tries the endpoint; gives its `webhook-id`. It is not repeated when it fails.
pub async fn test(app: &App, id: WebhookId) -> Result<EventId, WebhookError> {
    let endpoint = super::find(app, id).await?;
    // SECURITY: WHK-08. Asked before and after it waits: networks may be closed meanwhile.
    if let Err(fault) = app.outbound.webhooks.check_url(&endpoint.url) {
        return Err(WebhookError::Invalid(vec![fault.at("/url")]));
    }
    let now = app.clock.now();
    let message = EventId(app.random.uuid(now));
    let body = test_message(now).ok_or_else(|| Fault::internal("a time beyond the calendar"))?;
    let test = Test { webhook: id, message, body, now };
    app.store.write(test, |tx, test| Box::pin(let_wait(tx, test))).await?;
    Ok(message)
}

async fn let_wait(tx: &mut Writer, test: &Test) -> Result<(), WebhookError> {
    must_be_enabled(tx, test.webhook).await?;
    let names = (test.webhook, test.message);
    Ok(webhook_messages::insert(tx, names, (TEST_TYPE, &test.body), test.now).await?)
}

async fn must_be_enabled(tx: &mut Writer, id: WebhookId) -> Result<(), WebhookError> {
    let endpoint = webhooks::lock(tx, id).await?.ok_or(WebhookError::NotFound)?;
    if endpoint.state == State::Enabled { Ok(()) } else { Err(IS_DISABLED) }
}

struct Again {
    webhook: Option<WebhookId>,
    delivery: DeliveryId,
    now: Timestamp,
}

/// Begins the message of a delivery again, under the id that it has; all its tries are before it.
///
/// With `webhook` the delivery must be one of that endpoint. A message that is being sent at this moment is left alone.
pub async fn redeliver(
    app: &App,
    webhook: Option<WebhookId>,
    delivery: DeliveryId,
) -> Result<(), WebhookError> {
    let again = Again { webhook, delivery, now: app.clock.now() };
    app.store.write(again, |tx, again| Box::pin(begin_again(tx, again))).await
}

async fn begin_again(tx: &mut Writer, again: &Again) -> Result<(), WebhookError> {
    let found = deliveries::find(tx, again.delivery).await?.ok_or(WebhookError::NotFound)?;
    let delivery = found.delivery;
    if again.webhook.is_some_and(|webhook| webhook != delivery.webhook_id) {
        return Err(WebhookError::NotFound);
    }
    must_be_enabled(tx, delivery.webhook_id).await?;
    if found.message_state.is_none() {
        return Err(WebhookError::Conflict("The message has left with its time."));
    }
    let (webhook, event) = (delivery.webhook_id, delivery.event_id);
    webhook_messages::redeliver(tx, webhook, event, again.now).await?;
    Ok(())
}

/// What signs the messages of an endpoint now: its secret, and while it rotates the one before.
pub fn secrets(
    app: &App,
    endpoint: &Endpoint,
    now: Timestamp,
) -> Result<Vec<WebhookSecret>, Fault> {
    let mut secrets = vec![unseal(&app.sealer, SECRET, endpoint.id, &endpoint.secret)?];
    let is_good = endpoint.previous_secret_until.is_some_and(|until| now < until);
    if let Some(previous) = endpoint.previous_secret.as_ref().filter(|_| is_good) {
        secrets.push(unseal(&app.sealer, PREVIOUS, endpoint.id, previous)?);
    }
    Ok(secrets)
}

/// Removes a batch of what is older than `webhooks.keep`, and former secrets that sign nothing; tells whether more is left.
pub async fn sweep(app: &App) -> Result<bool, Fault> {
    let now = app.clock.now();
    let times = (now, now.minus(app.settings.webhooks.keep));
    app.store.write(times, |tx, times| Box::pin(remove_old(tx, *times))).await
}

async fn remove_old(tx: &mut Writer, (now, before): (Timestamp, Timestamp)) -> Result<bool, Fault> {
    webhooks::forget_secrets(tx, now).await?;
    let attempts = deliveries::sweep(tx, before, SWEPT_AT_ONCE).await?;
    let messages = webhook_messages::sweep(tx, before, SWEPT_AT_ONCE).await?;
    Ok(attempts.max(messages) >= SWEPT_AT_ONCE.unsigned_abs())
}

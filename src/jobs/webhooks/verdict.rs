//! How an attempt ended, written down by whoever still holds the lease: the row of the attempt, what becomes of the
//! message, and what it means for the endpoint. One transaction.

use std::time::Duration;

use serde_json::Map;

use super::attempt::{Ended, Outcome};
use super::{Letter, Post};
use crate::Fault;
use crate::domain::event::{Action, Actor, Event, Subject};
use crate::domain::ids::DeliveryId;
use crate::domain::session::Origin;
use crate::domain::time::Timestamp;
use crate::domain::webhook::{Delivery, DisabledReason, TEST_TYPE, pause};
use crate::flows::Stamp;
use crate::store::webhook_messages::{self, End, Held};
use crate::store::{Writer, deliveries, events, webhooks};

/// The status of an endpoint that wants no more (Standard Webhooks).
const GONE: u16 = 410;

/// What becomes of the message.
enum Fate {
    Delivered,
    Again(Timestamp),
    Dead,
}

struct Verdict {
    held: Held,
    delivery: Delivery,
    fate: Fate,
    disabling: Disabling,
}

/// The endpoint is disabled if it has failed since this moment or longer.
struct Disabling {
    reason: DisabledReason,
    since: Timestamp,
    event: Event,
}

enum Unsaid {
    LeaseLost,
    Fault(Fault),
}

impl From<Fault> for Unsaid {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Post {
    /// Writes down how an attempt ended, unless the lease was lost.
    pub(super) async fn conclude(&self, letter: &Letter, ended: Ended) {
        let message = &letter.message;
        let held = Held {
            webhook_id: message.webhook_id,
            event_id: message.event_id,
            owner: self.owner,
            attempt: message.attempts,
        };
        let said = match ended.outcome {
            Outcome::Stopped => {
                tracing::info!("a webhook message is handed back");
                self.app.store.write(held, |tx, held| Box::pin(hand_back(tx, *held, None))).await
            }
            Outcome::Postponed(after) => {
                let due_at = self.app.clock.now().plus(after);
                let later = (held, due_at);
                let write = self.app.store.write(later, |tx, (held, due_at)| {
                    Box::pin(hand_back(tx, *held, Some(*due_at)))
                });
                write.await
            }
            Outcome::Taken(_) | Outcome::Refused(..) | Outcome::Failed(_) => {
                self.say(letter, held, &ended).await
            }
        };
        match said {
            Ok(()) => {}
            Err(Unsaid::LeaseLost) => {
                tracing::warn!("a webhook worker lost its lease; its message is sent again");
            }
            Err(Unsaid::Fault(fault)) => {
                tracing::warn!(error = %fault.chain(), "a webhook message is left to its lease");
            }
        }
    }

    async fn say(&self, letter: &Letter, held: Held, ended: &Ended) -> Result<(), Unsaid> {
        let message = &letter.message;
        let stamp = Stamp::new(&self.app, Actor::System, Origin::default());
        let fate = match ended.outcome {
            Outcome::Taken(_) => Fate::Delivered,
            _ if message.r#type == TEST_TYPE => Fate::Dead,
            Outcome::Refused(_, retry_after) => self.again(message.tries, retry_after),
            Outcome::Failed(_) | Outcome::Postponed(_) | Outcome::Stopped => {
                self.again(message.tries, None)
            }
        };
        let (status, error) = match ended.outcome {
            Outcome::Taken(status) => (Some(status), None),
            Outcome::Refused(status @ 300..400, _) => (Some(status), Some("redirect")),
            Outcome::Refused(status, _) => (Some(status), Some("status")),
            Outcome::Failed(word) => (None, Some(word)),
            Outcome::Postponed(_) | Outcome::Stopped => (None, None),
        };
        let delivery = Delivery {
            id: DeliveryId(self.app.random.uuid(ended.at)),
            webhook_id: held.webhook_id,
            event_id: held.event_id,
            r#type: message.r#type.clone(),
            attempt: held.attempt,
            at: ended.at,
            duration_ms: i64::try_from(ended.took.as_millis()).unwrap_or(i64::MAX),
            status: status.map(i64::from),
            error: error.map(str::to_owned),
        };
        match &fate {
            Fate::Delivered => tracing::debug!(status, "a webhook message is delivered"),
            Fate::Again(due_at) => tracing::info!(status, error, due_at = %due_at,
                "a webhook message failed and is tried again"),
            Fate::Dead => tracing::warn!(status, error, "a webhook message is given up"),
        }
        let is_gone = matches!(ended.outcome, Outcome::Refused(GONE, _));
        let verdict =
            Verdict { held, delivery, fate, disabling: self.disabling(&stamp, held, is_gone)? };
        let reason = verdict.disabling.reason.as_str();
        let is_disabled = self.app.store.write(verdict, |tx, it| Box::pin(write(tx, it))).await?;
        if is_disabled {
            // WHK-11: the notice for whoever reads the log; the trail has it too.
            tracing::error!(reason, "a webhook endpoint is disabled");
            metrics::counter!("portcullis_webhooks_disabled_total", "reason" => reason)
                .increment(1);
        }
        Ok(())
    }

    fn again(&self, tries: i64, retry_after: Option<Duration>) -> Fate {
        let pause = pause(tries, retry_after, |max| self.app.random.jitter(max));
        pause.map_or(Fate::Dead, |pause| Fate::Again(self.app.clock.now().plus(pause)))
    }

    fn disabling(&self, stamp: &Stamp, held: Held, is_gone: bool) -> Result<Disabling, Fault> {
        let (reason, since) = if is_gone {
            (DisabledReason::Gone, stamp.now)
        } else {
            (DisabledReason::Failing, stamp.now.minus(self.app.settings.webhooks.disable_after))
        };
        let data = Map::from_iter([("reason".into(), reason.as_str().into())]);
        let subject = Subject::Webhook(held.webhook_id);
        let event = stamp.event(Action::WebhookDisabled, subject, data)?;
        Ok(Disabling { reason, since, event })
    }
}

/// Tells whether the endpoint was disabled.
async fn write(tx: &mut Writer, verdict: &Verdict) -> Result<bool, Unsaid> {
    let Verdict { held, delivery, fate, disabling } = verdict;
    // SECURITY: REL-14. Asked first: whoever lost the lease leaves nothing behind.
    still_held(match fate {
        Fate::Delivered => webhook_messages::finish(tx, *held, End::Delivered).await?,
        Fate::Again(due_at) => webhook_messages::retry(tx, *held, *due_at).await?,
        Fate::Dead => webhook_messages::finish(tx, *held, End::Dead).await?,
    })?;
    deliveries::insert(tx, delivery).await?;
    let id = held.webhook_id;
    if matches!(fate, Fate::Delivered) {
        webhooks::succeeded(tx, id).await?;
        return Ok(false);
    }
    let now = disabling.event.at;
    webhooks::failed(tx, id, now).await?;
    let is_disabled = webhooks::disable(tx, id, disabling.reason, now, disabling.since).await?;
    if is_disabled {
        events::append(tx, &disabling.event).await?;
    }
    Ok(is_disabled)
}

/// The row count is the fence.
fn still_held(is_held: bool) -> Result<(), Unsaid> {
    if is_held { Ok(()) } else { Err(Unsaid::LeaseLost) }
}

async fn hand_back(tx: &mut Writer, held: Held, due_at: Option<Timestamp>) -> Result<(), Unsaid> {
    still_held(webhook_messages::hand_back(tx, held, due_at).await?)
}

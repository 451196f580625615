//! One attempt at one endpoint: signed, sent, and told apart into what it means for the message.
//!
//! Nothing that is stored or logged of it names the URL, the secret or a word of the receiver (LOG-03).

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Letter, Post};
use crate::deadline;
use crate::domain::ids::WebhookId;
use crate::domain::time::Timestamp;
use crate::domain::webhook::TRIES_MAX;
use crate::flows::webhooks as flow;
use crate::outbound::{Call, CallError, Method};

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// 2xx.
    Taken(u16),
    /// Another status, and the pause that it asked for.
    Refused(u16, Option<Duration>),
    /// No answer: a word of a fixed list.
    Failed(&'static str),
    /// It was no attempt: the host has had its share for now.
    Postponed(Duration),
    /// The stop came before its end.
    Stopped,
}

impl Outcome {
    /// The word for metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Taken(_) => "delivered",
            Self::Refused(..) => "refused",
            Self::Failed(_) => "failed",
            Self::Postponed(_) => "postponed",
            Self::Stopped => "handed_back",
        }
    }
}

/// An attempt that ended.
pub(super) struct Ended {
    pub(super) at: Timestamp,
    pub(super) took: Duration,
    pub(super) outcome: Outcome,
}

impl Post {
    /// Makes one attempt and writes down how it ended; gives the endpoint, whose place is free then.
    pub(super) async fn run(&self, letter: Letter, cancel: &CancellationToken) -> WebhookId {
        let id = letter.endpoint.id;
        let span = tracing::info_span!("webhook", webhook.id = %id, event.id = %letter.message.event_id,
            attempt = letter.message.attempts);
        let whole = async {
            let (at, begun) = (self.app.clock.now(), Instant::now());
            let until = begun + self.settings.timeout;
            let work = AssertUnwindSafe(self.send(&letter, at, until)).catch_unwind();
            let outcome = tokio::select! {
                biased;
                () = cancel.cancelled() => Outcome::Stopped,
                ended = timeout_at(until, work) => match ended {
                    Ok(Ok(outcome)) => outcome,
                    // What it said is in the log already.
                    Ok(Err(_panic)) => Outcome::Failed("panic"),
                    Err(_elapsed) => Outcome::Failed("timeout"),
                },
            };
            let took = begun.elapsed();
            metrics::counter!("portcullis_webhook_attempts_total", "outcome" => outcome.word())
                .increment(1);
            metrics::histogram!("portcullis_webhook_attempt_seconds").record(took.as_secs_f64());
            // SECURITY: F20. Nothing is said of a message once its lease may be over.
            let lease_over = letter.since + self.lease();
            let said = Box::pin(self.conclude(&letter, Ended { at, took, outcome }));
            let said = AssertUnwindSafe(deadline::scope(lease_over, said)).catch_unwind();
            if said.await.is_err() {
                tracing::error!("a webhook message is left to its lease");
            }
        };
        whole.instrument(span).await;
        id
    }

    async fn send(&self, letter: &Letter, at: Timestamp, until: Instant) -> Outcome {
        let (message, endpoint) = (&letter.message, &letter.endpoint);
        if message.tries > TRIES_MAX {
            return Outcome::Failed("abandoned");
        }
        let secrets = match flow::secrets(&self.app, endpoint, at) {
            Ok(secrets) => secrets,
            Err(fault) => {
                tracing::error!(error = %fault.chain(), "a webhook secret cannot be opened");
                return Outcome::Failed("secret");
            }
        };
        let client = &self.app.outbound.webhooks;
        // SECURITY: WHK-08. The same check as when it was stored; the connector looks at the address.
        let Ok(url) = client.check_url(&endpoint.url) else {
            return Outcome::Failed("address");
        };
        let (id, timestamp) = (message.event_id.to_string(), at.seconds());
        let signed = secrets.iter().map(|secret| secret.sign(&id, timestamp, &message.body));
        let signatures = signed.collect::<Vec<_>>().join(" ");
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("webhook-id", id),
            ("webhook-timestamp", timestamp.to_string()),
            ("webhook-signature", signatures),
        ];
        let body = message.body.clone().into_bytes();
        match client.call(Call { method: Method::Post, url, headers, body }, until).await {
            Ok(answer) if answer.is_success() => Outcome::Taken(answer.status),
            Ok(answer) => Outcome::Refused(answer.status, answer.retry_after),
            Err(CallError::NoToken(refused)) => Outcome::Postponed(refused.after),
            Err(CallError::Url(_) | CallError::NotPublic) => Outcome::Failed("address"),
            Err(CallError::TimedOut) => Outcome::Failed("timeout"),
            Err(CallError::Failed(_)) => Outcome::Failed("connection"),
            Err(CallError::Unsendable(reason)) => {
                tracing::error!(reason, "a webhook message cannot be sent");
                Outcome::Failed("unsendable")
            }
        }
    }
}

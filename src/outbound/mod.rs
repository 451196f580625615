//! Calls that leave: one named client a dependency, each with a token bucket, time limits and rules for addresses.
//!
//! Promises that no call waits longer than its deadline, reads more than its limit, follows a redirect, uses
//! a proxy of the environment, or reaches an address that is not public (T-11). What is sent, and what an
//! answer means, is the caller's.

mod bucket;
mod client;
mod guard;
mod resolver;
mod retry;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::time::Instant;

pub use bucket::{Bucket, Buckets, NoToken, Rate};
pub use client::{Answer, Call, CallError, Client, Method, USER_AGENT};
pub use guard::{CheckedUrl, Guard, URL_BYTES_MAX, UrlFault, is_public};
pub use resolver::{Found, Lookup, SystemLookup};
pub use retry::{GivenUp, Retrier, Schedule, Worth, retry_after};

use crate::{Clock, deadline};

/// A span from zero up to the given one, each as likely.
pub type Jitter = Arc<dyn Fn(Duration) -> Duration + Send + Sync>;

/// LIMIT: hosts of webhooks whose buckets are kept at once; some 2 MiB.
const HOSTS_MAX: usize = 10_000;

/// LIMIT: WHK-07: 64 KiB of an answer are read.
const HOOK_ANSWER_BYTES_MAX: usize = 64 * 1024;

/// LIMIT: a padded range has some 1 500 lines of 40 bytes today.
const RANGE_ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Whom the service calls. The name is the label of the metrics, so there are no more of them (LOG-09).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependency {
    /// The mail server.
    MailServer,
    /// The list of breached passwords.
    BreachList,
    /// Receivers of webhooks, all together.
    Webhooks,
}

impl Dependency {
    /// The value of the label `dependency`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MailServer => "mail_server",
            Self::BreachList => "breach_list",
            Self::Webhooks => "webhooks",
        }
    }
}

/// What an operator decided.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Networks that may be called, besides public addresses, on any port.
    pub allow_networks: Vec<IpNet>,
    /// Whether webhooks may be sent without TLS.
    pub webhooks_allow_http: bool,
    /// Mails.
    pub mail_server: Rate,
    /// Ranges of the breach list.
    pub breach_list: Rate,
    /// Attempts at the webhooks of one host.
    pub webhooks_per_host: Rate,
}

/// What is handed in, so that tests can put theirs in place.
#[derive(Clone)]
pub struct Means {
    /// Tells how far away the date of a `Retry-After` is.
    pub clock: Clock,
    /// The randomness.
    pub jitter: Jitter,
    /// Finds the addresses of names.
    pub lookup: Arc<dyn Lookup>,
}

/// The named clients.
pub struct Outbound {
    /// The turns at the mail server; `mail` speaks to it.
    pub mail_server: Turns,
    /// The list of breached passwords.
    pub breach_list: Client,
    /// The receivers of webhooks.
    pub webhooks: Client,
}

impl Outbound {
    /// The clients; nothing is connected yet.
    pub fn new(settings: &Settings, means: &Means) -> Self {
        let allowed = &settings.allow_networks;
        let client = |dependency, allow_http, answer_bytes_max, buckets| {
            let guard = Guard::new(allowed.clone(), allow_http);
            Client::new(dependency, guard, answer_bytes_max, buckets, means)
        };
        let hosts = Buckets::new(settings.webhooks_per_host, HOSTS_MAX);
        let ranges = Buckets::new(settings.breach_list, 1);
        Self {
            mail_server: Turns {
                dependency: Dependency::MailServer,
                bucket: Arc::new(Bucket::new(settings.mail_server)),
            },
            // Its URL is the operator's, who may run a mirror inside; the configuration wants https else.
            breach_list: client(Dependency::BreachList, true, RANGE_ANSWER_BYTES_MAX, ranges),
            webhooks: client(
                Dependency::Webhooks,
                settings.webhooks_allow_http,
                HOOK_ANSWER_BYTES_MAX,
                hosts,
            ),
        }
    }
}

/// The turns at one dependency.
pub struct Turns {
    dependency: Dependency,
    bucket: Arc<Bucket>,
}

impl Turns {
    /// Waits for a turn, until `until` or the deadline of the request at the latest; refuses at once where none
    /// comes in time.
    pub async fn wait(&self, until: Instant) -> Result<(), NoToken> {
        let until = deadline::current().map_or(until, |at| at.min(until));
        let taken = self.bucket.take(until).await;
        match &taken {
            Ok(waited) => {
                let name = self.dependency.name();
                metrics::histogram!("portcullis_outbound_wait_seconds", "dependency" => name)
                    .record(*waited);
            }
            Err(NoToken { .. }) => count(self.dependency, "no_token"),
        }
        taken.map(|_waited| ())
    }
}

/// Counts one call by how it ended; `outcome` is one of a few words.
fn count(dependency: Dependency, outcome: &'static str) {
    let name = dependency.name();
    metrics::counter!("portcullis_outbound_calls_total", "dependency" => name, "outcome" => outcome)
        .increment(1);
}

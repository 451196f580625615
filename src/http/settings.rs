//! What this room is told: its settings, and the few things that it cannot make itself.
//!
//! `App` builds one [`Frame`] a listener. Identifiers, randomness, metrics and probes come as
//! closures, so that tests repeat them and this room depends on nobody.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::edge::late::LateGate;
use super::health::Readiness;

/// How one listener behaves.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// The address under which clients know the service, without a final slash.
    pub public_url: String,
    /// Names and addresses that `Host` may have, without port; IPv6 in brackets. Case is ignored.
    pub allowed_hosts: Vec<String>,
    /// How long a request may take, from its head to its answer.
    pub request_timeout: Duration,
    /// The largest body, in bytes.
    pub body_bytes_max: usize,
    /// How long the whole body may take to arrive.
    pub body_timeout: Duration,
    /// How long the head may take to arrive.
    pub head_timeout: Duration,
    /// How long an idle connection stays open.
    pub keep_alive: Duration,
    /// How long requests that run may go on after a stop.
    pub shutdown_timeout: Duration,
    /// How many threads answer.
    pub workers: usize,
    /// How many connections a thread holds at once.
    pub connections_max: usize,
    /// How many connections may wait to be accepted.
    pub backlog: u32,
}

impl HttpSettings {
    /// The settings for a service at `public_url`, with the limits of the contract.
    pub fn new(public_url: impl Into<String>) -> Self {
        Self {
            public_url: public_url.into(),
            allowed_hosts: Vec::new(),
            request_timeout: Duration::from_secs(15),
            // LIMIT: INP-06; api.md, section 1: 64 KiB.
            body_bytes_max: 64 * 1024,
            // LIMIT: HTTP-12: one byte a second is cut within 15 s.
            body_timeout: Duration::from_secs(10),
            // LIMIT: HTTP-12: a slow head is 408 after 5 s.
            head_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(20),
            workers: 2,
            // LIMIT: HTTP-12 asks for 5 000 slow clients beside those that work.
            connections_max: 10_000,
            backlog: 1024,
        }
    }
}

/// Makes the ids of requests that bring none: `UUIDv7` in text.
pub type NewId = Arc<dyn Fn() -> String + Send + Sync>;
/// Makes random numbers for pauses; nothing secret depends on them.
pub type Random = Arc<dyn Fn() -> u64 + Send + Sync>;
/// Renders the metrics in the text form of Prometheus.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Everything that the frame of one listener stands on.
#[derive(Clone)]
pub struct Frame {
    /// How the listener behaves.
    pub settings: HttpSettings,
    /// Makes request ids.
    pub new_id: NewId,
    /// Makes random numbers for pauses.
    pub random: Random,
    /// Renders the metrics.
    pub render_metrics: RenderMetrics,
    /// Answers `/health/ready`.
    pub readiness: Arc<Readiness>,
    /// The OpenAPI document as it is served.
    pub document: Arc<str>,
    pub(crate) late: Arc<LateGate>,
}

impl Frame {
    /// A frame with nothing but settings and the makers of ids and randomness.
    pub fn new(settings: HttpSettings, new_id: NewId, random: Random) -> Self {
        Self {
            settings,
            new_id,
            random,
            render_metrics: Arc::new(String::new),
            readiness: Arc::new(Readiness::default()),
            document: Arc::from("{}"),
            late: Arc::new(LateGate::default()),
        }
    }

    /// A pause in seconds, 1 to 3, so that clients do not come back all at once.
    pub(crate) fn idle_s(&self) -> u64 {
        1 + (self.random)() % 3
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("settings", &self.settings).finish_non_exhaustive()
    }
}

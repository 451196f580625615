//! HTTP to others: limits on time and bytes, the guard in the connector, nothing followed, nothing remembered.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout_at};

use super::bucket::{Buckets, NoToken};
use super::guard::{CheckedUrl, Guard, Reach, UrlFault};
use super::resolver::{AddressRefused, Guarded};
use super::retry::{Retrier, Worth, retry_after};
use super::{Dependency, Means, Turns, count};
use crate::{Clock, deadline};

/// What all calls say they are.
pub const USER_AGENT: &str = concat!("portcullis/", env!("CARGO_PKG_VERSION"));

/// LIMIT: WHK-07: a connection, its name and its TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// LIMIT: WHK-07: a call, the wait for its turn and its answer included.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
/// LIMIT: hyper's own; together they fit into its buffer of some 400 KiB, or the answer is refused.
const HEADERS_MAX: usize = 100;
/// LIMIT: connections to a host that are kept for the next call, and how long.
const IDLE_MAX: usize = 2;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// POST
    Post,
}

/// One request.
pub struct Call {
    /// What it asks for.
    pub method: Method,
    /// Whom it asks.
    pub url: CheckedUrl,
    /// Its headers, besides `Host`, `User-Agent` and `Content-Length`.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// What was answered, whatever the status.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// What `Retry-After` asks for.
    pub retry_after: Option<Duration>,
    /// The body up to the limit of the client.
    pub body: Vec<u8>,
    /// Whether there was more; the connection is closed then.
    pub is_cut: bool,
}

impl Answer {
    /// 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no answer. No text tells the URL.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The bucket has no token before the deadline.
    #[error(transparent)]
    NoToken(#[from] NoToken),
    /// The URL may not be called.
    #[error(transparent)]
    Url(#[from] UrlFault),
    /// The name stands for an address that may not be called.
    #[error("the host must be public on the internet")]
    NotPublic,
    /// The deadline, 5 s for a connection or 15 s in all.
    #[error("no answer in time")]
    TimedOut,
    /// No connection, no TLS, no HTTP.
    #[error("{0}")]
    Failed(String),
    /// It could not even be sent: a header that is none, no certificates on this machine.
    #[error("{0}")]
    Unsendable(String),
}

impl CallError {
    /// Whether the same call may go better later.
    pub fn worth(&self) -> Worth {
        match self {
            Self::NoToken(refused) => Worth::Later(Some(refused.after)),
            Self::TimedOut | Self::Failed(_) => Worth::Later(None),
            Self::Url(_) | Self::NotPublic | Self::Unsendable(_) => Worth::Nothing,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::NoToken(_) => "no_token",
            Self::Url(_) | Self::NotPublic => "refused_address",
            Self::TimedOut => "timed_out",
            Self::Failed(_) => "failed",
            Self::Unsendable(_) => "unsendable",
        }
    }
}

/// The client of one dependency.
pub struct Client {
    dependency: Dependency,
    guard: Arc<Guard>,
    answer_bytes_max: usize,
    buckets: Buckets,
    means: Means,
    public: OnceCell<reqwest::Client>,
    allowed: OnceCell<reqwest::Client>,
}

impl Client {
    pub(super) fn new(
        dependency: Dependency,
        guard: Guard,
        answer_bytes_max: usize,
        buckets: Buckets,
        means: &Means,
    ) -> Self {
        Self {
            dependency,
            guard: Arc::new(guard),
            answer_bytes_max,
            buckets,
            means: means.clone(),
            public: OnceCell::new(),
            allowed: OnceCell::new(),
        }
    }

    /// Checks a URL that is to be stored or called; the one check for both (WHK-08).
    pub fn check_url(&self, text: &str) -> Result<CheckedUrl, UrlFault> {
        self.guard.check_url(text)
    }

    /// Repeats calls of this client.
    pub fn retrier(&self) -> Retrier {
        Retrier { dependency: self.dependency, jitter: Arc::clone(&self.means.jitter) }
    }

    /// Calls once. It ends by `until`, the deadline of the request, and 15 s, whichever comes first.
    pub async fn call(&self, call: Call, until: Instant) -> Result<Answer, CallError> {
        let until = until.min(Instant::now() + TOTAL_TIMEOUT);
        let until = deadline::current().map_or(until, |at| at.min(until));
        let outcome = self.attempt(call, until).await;
        match &outcome {
            Ok(_) => count(self.dependency, "answered"),
            // Counted where it was waited for.
            Err(CallError::NoToken(_)) => {}
            Err(error) => count(self.dependency, error.word()),
        }
        outcome
    }

    async fn attempt(&self, call: Call, until: Instant) -> Result<Answer, CallError> {
        // SECURITY: WHK-08. Networks may have been closed since the URL was stored.
        let url = self.guard.check_url(call.url.as_str())?;
        let headers = headers(&call.headers)?;
        let http = self.http(url.reach).await?;
        let turns = Turns { dependency: self.dependency, bucket: self.buckets.of(url.host()) };
        turns.wait(until).await?;
        let method = match call.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        };
        let request = http.request(method, url.url().clone()).headers(headers).body(call.body);
        let exchange = async {
            let answer = request.send().await.map_err(failure)?;
            read(answer, self.answer_bytes_max, &self.means.clock).await
        };
        timeout_at(until, exchange).await.map_err(|_elapsed| CallError::TimedOut)?
    }

    /// Made at the first call: who calls nobody needs no certificates.
    async fn http(&self, reach: Reach) -> Result<&reqwest::Client, CallError> {
        let cell = match reach {
            Reach::Public => &self.public,
            Reach::Allowed => &self.allowed,
        };
        cell.get_or_try_init(async || self.build(reach)).await
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the only place: limits and guard are put in here"
    )]
    fn build(&self, reach: Reach) -> Result<reqwest::Client, CallError> {
        let lookup = Arc::clone(&self.means.lookup);
        let names = Guarded { guard: Arc::clone(&self.guard), reach, lookup };
        reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .dns_resolver(names)
            // SECURITY: WHK-06. A redirect would lead around the check of the URL.
            .redirect(reqwest::redirect::Policy::none())
            // SECURITY: WHK-12. A proxy would dial in our place, unguarded.
            .no_proxy()
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .http1_max_headers(HEADERS_MAX)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .pool_max_idle_per_host(IDLE_MAX)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build()
            .map_err(|error| CallError::Unsendable(chain(&error)))
    }
}

fn headers(given: &[(&'static str, String)]) -> Result<HeaderMap, CallError> {
    let mut headers = HeaderMap::with_capacity(given.len());
    for (name, value) in given {
        let value = HeaderValue::from_str(value);
        // The value is not told: it may be a signature or a secret.
        let value =
            value.map_err(|_bad| CallError::Unsendable(format!("a bad value of {name}")))?;
        let name = HeaderName::from_bytes(name.as_bytes());
        let name = name.map_err(|_bad| CallError::Unsendable("a bad name of a header".into()))?;
        headers.append(name, value);
    }
    Ok(headers)
}

async fn read(
    mut answer: reqwest::Response,
    bytes_max: usize,
    clock: &Clock,
) -> Result<Answer, CallError> {
    let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = asked.and_then(|value| retry_after(value, clock.now()));
    let (status, mut body, mut is_cut) = (answer.status().as_u16(), Vec::new(), false);
    while let Some(chunk) = answer.chunk().await.map_err(failure)? {
        let room = bytes_max - body.len();
        body.extend(chunk.iter().take(room));
        if chunk.len() > room {
            is_cut = true;
            break;
        }
    }
    Ok(Answer { status, retry_after, body, is_cut })
}

fn failure(error: reqwest::Error) -> CallError {
    if error.is_timeout() {
        return CallError::TimedOut;
    }
    let error = error.without_url();
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(found) = cause {
        if found.is::<AddressRefused>() {
            return CallError::NotPublic;
        }
        cause = found.source();
    }
    CallError::Failed(chain(&error))
}

/// LIMIT: characters of a failure; part of it may be the other side's.
const FAILURE_CHARS_MAX: usize = 200;

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text.chars().take(FAILURE_CHARS_MAX).collect()
}

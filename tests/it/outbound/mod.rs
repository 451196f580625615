//! Calls to strangers on real sockets: who may be called, and how little a stranger can do.

mod dns;
mod limits;
mod reach;

use std::sync::Arc;
use std::time::Duration;

use portcullis::clock::Clock;
use portcullis::outbound::{
    Answer, Call, CallError, CheckedUrl, Client, Lookup, Means, Method, Outbound, Rate, Settings,
    SystemLookup,
};
use tokio::time::Instant;

use crate::support::rows::NOW;

const OFTEN: Rate = Rate { per_minute: 60_000, burst: 100 };

fn settings(allow: &[&str]) -> Settings {
    Settings {
        allow_networks: allow.iter().map(|net| net.parse().unwrap()).collect(),
        webhooks_allow_http: true,
        mail_server: OFTEN,
        breach_list: OFTEN,
        webhooks_per_host: OFTEN,
    }
}

fn outbound_with(settings: &Settings, lookup: Arc<dyn Lookup>) -> Outbound {
    let means = Means { clock: Clock::fixed(NOW), jitter: Arc::new(|max| max), lookup };
    Outbound::new(settings, &means)
}

/// A client that may call loopback.
fn outbound() -> Outbound {
    outbound_with(&settings(&["127.0.0.0/8"]), Arc::new(SystemLookup))
}

fn post(url: CheckedUrl) -> Call {
    let headers = vec![("content-type", "application/json".to_owned())];
    Call { method: Method::Post, url, headers, body: b"{\"a\":1}".to_vec() }
}

async fn call(client: &Client, url: &str) -> Result<Answer, CallError> {
    call_within(client, url, Duration::from_secs(20)).await
}

async fn call_within(client: &Client, url: &str, time: Duration) -> Result<Answer, CallError> {
    client.call(post(client.check_url(url)?), Instant::now() + time).await
}

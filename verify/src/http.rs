//! Fetches a key set over HTTP: one address, short timeouts, a small answer.
//!
//! Follows no redirect, uses no proxy of the environment, and sends plain http to this machine only,
//! unless told otherwise. When to fetch is left to the verifier.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Client, StatusCode, Url, redirect};

use crate::fetch::{Fetch, Fetching};
use crate::jwk::JwkSet;

/// LIMIT: 64 KiB; a set of four RSA keys of 4096 bits has 4 KiB.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// LIMIT: 3 s to connect, one repeated SYN (RFC 6298, 2: after 1 s) included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// LIMIT: 5 s for all of it; requests wait for the first fetch.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A [`Fetch`] by HTTP GET.
#[derive(Clone, Debug)]
pub struct HttpFetch {
    client: Client,
    address: Url,
}

/// Why a key set could not be fetched over HTTP.
#[derive(Debug, thiserror::Error)]
pub enum HttpFetchFault {
    /// The address is no URL, has a user or password, or is not https (nor http to this machine).
    #[error("the address of the key set is refused: https, or http to this machine, no password")]
    Address,
    /// The client could not be built; mostly there is no CA store: install `ca-certificates`.
    #[error("no HTTP client could be built")]
    Client(#[source] reqwest::Error),
    /// The connection failed or took too long.
    #[error("the key set could not be fetched")]
    Transport(#[source] reqwest::Error),
    /// The answer is not 200; redirects are not followed.
    #[error("the key set was answered with status {0}")]
    Status(u16),
    /// The answer is longer than 64 KiB.
    #[error("the key set is larger than {BODY_BYTES_MAX} bytes")]
    TooLarge,
    /// The answer is no key set.
    #[error("the answer is no key set")]
    Body(#[source] serde_json::Error),
}

impl HttpFetch {
    /// Fetches from `address`: https, or http to `localhost` and loopback addresses.
    ///
    /// # Errors
    /// [`HttpFetchFault::Address`] or [`HttpFetchFault::Client`].
    pub fn new(address: &str) -> Result<Self, HttpFetchFault> {
        let url = Url::parse(address).or(Err(HttpFetchFault::Address))?;
        if url.scheme() != "https" && !is_this_machine(&url) {
            return Err(HttpFetchFault::Address);
        }
        Self::build(url)
    }

    /// Fetches from `address` also over plain http. Whoever sits on that network can forge tokens.
    ///
    /// # Errors
    /// [`HttpFetchFault::Address`] or [`HttpFetchFault::Client`].
    pub fn new_over_any_http(address: &str) -> Result<Self, HttpFetchFault> {
        Self::build(Url::parse(address).or(Err(HttpFetchFault::Address))?)
    }

    /// Where the keys of `issuer` are: `{issuer}/.well-known/jwks.json`.
    pub fn address_of(issuer: &str) -> String {
        format!("{issuer}/.well-known/jwks.json")
    }

    #[expect(clippy::disallowed_methods, reason = "the address is the issuer's, by configuration")]
    fn build(address: Url) -> Result<Self, HttpFetchFault> {
        let has_user = !address.username().is_empty() || address.password().is_some();
        if has_user || !matches!(address.scheme(), "https" | "http") {
            return Err(HttpFetchFault::Address);
        }
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .map_err(HttpFetchFault::Client)?;
        Ok(Self { client, address })
    }

    async fn get(&self) -> Result<JwkSet, HttpFetchFault> {
        let request = self.client.get(self.address.clone());
        let mut answer = request.send().await.map_err(HttpFetchFault::Transport)?;
        if answer.status() != StatusCode::OK {
            return Err(HttpFetchFault::Status(answer.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(HttpFetchFault::Transport)? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(HttpFetchFault::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(HttpFetchFault::Body)
    }
}

impl Fetch for HttpFetch {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(async { Ok(self.get().await?) })
    }
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;

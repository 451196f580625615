//! The wire: what clients send and what comes back, over TCP. Each answer is held against the document on the way.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use portcullis::flows::tokens::Tokens;
use serde_json::Value;

use crate::support::app::Person;
use crate::support::serve::Served;

mod bodies;
mod breached;
mod calls;
mod claims;
mod document;
mod doors;
mod email_change;
mod enumeration;
mod export;
mod failing;
mod forged;
mod framing;
mod idempotency;
mod invitations;
mod leaving;
mod logout;
mod mailed_tokens;
mod main_flow;
mod me;
mod members;
mod metadata;
mod own_events;
mod passwords;
mod planted;
mod profile;
mod races;
mod requests;
mod sessions;
mod signup_modes;
mod unique;
mod webhooks;

/// The moment at which the clock of the tests stands, as answers write it.
const NOW_TEXT: &str = "2026-11-18T11:06:40.123457Z";

const PASSWORD: &str = "tulip-Rakete-94-vorhang";

/// Signs `email` up and verifies it, beside the wire.
async fn register(served: &Served, email: &str) -> Tokens {
    served.app.register(&Person::new(email)).await
}

/// A part of a JWT: 0 is the header, 1 the claims.
fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

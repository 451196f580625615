//! A small service of somebody else: `GET /orders` answers whoever brings an access token.
//!
//! ```text
//! cargo run -p portcullis-verify --features actix,fetch --example orders
//! curl -i -H "Authorization: Bearer $ACCESS_TOKEN" http://127.0.0.1:9090/orders
//! ```
//! Environment: `ORDERS_LISTEN` (127.0.0.1:9090), `PORTCULLIS_ISSUER` (`http://127.0.0.1:8080`),
//! `ORDERS_AUDIENCE` (portcullis). Ends on Ctrl-C.

use std::error::Error;

use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer};
use portcullis_verify::{Bearer, Policy, Verifier};
use serde_json::json;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listen = setting("ORDERS_LISTEN", "127.0.0.1:9090");
    let issuer = setting("PORTCULLIS_ISSUER", "http://127.0.0.1:8080");
    let audience = setting("ORDERS_AUDIENCE", "portcullis");

    let verifier = Data::new(Verifier::over_http(Policy::new(&issuer, &audience))?);
    let server = HttpServer::new(move || {
        App::new().app_data(verifier.clone()).route("/orders", web::get().to(list_orders))
    })
    .workers(1)
    .bind(&listen)?;
    announce(&format!("orders: http://{listen}/orders takes tokens of {issuer} for {audience}"));
    Ok(server.run().await?)
}

/// The caller's orders. Without a good token the extractor has answered 401 before this runs.
///
/// `plan` is no claim of portcullis: it is there where the operator's profile schema declares it, with any value.
async fn list_orders(Bearer(claims): Bearer) -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "sub": claims.sub,
        "plan": claims.extra.get("plan"),
        "orders": [
            { "id": 1001, "item": "a lantern", "quantity": 1 },
            { "id": 1002, "item": "a coil of rope", "quantity": 2 },
        ],
    }))
}

#[expect(clippy::disallowed_methods, reason = "an example has no configuration file")]
fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.into())
}

#[expect(clippy::print_stdout, reason = "the one line that says where it listens")]
fn announce(line: &str) {
    println!("{line}");
}

//! The extractor: who passes, and what the others are told, to the byte.

use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpResponse, web};

use super::*;
use crate::fetch::{Fetch, Fetching};
use crate::jwk::JwkSet;
use crate::testing::{HandClock, Pair, claims, claims_with, policy};
use crate::{Algorithm, CacheRules};

struct Fixed(Option<JwkSet>);

impl Fetch for Fixed {
    fn fetch(&self) -> Fetching<'_> {
        Box::pin(async { self.0.clone().ok_or_else(|| "down".into()) })
    }
}

fn verifier(set: Option<JwkSet>) -> Verifier {
    Verifier::with(policy(), Fixed(set), CacheRules::default(), Arc::new(HandClock::default()))
}

async fn whoami(Bearer(claims): Bearer) -> HttpResponse {
    HttpResponse::Ok().body(claims.sub)
}

/// Status, headers and body for a request with these `Authorization` headers.
async fn ask(verifier: Option<Verifier>, headers: &[&[u8]]) -> (u16, HeaderMap, String) {
    let app = App::new().route("/", web::get().to(whoami));
    let app = match verifier {
        Some(verifier) => app.app_data(Data::new(verifier)),
        None => app,
    };
    let app = init_service(app).await;
    let mut request = TestRequest::get();
    for value in headers {
        let value = actix_web::http::header::HeaderValue::from_bytes(value).unwrap();
        request = request.append_header((AUTHORIZATION, value));
    }
    let answer = call_service(&app, request.to_request()).await;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let body = read_body(answer).await;
    (status, headers, String::from_utf8(body.to_vec()).unwrap())
}

fn challenge(headers: &HeaderMap) -> &str {
    headers.get(WWW_AUTHENTICATE).map_or("", |value| value.to_str().unwrap())
}

#[actix_web::test]
async fn a_good_token_brings_its_claims() {
    let pair = Pair::generate(Algorithm::Es256);
    let verifier = verifier(Some(JwkSet { keys: vec![pair.jwk()] }));
    let token = pair.token(&claims());
    for scheme in ["Bearer", "bearer", "BEARER", "Bearer "] {
        let header = format!("{scheme} {token}");
        let (status, _, body) = ask(Some(verifier.clone()), &[header.as_bytes()]).await;
        assert_eq!((status, body.as_str()), (200, "01990000-0000-7000-8000-000000000001"));
    }
}

#[actix_web::test]
async fn jwt_19_without_a_token_the_challenge_has_no_error() {
    let verifier = verifier(Some(JwkSet::default()));
    let none: [&[&[u8]]; 6] =
        [&[], &[b""], &[b"Bearer"], &[b"Bearer "], &[b"Basic YTpi"], &[b"BearerX abc"]];
    for headers in none {
        let (status, headers, body) = ask(Some(verifier.clone()), headers).await;
        assert_eq!((status, body.as_str()), (401, ""));
        assert_eq!(challenge(&headers), r#"Bearer realm="portcullis""#);
    }
}

#[actix_web::test]
async fn jwt_19_every_bad_token_gets_the_same_answer() {
    let (pair, other) = (Pair::generate(Algorithm::Es256), Pair::generate(Algorithm::Es256));
    let verifier = verifier(Some(JwkSet { keys: vec![pair.jwk()] }));
    let good = format!("Bearer {}", pair.token(&claims()));
    let expired = format!("Bearer {}", pair.token(&claims_with("exp", 1.into())));
    let foreign = format!("Bearer {}", pair.token(&claims_with("iss", "x".into())));
    let unknown = format!("Bearer {}", other.token(&claims()));
    let spaced = format!("{good} x");
    let listed = format!("{good}, {good}");
    let bad: [&[&[u8]]; 10] = [
        &[b"Bearer x"],
        &[b"Bearer a.b.c"],
        &[expired.as_bytes()],
        &[foreign.as_bytes()],
        &[unknown.as_bytes()],
        &[spaced.as_bytes()],
        &[listed.as_bytes()],
        &[good.as_bytes(), good.as_bytes()],
        &[good.as_bytes(), b"Basic YTpi"],
        &[b"Bearer \xff"],
    ];
    for headers in bad {
        let (status, headers, body) = ask(Some(verifier.clone()), headers).await;
        assert_eq!((status, body.as_str(), headers.len()), (401, "", 1));
        assert_eq!(challenge(&headers), r#"Bearer realm="portcullis", error="invalid_token""#);
    }
}

#[actix_web::test]
async fn without_keys_the_answer_is_503_and_says_when_to_come_back() {
    let pair = Pair::generate(Algorithm::Es256);
    let header = format!("Bearer {}", pair.token(&claims()));
    let (status, headers, body) = ask(Some(verifier(None)), &[header.as_bytes()]).await;
    assert_eq!((status, body.as_str()), (503, ""));
    assert_eq!(headers.get(RETRY_AFTER).unwrap(), "1");
    assert_eq!(challenge(&headers), "");
    assert_eq!(ask(Some(verifier(None)), &[]).await.0, 401, "no token needs no keys");
}

#[actix_web::test]
async fn an_app_without_a_verifier_lets_nobody_in() {
    assert_eq!(ask(None, &[b"Bearer x"]).await.0, 500);
}

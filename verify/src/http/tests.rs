//! `HttpFetch` against a real server on this machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::testing::{Pair, beside, claims};
use crate::{Algorithm, Policy, Verifier};

/// Answers every connection with `answer`, as bytes; counts them.
struct Server {
    base: String,
    hits: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(answer: String) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    let task = beside(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap_or(0);
            assert!(head[..read].starts_with(b"GET /.well-known/jwks.json HTTP/1.1\r\n"));
            // The client may have hung up over a long answer.
            if stream.write_all(answer.as_bytes()).await.is_ok() {
                drop(stream.shutdown().await);
            }
        }
    });
    Server { base, hits, task }
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

async fn fetch(server: &Server) -> Result<JwkSet, HttpFetchFault> {
    HttpFetch::new(&HttpFetch::address_of(&server.base)).unwrap().get().await
}

#[tokio::test]
async fn a_set_is_fetched_once_and_tokens_pass() {
    let pair = Pair::generate(Algorithm::Es256);
    let body = serde_json::to_string(&JwkSet { keys: vec![pair.jwk()] }).unwrap();
    let server = serve(ok(&body)).await;
    let verifier = Verifier::over_http(Policy::new(&server.base, "orders")).unwrap();
    let mut claims = claims();
    claims["iss"] = server.base.clone().into();
    claims["aud"] = serde_json::json!(["orders"]);
    claims["exp"] = 9_000_000_000_i64.into();
    claims["iat"] = 1.into();
    claims["nbf"] = 1.into();
    for _ in 0..3 {
        assert!(verifier.verify(&pair.token(&claims)).await.is_ok());
    }
    assert_eq!(server.hits.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = serve(ok(r#"{"keys":[]}"#)).await;
    let head = format!(
        "HTTP/1.1 302 Found\r\nLocation: {}/.well-known/jwks.json\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        target.base
    );
    let server = serve(head).await;
    assert!(matches!(fetch(&server).await, Err(HttpFetchFault::Status(302))));
    assert_eq!(target.hits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_answer_that_is_no_set_is_a_fault() {
    for status in ["204 No Content", "404 Not Found", "500 Internal Server Error"] {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        assert!(matches!(fetch(&serve(head).await).await, Err(HttpFetchFault::Status(_))));
    }
    for body in ["", "<html>", "[]", r#"{"keys":1}"#] {
        assert!(matches!(fetch(&serve(ok(body)).await).await, Err(HttpFetchFault::Body(_))));
    }
    let cut = serve("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".into()).await;
    assert!(matches!(fetch(&cut).await, Err(HttpFetchFault::Transport(_))));
    let gone = serve(String::new()).await;
    assert!(matches!(fetch(&gone).await, Err(HttpFetchFault::Transport(_))));
}

#[tokio::test]
async fn an_answer_has_at_most_64_kib() {
    let padded = |bytes: usize| format!(r#"{{"keys":[]{}}}"#, " ".repeat(bytes - 11));
    assert!(fetch(&serve(ok(&padded(BODY_BYTES_MAX))).await).await.is_ok());
    let declared = serve(ok(&padded(BODY_BYTES_MAX + 1))).await;
    assert!(matches!(fetch(&declared).await, Err(HttpFetchFault::TooLarge)));
    // Without a length the end of the connection is the end.
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    let endless = serve(format!("{head}{}", padded(4 * BODY_BYTES_MAX))).await;
    assert!(matches!(fetch(&endless).await, Err(HttpFetchFault::TooLarge)));
}

#[test]
fn plain_http_goes_to_this_machine_only_unless_told_otherwise() {
    for address in [
        "https://accounts.example.org/.well-known/jwks.json",
        "http://127.0.0.1:8080/x",
        "http://127.9.9.9/x",
        "http://[::1]:8080/x",
        "http://localhost:8080/x",
    ] {
        assert!(HttpFetch::new(address).is_ok(), "{address}");
    }
    for address in [
        "",
        "/x",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "http://accounts.example.org/x",
        "http://10.0.0.1/x",
        "http://localhost.example.org/x",
        "http://127.0.0.1.example.org/x",
        "http://127.0.0.1@example.org/x",
        "https://ann:secret@example.org/x",
        "https://ann@example.org/x",
    ] {
        assert!(matches!(HttpFetch::new(address), Err(HttpFetchFault::Address)), "{address}");
    }
    assert!(HttpFetch::new_over_any_http("http://accounts.internal/x").is_ok());
    assert!(HttpFetch::new_over_any_http("ftp://accounts.internal/x").is_err());
}

//! Bodies that never end, heads that mean two things: the connection closes, and nobody waits for anybody (INP-06,
//! INP-09, INP-10, HTTP-12).

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::register;
use crate::support::database::TestDatabase;
use crate::support::serve::Served;

/// Sends a head and a chunk, every so often, until the service closes: what it said, and how long it listened.
async fn feed(served: &Served, head: &str, chunk: &[u8], pause: Duration) -> (String, Duration) {
    let mut socket = TcpStream::connect(served.raw().host()).await.unwrap();
    let (begun, mut said) = (Instant::now(), Vec::new());
    socket.write_all(head.as_bytes()).await.unwrap();
    while begun.elapsed() < Duration::from_secs(20) {
        if socket.write_all(chunk).await.is_err() {
            break;
        }
        let mut piece = [0; 4096];
        match timeout(pause, socket.read(&mut piece)).await {
            Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(count)) => said.extend_from_slice(&piece[..count]),
            Err(_) => {}
        }
    }
    (String::from_utf8_lossy(&said).into_owned(), begun.elapsed())
}

#[tokio::test]
async fn inp_06_http_12_a_body_without_an_end_ends_the_connection() {
    let db = TestDatabase::sqlite().await;
    let served = Served::start_with(db, &[("HTTP__BODY_TIMEOUT", "500ms")]).await;
    let token = register(&served, "ann@example.org").await.access_token;
    let host = served.raw().host();
    let head = |line: &str, more: &str| {
        format!("{line} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n{more}\r\n")
    };
    let json = "Content-Type: application/json\r\n";
    let chunk = format!("400\r\n{}\r\n", " ".repeat(1024));
    let no_pause = Duration::from_millis(1);
    let bearer = format!("Authorization: Bearer {token}\r\n{json}");
    for (status, line, more) in [
        (413, "POST /v1/login", json),
        (413, "POST /v1/logout", json),
        (415, "POST /v1/signup", "Content-Type: text/plain\r\n"),
        (401, "PATCH /v1/me", json),
        (428, "PATCH /v1/me", &bearer),
        (200, "GET /v1/me", &bearer),
        (200, "GET /health/live", ""),
        (308, "GET /docs", ""),
        (404, "POST /nowhere", ""),
        (405, "POST /v1/me", ""),
        (405, "TRACE /nowhere", ""),
    ] {
        let (said, took) = feed(&served, &head(line, more), chunk.as_bytes(), no_pause).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {said}");
        assert!(said.to_lowercase().contains("\r\nconnection: close\r\n"), "{line}: {said}");
        assert!(took < Duration::from_secs(10), "{line} after {took:?}");
    }
    // HTTP-12: a byte now and then is over after the time of a body.
    let slow = Duration::from_millis(100);
    let (said, took) = feed(&served, &head("POST /v1/login", json), b"1\r\n \r\n", slow).await;
    assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("request_timeout"), "{said}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let declared =
        format!("POST /v1/login HTTP/1.1\r\nHost: {host}\r\nContent-Length: 60000\r\n{json}\r\n");
    let (said, took) = feed(&served, &declared, b" ", slow).await;
    assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("request_timeout"), "{said}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn http_12_a_head_that_drips_after_an_answer_ends_the_connection() {
    let db = TestDatabase::sqlite().await;
    let served = Served::start_with(db, &[("HTTP__HEAD_TIMEOUT", "1s")]).await;
    let head = format!("GET /health/live HTTP/1.1\r\nHost: {}\r\n\r\n", served.raw().host());
    for drip in ["G", "\r\n"] {
        let pause = Duration::from_millis(50);
        let (said, took) = feed(&served, &head, drip.as_bytes(), pause).await;
        assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{drip:?}: {said}");
        assert!(said.starts_with("HTTP/1.1 200 "), "{drip:?}: {said}");
        assert!(took < Duration::from_secs(5), "{drip:?} after {took:?}");
    }
}

#[tokio::test]
async fn chunks_that_end_keep_the_connection() {
    let served = Served::sqlite().await;
    let host = served.raw().host();
    let body = r#"{"refresh_token":""}"#;
    let logout = format!(
        "POST /v1/logout HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\
         Content-Type: application/json\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    let mut socket = TcpStream::connect(&host).await.unwrap();
    for _ in 0..3 {
        socket.write_all(logout.as_bytes()).await.unwrap();
        let mut piece = [0; 4096];
        let count =
            timeout(Duration::from_secs(10), socket.read(&mut piece)).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&piece[..count]).to_lowercase();
        assert!(said.starts_with("http/1.1 204 ") && !said.contains("close"), "{said}");
    }
}

#[tokio::test]
async fn inp_09_inp_10_a_head_that_means_two_things_is_400_and_closes() {
    let served = Served::sqlite().await;
    let raw = served.raw();
    let host = raw.host();
    let many = "X: y\r\n".repeat(97);
    let large = format!("X: {}\r\n", "y".repeat(129 * 1024));
    let hosted = |more: &str| format!("POST /v1/logout HTTP/1.1\r\nHost: {host}\r\n{more}\r\n");
    for (status, request) in [
        (400, hosted("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n")),
        (400, hosted("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n")),
        (400, hosted("Content-Length: 4\r\nContent-Length: 5\r\n")),
        (400, hosted("Content-Length: 4, 5\r\n")),
        (400, hosted("Content-Length: +4\r\n")),
        (400, hosted("Content-Length: -4\r\n")),
        (400, hosted("Content-Length: 0x4\r\n")),
        (400, hosted("Content-Length: 99999999999999999999\r\n")),
        (400, hosted("Transfer-Encoding: gzip, x\r\n")),
        (400, hosted("Transfer-Encoding : chunked\r\n")),
        (400, hosted("X : y\r\n")),
        (400, hosted("X: y\r\n folded: z\r\n")),
        (400, hosted("X: y\u{0}z\r\n")),
        (400, hosted("X y\r\n")),
        (400, hosted(&format!("Host: {host}\r\n"))),
        (400, hosted("Host: evil.test\r\n")),
        (400, "POST /v1/logout HTTP/1.1\r\n\r\n".to_owned()),
        (400, "POST  /v1/logout HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        (400, "POST /v1/logout HTTP/9.9\r\nHost: x\r\n\r\n".to_owned()),
        (400, "POST /v1/log out HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        (400, "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\r\n\r\n".to_owned()),
        (431, hosted(&many)),
        (431, hosted(&large)),
    ] {
        let got = raw.send(&request).await;
        let shown: String = request.chars().take(120).collect();
        assert_eq!(got.answer.status, status, "{shown:?}");
        // What comes out of the parser closes; a missing host is a problem like others.
        assert!(got.is_closed || got.answer.header("x-request-id").is_some(), "{shown:?}");
    }
    // HTTP-11: an id in another alphabet is replaced.
    for id in ["a b", "a/b", &"x".repeat(65), "é"] {
        let answer =
            served.anyone().ask("GET", "/health/live").header("x-request-id", id).send().await;
        assert_eq!(answer.header("x-request-id").map(str::len), Some(36), "{id}");
    }
}

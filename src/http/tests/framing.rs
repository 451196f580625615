//! What lies below the edge: framing, limits of the head, connections, and how a server stops.

use std::time::{Duration, Instant};

use actix_web::web;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::http::answer::Json;
use crate::http::body::Body;
use crate::http::problem::{Kind, Problem};
use crate::http::routes::{Row, Verb};
use crate::http::server::bind;
use crate::http::testing::{Served, frame, read, serve};

async fn refuses(_: Body<()>) -> Result<Json<bool>, Problem> {
    Err(Kind::AuthenticationRequired.into())
}

async fn waits() -> Json<bool> {
    tokio::time::sleep(Duration::from_millis(300)).await;
    Json(true)
}

const ROWS: &[Row] = &[
    Row::new(Verb::Post, "/refuse", || web::route().to(refuses), &[]),
    Row::new(Verb::Get, "/wait", || web::route().to(waits), &[]),
];

async fn served() -> Served {
    let mut frame = frame();
    frame.settings.head_timeout = Duration::from_millis(500);
    serve(frame, &[ROWS]).await
}

#[tokio::test]
async fn inp_09_inp_10_the_parser_refuses_with_a_bare_line_and_closes() {
    let served = served().await;
    let many = "X: y\r\n".repeat(97);
    let large = format!("X: {}\r\n", "y".repeat(129 * 1024));
    for (status, method, headers) in [
        (400, "POST", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
        (400, "POST", "Content-Length: 1\r\nContent-Length: 2\r\n"),
        (400, "POST", "Content-Length: -1\r\n"),
        (400, "GET", "Host: id.example.org\r\n"),
        (400, "GET", "A : b\r\n"),
        (400, "GET", "A: b\r\n c: d\r\n"),
        (431, "GET", many.as_str()),
        (431, "GET", &large),
    ] {
        let answer = served.ask(method, "/refuse", headers).await;
        let start: String = headers.chars().take(40).collect();
        assert_eq!(answer.status, status, "{start}");
        assert_eq!((answer.body.len(), answer.header("connection")), (0, Some("close")), "{start}");
    }
}

#[tokio::test]
async fn http_12_a_slow_head_is_408() {
    let served = served().await;
    let start = Instant::now();
    assert_eq!(served.send("GET /wait HTTP/1.1\r\nHost: id.exa").await.status, 408);
    assert!(start.elapsed() < Duration::from_secs(3), "the setting counts, not the default");
}

/// What was not read of a refused body must not be taken for the next request.
#[tokio::test]
async fn a_refused_body_does_not_become_a_request() {
    let served = served().await;
    let inner = "GET /smuggled HTTP/1.1\r\nHost: id.example.org\r\n\r\n";
    let mut socket = TcpStream::connect(served.address).await.unwrap();
    let head = format!(
        "POST /refuse HTTP/1.1\r\nHost: id.example.org\r\nContent-Length: {}\r\n\r\n",
        inner.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(read(&mut socket, false).await.status, 401);
    drop(socket.write_all(inner.as_bytes()).await);
    let next = "GET /wait HTTP/1.1\r\nHost: id.example.org\r\n\r\n";
    drop(socket.write_all(next.as_bytes()).await);
    let mut rest = Vec::new();
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut rest);
    drop(tokio::time::timeout(Duration::from_secs(1), reading).await);
    assert!(!String::from_utf8_lossy(&rest).contains("404"), "{rest:?}");
}

#[tokio::test]
async fn a_stop_lets_requests_finish_and_takes_no_more() {
    let served = served().await;
    let stop = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        served.stopper.finish().await;
    };
    let (answer, ()) = tokio::join!(served.get("/wait"), stop);
    assert_eq!(answer.status, 200);
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_at_once() {
    let first = bind("127.0.0.1:0".parse().unwrap(), 8).unwrap();
    assert!(bind(first.local_addr().unwrap(), 8).is_err());
}

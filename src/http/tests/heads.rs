//! HTTP-12: the heads that come after the first one of a connection have their time too, and nothing else has less.

use std::time::{Duration, Instant};

use actix_web::web::{self, Bytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::http::answer::Json;
use crate::http::routes::{Row, Verb};
use crate::http::testing::{Served, frame, read, serve};

/// The framework tells the time twice a second: less would cut first heads at once.
const HEAD: Duration = Duration::from_secs(1);
const LONGER_THAN_HEAD: Duration = Duration::from_millis(1300);
const KEEP_ALIVE: Duration = Duration::from_secs(3);
const NOW: &str = "GET /now HTTP/1.1\r\nHost: id.example.org\r\n\r\n";
const WAIT: &str = "GET /wait HTTP/1.1\r\nHost: id.example.org\r\n\r\n";

async fn now() -> Json<bool> {
    Json(true)
}

async fn waits() -> Json<bool> {
    sleep(LONGER_THAN_HEAD).await;
    Json(true)
}

async fn counts(body: Bytes) -> Json<usize> {
    Json(body.len())
}

const ROWS: &[Row] = &[
    Row::new(Verb::Get, "/now", || web::route().to(now), &[]),
    Row::new(Verb::Get, "/wait", || web::route().to(waits), &[]),
    Row::new(Verb::Post, "/count", || web::route().to(counts), &[]),
];

async fn served(keep_alive: Duration) -> Served {
    let mut frame = frame();
    frame.settings.head_timeout = HEAD;
    frame.settings.keep_alive = keep_alive;
    serve(frame, &[ROWS]).await
}

/// A connection on which one request was answered.
async fn answered(served: &Served) -> TcpStream {
    let mut socket = TcpStream::connect(served.address).await.unwrap();
    ask(&mut socket, NOW).await;
    socket
}

async fn ask(socket: &mut TcpStream, request: &str) {
    socket.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(read(socket, false).await.status, 200, "{request}");
}

/// How long the service took to close a connection on which it had nothing to say.
async fn closed(socket: &mut TcpStream) -> Duration {
    let (begun, mut piece) = (Instant::now(), [0; 64]);
    let end = timeout(Duration::from_secs(10), socket.read(&mut piece)).await;
    assert!(matches!(end, Ok(Ok(0) | Err(_))), "{end:?}");
    begun.elapsed()
}

/// Reads until `wanted` answers were there.
async fn answers(socket: &mut TcpStream, wanted: usize) {
    let mut said = String::new();
    while said.matches("HTTP/1.1 200 ").count() < wanted || !said.ends_with("true") {
        let mut piece = [0; 4096];
        let count = timeout(Duration::from_secs(10), socket.read(&mut piece)).await;
        let count = count.expect("an answer in time").unwrap();
        assert!(count > 0, "closed after {said}");
        said.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    assert_eq!(said.matches("HTTP/1.1 ").count(), wanted, "{said}");
}

#[tokio::test]
async fn http_12_a_later_head_that_stops_is_cut() {
    let served = served(Duration::from_mins(1)).await;
    for (requests, begun) in [(1, "G"), (2, "\r"), (3, "GET /now HTTP/1.1\r\nHost: id.exa")] {
        let mut socket = answered(&served).await;
        for _ in 1..requests {
            ask(&mut socket, NOW).await;
        }
        socket.write_all(begun.as_bytes()).await.unwrap();
        let took = closed(&mut socket).await;
        assert!((HEAD / 2..Duration::from_secs(5)).contains(&took), "{begun:?}: {took:?}");
    }
}

#[tokio::test]
async fn http_12_a_later_head_that_drips_is_cut() {
    let served = served(Duration::from_mins(1)).await;
    let mut socket = answered(&served).await;
    let begun = Instant::now();
    let mut piece = [0; 64];
    socket.write_all(b"GET /now HTTP/1.1\r\nX: ").await.unwrap();
    while begun.elapsed() < Duration::from_secs(10) {
        if socket.write_all(b"x").await.is_err() {
            break;
        }
        match timeout(Duration::from_millis(50), socket.read(&mut piece)).await {
            Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(count)) => panic!("{:?}", String::from_utf8_lossy(&piece[..count])),
            Err(_) => {}
        }
    }
    let took = begun.elapsed();
    assert!((HEAD / 2..Duration::from_secs(5)).contains(&took), "{took:?}");
}

/// What stands behind a request was read with it: that connection ends like one that is silent.
#[tokio::test]
async fn http_12_a_head_that_begins_behind_a_request_is_cut() {
    let served = served(Duration::from_secs(1)).await;
    for request in [NOW, WAIT] {
        let mut socket = TcpStream::connect(served.address).await.unwrap();
        ask(&mut socket, &format!("{request}G")).await;
        let took = closed(&mut socket).await;
        assert!(took < Duration::from_secs(5), "{took:?}");
        let mut socket = TcpStream::connect(served.address).await.unwrap();
        ask(&mut socket, &format!("{request}G")).await;
        socket.write_all(b"E").await.unwrap();
        let took = closed(&mut socket).await;
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[tokio::test]
async fn a_later_head_may_come_in_pieces_within_its_time() {
    let served = served(KEEP_ALIVE).await;
    let mut socket = answered(&served).await;
    for _ in 0..3 {
        for piece in NOW.as_bytes().chunks(NOW.len() / 3) {
            socket.write_all(piece).await.unwrap();
            sleep(HEAD / 10).await;
        }
        assert_eq!(read(&mut socket, false).await.status, 200);
    }
}

#[tokio::test]
async fn requests_behind_each_other_are_answered() {
    let served = served(KEEP_ALIVE).await;
    let mut socket = answered(&served).await;
    socket.write_all(format!("{NOW}{NOW}{NOW}").as_bytes()).await.unwrap();
    answers(&mut socket, 3).await;
    socket.write_all(format!("{WAIT}{NOW}{WAIT}").as_bytes()).await.unwrap();
    answers(&mut socket, 3).await;
    // A head that begins while another request is answered has all its time after that.
    let (begin, end) = NOW.split_at(9);
    socket.write_all(format!("{WAIT}{begin}").as_bytes()).await.unwrap();
    answers(&mut socket, 1).await;
    socket.write_all(end.as_bytes()).await.unwrap();
    answers(&mut socket, 1).await;
}

#[tokio::test]
async fn silence_between_requests_may_last_longer_than_a_head() {
    let served = served(KEEP_ALIVE).await;
    let mut socket = answered(&served).await;
    for _ in 0..3 {
        sleep(LONGER_THAN_HEAD).await;
        ask(&mut socket, NOW).await;
    }
    let took = closed(&mut socket).await;
    assert!((KEEP_ALIVE / 2..Duration::from_secs(8)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn a_later_request_may_take_longer_than_its_head() {
    let served = served(KEEP_ALIVE).await;
    let mut socket = answered(&served).await;
    ask(&mut socket, WAIT).await;
    ask(&mut socket, WAIT).await;
    let head = "POST /count HTTP/1.1\r\nHost: id.example.org\r\n";
    for (framing, pieces) in [
        ("Content-Length: 4\r\n", ["a", "b", "cd"]),
        ("Transfer-Encoding: chunked\r\n", ["1\r\na", "\r\n3\r\nb", "cd\r\n0\r\n\r\n"]),
    ] {
        socket.write_all(format!("{head}{framing}\r\n").as_bytes()).await.unwrap();
        for piece in pieces {
            sleep(HEAD * 4 / 5).await;
            socket.write_all(piece.as_bytes()).await.unwrap();
        }
        let answer = read(&mut socket, false).await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"4".as_slice()), "{framing}");
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_clients_that_are_silent() {
    let served = served(Duration::from_mins(1)).await;
    let mut silent = answered(&served).await;
    let mut slow = answered(&served).await;
    slow.write_all(b"G").await.unwrap();
    let stop = timeout(Duration::from_secs(10), served.stopper.finish());
    let (stopped, ..) = tokio::join!(stop, closed(&mut silent), closed(&mut slow));
    stopped.unwrap();
}

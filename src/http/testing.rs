//! A real server on a real socket for the tests of this room, and a client that sends raw bytes.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::routes::{Row, mount};
use super::server::{Stopper, bind, start};
use super::settings::{Frame, HttpSettings};

/// A server that runs until it is dropped.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    pub(super) stopper: Stopper,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

pub(super) fn frame() -> Frame {
    let mut settings = HttpSettings::new("https://id.example.org");
    settings.allowed_hosts = vec!["id.example.org".to_owned(), "127.0.0.1".to_owned()];
    settings.workers = 1;
    let made = AtomicU64::new(0);
    let new_id = move || format!("made-{}", made.fetch_add(1, Ordering::SeqCst));
    Frame::new(settings, Arc::new(new_id), Arc::new(|| 0))
}

#[expect(clippy::disallowed_methods, reason = "the server of a test")]
pub(super) async fn serve(frame: Frame, rows: &'static [&'static [Row]]) -> Served {
    let listener = bind("127.0.0.1:0".parse().unwrap(), 64).unwrap();
    let running = start(listener, frame, move |config| mount(config, &rows.concat())).unwrap();
    let served = Served { address: running.address(), stopper: running.stopper() };
    tokio::spawn(running.serve());
    served
}

impl Served {
    /// Sends bytes on a new connection and reads one answer.
    pub(super) async fn send(&self, raw: impl AsRef<[u8]>) -> Answer {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        // The server may have answered and closed before everything is written.
        drop(socket.write_all(raw.as_ref()).await);
        read(&mut socket, raw.as_ref().starts_with(b"HEAD ")).await
    }

    /// Sends a request without a body.
    pub(super) async fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: id.example.org\r\n{headers}\r\n"))
            .await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "").await
    }

    /// Sends a JSON body with a good token.
    pub(super) async fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        let headers = "Authorization: Bearer good\r\nContent-Type: application/json\r\n";
        self.with_body("POST", path, headers, body).await
    }

    pub(super) async fn with_body(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: impl AsRef<[u8]>,
    ) -> Answer {
        let body = body.as_ref();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: id.example.org\r\n{headers}\
             Content-Length: {length}\r\n\r\n"
        );
        self.send([head.as_bytes(), body].concat()).await
    }
}

/// The lines that were logged for a request.
pub(super) fn logged(request_id: &str) -> Vec<String> {
    let bytes = LOG.0.lock().unwrap().clone();
    let lines = String::from_utf8_lossy(&bytes);
    lines.lines().filter(|line| line.contains(request_id)).map(str::to_owned).collect()
}

/// Keeps everything that any test logs, from now on.
pub(super) fn keep_log() {
    static KEPT: Once = Once::new();
    KEPT.call_once(|| {
        let subscriber = tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE);
        subscriber.with_writer(|| Log).init();
    });
}

static LOG: Lines = Lines(Mutex::new(Vec::new()));
struct Lines(Mutex<Vec<u8>>);
struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads one answer: to its declared end, or to the end of the connection.
pub(super) async fn read(socket: &mut TcpStream, is_head: bool) -> Answer {
    let mut bytes = Vec::new();
    let mut piece = vec![0; 8192];
    loop {
        if let Some(answer) = complete(&bytes, is_head) {
            return answer;
        }
        let got = timeout(Duration::from_secs(10), socket.read(&mut piece)).await;
        match got.expect("an answer within 10 s") {
            Ok(0) | Err(_) => break,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
    panic!("the connection ended after {:?}", String::from_utf8_lossy(&bytes));
}

fn complete(bytes: &[u8], is_head: bool) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut answer = Answer { status, head, body: bytes[end + 4..].to_vec() };
    let length: usize = answer.header("content-length").map_or(0, |text| text.parse().unwrap());
    let wanted = if is_head { 0 } else { length };
    (answer.body.len() >= wanted).then(|| {
        assert_eq!(answer.body.len(), wanted, "bytes behind the answer");
        answer.body.truncate(wanted);
        answer
    })
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Status and code, after checking that it is a whole problem.
    #[track_caller]
    pub(super) fn problem(&self) -> (u16, String) {
        let body = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(body["status"], self.status);
        assert_eq!(body["request_id"].as_str(), self.header("x-request-id"));
        let code = body["code"].as_str().unwrap().to_owned();
        assert_eq!(body["type"], format!("https://id.example.org/problems/{code}"));
        (self.status, code)
    }

    /// The faults as `place code`, in their order.
    pub(super) fn faults(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let body = self.json();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors
            .iter()
            .map(|error| {
                let place = error.get("pointer").or(error.get("parameter")).map(text);
                format!("{} {}", place.unwrap(), text(&error["code"]))
            })
            .collect()
    }
}

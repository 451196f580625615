//! Receivers of webhooks on loopback, good and bad: they note what they get and answer as they are told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// How a receiver answers.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// This status, and these lines of the head besides.
    Status(u16, String),
    /// Nothing, ever.
    Tarpit,
    /// The end of the connection, at once and hard.
    Reset,
    /// 200, and a body without an end.
    EndlessBody,
    /// 200, and a head without an end.
    EndlessHead,
    /// 200, after so long.
    Slow(Duration),
}

impl Mode {
    /// 200.
    pub(crate) fn good() -> Self {
        Self::status(200)
    }

    /// This status.
    pub(crate) fn status(status: u16) -> Self {
        Self::Status(status, String::new())
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// When.
    pub(crate) at: Instant,
    /// The headers, their names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body as it came.
    pub(crate) body: String,
}

impl Seen {
    /// A header.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known == name);
        found.map_or_else(|| panic!("no {name}: {self:?}"), |(_, value)| value)
    }

    /// The id of the message.
    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    /// The body.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The type of the message.
    pub(crate) fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }
}

/// A receiver; it ends with its value.
pub(crate) struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    _listening: AbortOnDropHandle<()>,
}

struct Shared {
    mode: Mutex<Mode>,
    seen: Mutex<Vec<Seen>>,
    connections: Mutex<usize>,
}

impl Receiver {
    /// Starts to listen on a free port.
    pub(crate) async fn start(mode: Mode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            mode: Mutex::new(mode),
            seen: Mutex::default(),
            connections: Mutex::default(),
        });
        let listening = listen(listener, Arc::clone(&shared));
        Self { address, shared, _listening: spawn(listening) }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// The port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Answers differently from now on.
    pub(crate) fn answer(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap() = mode;
    }

    /// What came so far, in order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The types of what came, in order.
    pub(crate) fn kinds(&self) -> Vec<String> {
        self.seen().iter().map(Seen::kind).collect()
    }

    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }

    /// Waits until at least `count` requests came.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> impl Future<Output = Vec<Seen>> {
        let began = Instant::now();
        async move {
            loop {
                let seen = self.seen();
                if seen.len() >= count {
                    return seen;
                }
                assert!(began.elapsed() < Duration::from_secs(30), "{count} messages: {seen:?}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a server of a test")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(work))
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    let mut served = JoinSet::new();
    loop {
        let Ok((socket, _)) = listener.accept().await else { return };
        *shared.connections.lock().unwrap() += 1;
        let shared = Arc::clone(&shared);
        served.spawn(async move {
            let mut socket = socket;
            while serve(&mut socket, &shared).await.is_some() {}
        });
        while served.try_join_next().is_some() {}
    }
}

/// Answers one request; `None` when the connection is over.
async fn serve(socket: &mut TcpStream, shared: &Shared) -> Option<()> {
    let seen = read(socket).await?;
    let mode = shared.mode.lock().unwrap().clone();
    shared.seen.lock().unwrap().push(seen);
    match mode {
        Mode::Status(status, lines) => {
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n{lines}\r\n");
            socket.write_all(head.as_bytes()).await.ok()
        }
        Mode::Slow(pause) => {
            tokio::time::sleep(pause).await;
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok()
        }
        Mode::Tarpit => std::future::pending().await,
        Mode::Reset => {
            socket.set_zero_linger().unwrap();
            None
        }
        Mode::EndlessBody => {
            socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
            loop {
                socket.write_all(&[b'x'; 4096]).await.ok()?;
            }
        }
        Mode::EndlessHead => {
            socket.write_all(b"HTTP/1.1 200 OK\r\n").await.ok()?;
            loop {
                socket.write_all(b"x-more: and more\r\n").await.ok()?;
            }
        }
    }
}

async fn read(socket: &mut TcpStream) -> Option<Seen> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
            let headers: Vec<_> =
                lines.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
            let length = headers.iter().find(|(name, _)| name == "content-length");
            let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                let body = String::from_utf8(bytes[end + 4..end + 4 + length].to_vec()).unwrap();
                return Some(Seen { at: Instant::now(), headers, body });
            }
        }
        match socket.read(&mut piece).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

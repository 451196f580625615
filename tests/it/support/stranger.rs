//! A server of somebody else: it counts who connects, keeps what it is sent and answers by habit, good or bad.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How it answers each connection.
#[derive(Clone)]
pub(crate) enum Habit {
    /// With these bytes, then it closes.
    Answers(Vec<u8>),
    /// It reads and says nothing.
    Tarpit,
    /// With the first bytes, then with the second again and again.
    Endless(Vec<u8>, Vec<u8>),
    /// It resets the connection.
    Resets,
}

/// The running server; it ends when it is dropped.
pub(crate) struct Stranger {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    connections: watch::Receiver<usize>,
    _accepting: JoinSet<()>,
}

impl Stranger {
    /// A server on a free port of loopback.
    pub(crate) async fn start(habit: Habit) -> Self {
        Self::listen("127.0.0.1:0".parse().unwrap(), habit).await
    }

    /// A server that answers everything with `status`, these lines of a head, and a body.
    pub(crate) async fn answering(status: &str, head: &str, body: &str) -> Self {
        Self::start(Habit::Answers(answer(status, head, body))).await
    }

    /// A server on this address.
    pub(crate) async fn listen(address: SocketAddr, habit: Habit) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (count, connections) = watch::channel(0);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, habit, Arc::clone(&seen), count));
        Self { address, seen, connections, _accepting: accepting }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL of it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    /// The requests as they came, head and what of the body came with it.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn wait_for(&self, requests: usize) {
        while self.seen().len() < requests {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// An answer of HTTP/1.1 that ends the connection.
pub(crate) fn answer(status: &str, head: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{head}\r\n{body}"
    )
    .into()
}

async fn accept(
    listener: TcpListener,
    habit: Habit,
    seen: Arc<Mutex<Vec<String>>>,
    count: watch::Sender<usize>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        count.send_modify(|count| *count += 1);
        connections.spawn(serve(client, habit.clone(), Arc::clone(&seen)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut client: TcpStream, habit: Habit, seen: Arc<Mutex<Vec<String>>>) {
    let (mut request, mut buffer) = (Vec::new(), [0; 8192]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read(&mut buffer).await {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    seen.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
    match habit {
        Habit::Answers(bytes) => {
            let written = client.write_all(&bytes).await;
            drop((written, client.shutdown().await));
        }
        Habit::Tarpit => while client.read(&mut buffer).await.is_ok_and(|read| read > 0) {},
        Habit::Endless(first, again) => {
            let mut written = client.write_all(&first).await;
            while written.is_ok() {
                written = client.write_all(&again).await;
                tokio::task::yield_now().await;
            }
        }
        Habit::Resets => drop(client.set_zero_linger()),
    }
}

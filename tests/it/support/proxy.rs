//! A proxy between the store and PostgreSQL that holds answers back or cuts connections, when it is told to.
//!
//! It listens on loopback and forwards to the server's Unix socket. What the client sends always passes: so the server
//! has done what was asked while the client still waits to hear of it (F04, F12).

use std::io;
use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the proxy does with answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Everything passes.
    Pass,
    /// Answers wait until the mode changes.
    Hold,
    /// Every connection is cut, and new ones too.
    Cut,
}

/// A running proxy; it ends when it is dropped.
pub(crate) struct Proxy {
    port: u16,
    mode: watch::Sender<Mode>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// Starts a proxy in front of `socket`.
    pub(crate) async fn start(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mode, seen) = watch::channel(Mode::Pass);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, socket, seen));
        Self { port, mode, _accepting: accepting }
    }

    /// The URL of `database` through the proxy.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Changes what happens from now on.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn accept(listener: TcpListener, socket: PathBuf, mode: watch::Receiver<Mode>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        if *mode.borrow() != Mode::Cut
            && let Ok(server) = UnixStream::connect(&socket).await
        {
            connections.spawn(serve(client, server, mode.clone()));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(client: TcpStream, server: UnixStream, mode: watch::Receiver<Mode>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut cut = mode.clone();
    // Whichever ends first ends both directions.
    tokio::select! {
        _copied = tokio::io::copy(&mut from_client, &mut to_server) => {}
        _answered = answer(&mut from_server, &mut to_client, mode) => {}
        _cut = cut.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

async fn answer(
    from_server: &mut (impl AsyncReadExt + Unpin),
    to_client: &mut (impl AsyncWriteExt + Unpin),
    mut mode: watch::Receiver<Mode>,
) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = from_server.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        let passes = mode.wait_for(|mode| *mode != Mode::Hold).await;
        passes.map(drop).map_err(io::Error::other)?;
        to_client.write_all(&buffer[..read]).await?;
    }
}

//! The two servers: sockets, threads, the time limits of connections, and how they stop.
//!
//! Sockets are bound by the caller's word before anything else starts, so a port that is taken is
//! told at once. Signals are the caller's business as well.

use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{Extensions, HttpService};
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::App;
use actix_web::dev::{AppConfig, Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::web::{Data, ServiceConfig};
use tokio::net::{TcpSocket, TcpStream};

use super::edge::edge;
use super::heads::Timed;
use super::settings::{Frame, HttpSettings};

/// LIMIT: how long a client may take to close a connection that is over.
const LINGER: Duration = Duration::from_secs(1);

/// A listener that runs.
pub struct Running {
    server: Server,
    address: SocketAddr,
}

/// Stops a listener from elsewhere.
#[derive(Clone, Debug)]
pub struct Stopper(ServerHandle);

impl Running {
    /// The address that it listens on; the port is a real one also where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What stops it.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.server.handle())
    }

    /// Serves until it is stopped. Nothing is answered before this is awaited.
    pub async fn serve(self) -> io::Result<()> {
        self.server.await
    }
}

impl Stopper {
    /// Takes no more connections and lets requests finish, within the shutdown timeout.
    pub async fn finish(&self) {
        self.0.stop(true).await;
    }

    /// Stops now.
    pub async fn abort(&self) {
        self.0.stop(false).await;
    }
}

/// Binds a socket with a queue of `backlog` connections. Needs a running tokio runtime.
pub fn bind(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart must not wait for the connections of the process before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)?.into_std()
}

/// Starts answering on `listener`; `configure` mounts the routes and adds what their handlers need.
pub fn start<F>(listener: TcpListener, frame: Frame, configure: F) -> io::Result<Running>
where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let address = listener.local_addr()?;
    let settings = frame.settings.clone();
    let frame = Data::new(frame);
    let builder = Server::build();
    let stopping = builder.graceful_shutdown_signal();
    let HttpSettings { workers, connections_max, shutdown_timeout, .. } = settings;
    // The framework's own server takes no other sockets than plain ones: this is the same from its parts. What
    // it tells an application about itself is used for addresses in answers, which are made from `public_url` here.
    let serve = move || {
        let (head, silence) = (settings.head_timeout, settings.keep_alive);
        let stopping = stopping.clone();
        let app =
            App::new().app_data(Data::clone(&frame)).configure(&configure).wrap(from_fn(edge));
        let http = HttpService::build()
            .keep_alive(silence)
            .client_request_timeout(head)
            .client_disconnect_timeout(LINGER)
            // SECURITY: T-04. Whoever closes his side has gone: his login must not be hashed.
            .h1_allow_half_closed(false)
            .local_addr(address)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(|socket: &Timed, data: &mut Extensions| {
                data.insert(socket.turn().clone());
            })
            .h1(map_config(app, |()| AppConfig::default()));
        fn_service(move |socket: TcpStream| {
            let peer = socket.peer_addr().ok();
            ready(Ok::<_, DispatchError>((Timed::new(socket, head, silence), peer)))
        })
        .and_then(http)
    };
    let server = builder
        .workers(workers)
        .max_concurrent_connections(connections_max)
        .shutdown_timeout(shutdown_timeout.as_secs())
        .disable_signals()
        .listen(format!("http {address}"), listener, serve)?;
    Ok(Running { server: server.run(), address })
}

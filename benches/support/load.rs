//! A lean load: keep-alive connections that send one request at a time and parse as little as they can.
//!
//! It shares the cores with what it measures, so it is the same for both sides. Any answer but 200 ends the bench.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use portcullis::app::front::Bound;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::Rig;

/// Threads that make the load.
const THREADS: usize = 2;

/// LIMIT: the answers that are measured take one or two KiB.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// One client: what it sends, again and again.
pub(crate) struct Caller {
    request: Vec<u8>,
    /// Where the refresh token stands, which each answer replaces.
    token_at: Option<usize>,
}

impl Caller {
    /// Sends `request`, and puts each refresh token that it gets where the one before stands.
    pub(crate) fn new(request: String) -> Self {
        let request = request.into_bytes();
        let token_at = find(&request, REFRESH_TOKEN).map(|at| at + REFRESH_TOKEN.len());
        Self { request, token_at }
    }

    async fn call(&mut self, stream: &mut TcpStream, buffer: &mut [u8]) {
        stream.write_all(&self.request).await.unwrap();
        let mut held = 0;
        let body = loop {
            let read = stream.read(&mut buffer[held..]).await.unwrap();
            assert!(
                read > 0,
                "the connection was closed: {}",
                String::from_utf8_lossy(&buffer[..held])
            );
            held += read;
            if let Some(body) = body(&buffer[..held]) {
                break body;
            }
        };
        assert!(
            buffer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&buffer[..held])
        );
        if let Some(at) = self.token_at {
            let from = find(body, REFRESH_TOKEN).unwrap() + REFRESH_TOKEN.len();
            let token = &body[from..from + TOKEN_BYTES];
            self.request[at..at + TOKEN_BYTES].copy_from_slice(token);
        }
    }
}

/// `{"refresh_token":"` without its brace, in a request as in an answer.
const REFRESH_TOKEN: &[u8] = b"\"refresh_token\":\"";
/// `pcr_` and 43 characters.
const TOKEN_BYTES: usize = 47;

/// The body of an answer, once it is whole.
fn body(answer: &[u8]) -> Option<&[u8]> {
    let end = find(answer, b"\r\n\r\n")? + 4;
    let (head, rest) = answer.split_at(end);
    let digits = &head[find(head, b"content-length: ").unwrap() + 16..];
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    rest.get(..length)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Lets all callers call for about so long; how many answers came a second.
pub(crate) fn load(address: SocketAddr, callers: &mut [Caller], during: Duration) -> f64 {
    let share = callers.len().div_ceil(THREADS);
    thread::scope(|scope| {
        let shares = callers.chunks_mut(share);
        let threads: Vec<_> = shares
            .map(|callers| scope.spawn(move || load_thread(address, callers, during)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

fn load_thread(address: SocketAddr, callers: &mut [Caller], during: Duration) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let streams = join_all(callers.iter().map(|_| TcpStream::connect(address))).await;
        let (start, until) = (Instant::now(), Instant::now() + during);
        let counts = callers.iter_mut().zip(streams).map(|(caller, stream)| async move {
            let (mut stream, mut buffer) = (stream.unwrap(), vec![0; ANSWER_BYTES_MAX]);
            stream.set_nodelay(true).unwrap();
            let mut count = 0_u32;
            while Instant::now() < until {
                caller.call(&mut stream, &mut buffer).await;
                count += 1;
            }
            count
        });
        let count: u32 = join_all(counts).await.into_iter().sum();
        f64::from(count) / start.elapsed().as_secs_f64()
    })
}

/// Serves our API as `serve` does; its address.
pub(crate) fn serve(rig: &Rig) -> SocketAddr {
    let _inside = rig.runtime.enter();
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bound = Bound { public: free(), admin: free() };
    let front = bound.start(&rig.config, &rig.app).unwrap();
    let address = front.public.address();
    rig.app.tasks.spawn(async { front.public.serve().await.unwrap() });
    address
}

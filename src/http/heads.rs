//! The time that a head may take on a connection that was answered before (HTTP-12).
//!
//! The framework times the first head of a connection and the silence between requests, not the heads that come
//! later. The socket of a connection and its edge share a [`Turn`]: it says until when the next request has to be there.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// What one connection waits for: nothing while a request is answered, else the next request, until a moment.
#[derive(Clone)]
pub(super) struct Turn(Rc<Waiting>);

struct Waiting {
    head: Duration,
    silence: Duration,
    until: Cell<Option<Instant>>,
}

impl Turn {
    /// A head may take `head`; the client may be silent for `silence` before it. The framework has the first head.
    fn new(head: Duration, silence: Duration) -> Self {
        Self(Rc::new(Waiting { head, silence, until: Cell::new(None) }))
    }

    /// The client's turn is over until what this returns is dropped: once the answer has gone out.
    pub(super) fn answering(&self) -> Answering {
        self.0.until.set(None);
        Answering(self.clone())
    }

    /// Bytes came: the head that they begin ends in time. Those after the first find an earlier moment.
    fn heard(&self) {
        if let Some(until) = self.0.until.get() {
            self.0.until.set(Some(until.min(Instant::now() + self.0.head)));
        }
    }
}

/// A request that is being answered.
pub(super) struct Answering(Turn);

impl Drop for Answering {
    fn drop(&mut self) {
        let waiting = &self.0.0;
        // What came with the request before may be a part of a head already. Nobody hears it a second time, so
        // there is an end to the silence after it too, later than that of the framework.
        waiting.until.set(Some(Instant::now() + waiting.silence + waiting.head));
    }
}

/// The socket of a client: it fails when his turn has lasted too long.
pub(super) struct Timed {
    socket: TcpStream,
    turn: Turn,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Timed {
    pub(super) fn new(socket: TcpStream, head: Duration, silence: Duration) -> Self {
        Self { socket, turn: Turn::new(head, silence), timer: None }
    }

    /// What the edge is told about the connection.
    pub(super) fn turn(&self) -> &Turn {
        &self.turn
    }

    /// Fails when the client's turn has lasted too long; wakes the task of `context` then.
    // SECURITY: HTTP-12. A byte of a head now and then holds no connection.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let Some(until) = self.turn.0.until.get() else { return Ok(()) };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.turn.heard();
        }
        read
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // An answer ends with this and nothing is read after it: here the timer begins.
        self.check(context)?;
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

//! What becomes of a body that nobody reads to its end: its connection closes (INP-06, HTTP-12).
//!
//! The framework reads a body in chunks that was dropped to its end before it takes the next request, without a limit
//! of bytes or time. A body that is still held when the answer has gone out makes it close the connection instead.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::HttpMessage;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::web::Bytes;
use futures_util::Stream;

/// The body of a request, held until its answer has gone out.
#[derive(Clone)]
pub(super) struct Held(Rc<RefCell<Payload>>);

impl Held {
    /// Holds the body of `request` if it comes in chunks; whoever takes it from there reads it as before.
    pub(super) fn of(request: &mut ServiceRequest) -> Option<Self> {
        request.headers().get(header::TRANSFER_ENCODING)?;
        let held = Self(Rc::new(RefCell::new(request.take_payload())));
        request.set_payload(Payload::Stream { payload: Box::pin(held.clone()) });
        Some(held)
    }
}

impl Stream for Held {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

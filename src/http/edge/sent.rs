//! What lasts until an answer has gone out.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::web::Bytes;

/// Lets go of `kept` once `response` has gone out.
pub(super) fn until_sent<K: Unpin + 'static>(
    response: ServiceResponse,
    kept: K,
) -> ServiceResponse {
    response.map_body(|_, body| BoxBody::new(Sending { body, _kept: kept }))
}

/// The body of an answer, and what lasts as long.
struct Sending<K> {
    body: BoxBody,
    _kept: K,
}

impl<K: Unpin> MessageBody for Sending<K> {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_pin_mut().poll_next(context)
    }
}

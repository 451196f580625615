//! A rendered letter as the bytes of a message (RFC 5322, MIME).
//!
//! The same job gives the same bytes. Bodies are not encoded, so that a link stays whole on its line: the library
//! would make `token=3D…` of it and break the line. Only a server that takes nothing but ASCII gets them encoded.

use std::error::Error;
use std::time::{Duration, SystemTime};

use lettre::message::header::{
    ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue,
};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};

use super::Envelope;
use super::letters::Rendered;
use crate::Fault;
use crate::domain::email::CanonicalEmail;

/// How bodies are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As they are, so that a link stays whole on its line.
    Plain,
    /// In ASCII, for a server that takes nothing else.
    SevenBit,
}

/// Builds the message for one reader.
pub(super) fn build(
    envelope: Envelope,
    message_id: String,
    (from, to): (&Mailbox, Address),
    (rendered, encoding): (Rendered, Encoding),
) -> Result<Vec<u8>, Fault> {
    let made_at = u64::try_from(envelope.made_at.seconds()).unwrap_or(0);
    let parts = MultiPart::alternative()
        .boundary(envelope.id.0.simple().to_string())
        .singlepart(part(ContentType::TEXT_PLAIN, rendered.text, encoding))
        .singlepart(part(ContentType::TEXT_HTML, rendered.html, encoding));
    let message = Message::builder()
        .date(SystemTime::UNIX_EPOCH + Duration::from_secs(made_at))
        .message_id(Some(message_id))
        .header(AutoSubmitted)
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(rendered.subject)
        .multipart(parts)
        .map_err(Fault::internal)?;
    Ok(message.formatted())
}

/// The stored address as a mail server takes it: as typed, a domain beyond ASCII as A-label.
///
/// A stored address is a valid one; it is checked again because a header is made of it (EML-14).
pub(super) fn address(stored: &str) -> Result<Address, Fault> {
    let canonical = CanonicalEmail::parse(stored).map_err(Fault::internal)?;
    let (local, domain) = stored.trim().split_once('@').unwrap_or((stored, ""));
    let domain = if domain.is_ascii() { domain } else { canonical.domain() };
    Address::new(local, domain).map_err(Fault::internal)
}

/// The configured sender as a mail server takes it: a domain beyond ASCII as A-label.
pub(super) fn sender(from: &str) -> Result<Mailbox, Fault> {
    let Mailbox { name, email } = from.parse().map_err(Fault::internal)?;
    let domain = idna::domain_to_ascii(email.domain()).map_err(Fault::internal)?;
    let is_ascii = email.domain().is_ascii();
    let domain = if is_ascii { email.domain() } else { domain.as_str() };
    Ok(Mailbox::new(name, Address::new(email.user(), domain).map_err(Fault::internal)?))
}

fn part(content_type: ContentType, text: String, encoding: Encoding) -> SinglePart {
    let builder = SinglePart::builder().header(content_type);
    if encoding == Encoding::SevenBit && !text.is_ascii() {
        return builder.body(text);
    }
    let encoding = if text.is_ascii() {
        ContentTransferEncoding::SevenBit
    } else {
        ContentTransferEncoding::EightBit
    };
    let lines: String = text.lines().flat_map(|line| [line, "\r\n"]).collect();
    let body = Body::dangerous_pre_encoded(lines.into_bytes(), encoding);
    builder.body(body)
}

/// RFC 3834, 5: keeps absence notices away.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_text: &str) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

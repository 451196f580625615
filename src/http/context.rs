//! Who asks, as far as the connection tells: the request's id, the peer, the client's own name.
//!
//! The address is the socket's peer and nothing else (BRU-04): no header is believed.

use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use actix_web::http::header;
use actix_web::{FromRequest, HttpMessage, HttpRequest, dev};
use tokio::time::Instant;

use super::problem::Problem;
use crate::domain::session::Origin;
use crate::fault::Fault;

/// LIMIT: what a session and an audit row keep of a user agent.
const USER_AGENT_CHARS_MAX: usize = 256;

/// What the edge knows of a request; put into its extensions.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) request_id: Arc<str>,
    pub(crate) started: Instant,
}

/// Where a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The peer of the socket.
    pub address: IpAddr,
    /// What the client calls itself: at most 256 characters, none of them a control.
    pub user_agent: Option<String>,
    /// The id of the request: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub request_id: String,
}

impl From<Client> for Origin {
    fn from(client: Client) -> Self {
        Self {
            address: client.address.to_string(),
            user_agent: client.user_agent,
            request_id: Some(client.request_id),
        }
    }
}

impl FromRequest for Client {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut dev::Payload) -> Self::Future {
        let known = request.extensions().get::<Context>().cloned();
        ready(
            known
                .map(|context| Self {
                    address: peer(request),
                    user_agent: user_agent(request),
                    request_id: context.request_id.as_ref().to_owned(),
                })
                .ok_or_else(|| Fault::internal("the request did not pass the edge").into()),
        )
    }
}

/// The peer of the socket; `::ffff:192.0.2.1` is `192.0.2.1`. Only a test call has none.
pub(crate) fn peer(request: &HttpRequest) -> IpAddr {
    request
        .peer_addr()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip().to_canonical())
}

fn user_agent(request: &HttpRequest) -> Option<String> {
    let value = request.headers().get(header::USER_AGENT)?;
    // SECURITY: LOG-05. No line break, escape or right-to-left mark reaches a log or a list.
    let printable = |one: &char| !one.is_control() && !is_invisible(*one);
    let text = String::from_utf8_lossy(value.as_bytes());
    let kept: String = text.chars().filter(printable).take(USER_AGENT_CHARS_MAX).collect();
    let kept = kept.trim();
    (!kept.is_empty()).then(|| kept.to_owned())
}

fn is_invisible(one: char) -> bool {
    matches!(one, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFFD}')
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn agent(text: &[u8]) -> Option<String> {
        let value = header::HeaderValue::from_bytes(text).unwrap();
        user_agent(&TestRequest::default().insert_header(("user-agent", value)).to_http_request())
    }

    #[test]
    fn log_05_a_user_agent_is_short_and_printable() {
        assert_eq!(agent(b"curl/8.1").unwrap(), "curl/8.1");
        assert_eq!(agent("a\u{202E}b\tc".as_bytes()).unwrap(), "abc");
        assert_eq!(agent(b"  \t "), None);
        assert_eq!(agent(&[b'x'; 9000]).unwrap().len(), 256);
        assert_eq!(agent(b"a\xffb").unwrap(), "ab");
    }

    #[test]
    fn bru_04_no_header_names_the_peer() {
        let request = TestRequest::default()
            .peer_addr("[::ffff:192.0.2.1]:9".parse().unwrap())
            .insert_header(("x-forwarded-for", "203.0.113.7"))
            .insert_header(("forwarded", "for=203.0.113.7"))
            .to_http_request();
        assert_eq!(peer(&request), "192.0.2.1".parse::<IpAddr>().unwrap());
    }
}

//! Which addresses may be called: public ones, and what the operator let through (WHK-05, T-11).
//!
//! [`Guard::check_url`] is asked by whoever stores a URL and again by whoever calls it (WHK-08). What a
//! name stands for is asked once, by the connector, with the same rules (`resolver`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::{Host, Url};

use crate::domain::fields::{FieldCode, FieldFault};

/// LIMIT: ours; it is stored, logged and sent in one request line.
pub const URL_BYTES_MAX: usize = 2048;

/// SECURITY: WHK-05. Ports of web servers only, so that nobody talks to a mail server or a database.
const PORTS: [u16; 4] = [80, 443, 8080, 8443];

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(first: u16, second: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0), prefix)
}

/// What is not public in IPv4 (IANA Special-Purpose Address Registry, RFC 6890).
const CLOSED_V4: [Ipv4Net; 15] = [
    v4(0, 0, 0, 0, 8),       // this network
    v4(10, 0, 0, 0, 8),      // private
    v4(100, 64, 0, 0, 10),   // shared by carriers
    v4(127, 0, 0, 0, 8),     // loopback
    v4(169, 254, 0, 0, 16),  // link-local; metadata of clouds
    v4(172, 16, 0, 0, 12),   // private
    v4(192, 0, 0, 0, 24),    // protocol assignments
    v4(192, 0, 2, 0, 24),    // documentation
    v4(192, 88, 99, 0, 24),  // 6to4 relays
    v4(192, 168, 0, 0, 16),  // private
    v4(198, 18, 0, 0, 15),   // benchmarks
    v4(198, 51, 100, 0, 24), // documentation
    v4(203, 0, 113, 0, 24),  // documentation
    v4(224, 0, 0, 0, 4),     // multicast
    v4(240, 0, 0, 0, 4),     // reserved, broadcast
];

/// The only global unicast space of IPv6; NAT64, ULA, link-local, multicast and mapped lie outside.
const OPEN_V6: Ipv6Net = v6(0x2000, 0, 3);

/// What is not public within it.
const CLOSED_V6: [Ipv6Net; 4] = [
    v6(0x2001, 0, 23),     // protocol assignments, Teredo among them
    v6(0x2001, 0xdb8, 32), // documentation
    v6(0x2002, 0, 16),     // 6to4
    v6(0x3fff, 0, 20),     // documentation
];

/// Whether anybody on the internet can be meant.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => !CLOSED_V4.iter().any(|net| net.contains(&v4)),
        IpAddr::V6(v6) => OPEN_V6.contains(&v6) && !CLOSED_V6.iter().any(|net| net.contains(&v6)),
    }
}

/// What an address must be to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Public, or let through by `outbound.allow_networks`.
    Public,
    /// Let through by `outbound.allow_networks`: for ports that are open nowhere else.
    Allowed,
}

/// The rules for addresses.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allowed: Vec<IpNet>,
    allow_http: bool,
}

/// A URL that may be called. The address of a name is checked when it is dialled.
#[derive(Clone, PartialEq, Eq)]
pub struct CheckedUrl {
    url: Url,
    host: String,
    pub(super) reach: Reach,
}

impl CheckedUrl {
    /// The URL in its normal form: what is to be stored.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The host in its normal form, without port and final dot.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }
}

/// SECURITY: LOG-03. Paths and queries of hooks are often secrets.
impl fmt::Debug for CheckedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckedUrl({}…)", self.url.origin().ascii_serialization())
    }
}

/// Why a URL may not be called; each text is fit for a client and quotes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// Not an absolute URL with a host, or one with blanks or control characters in it.
    #[error("Expected an absolute URL, such as https://example.org/hooks.")]
    NotAUrl,
    /// More than [`URL_BYTES_MAX`] bytes.
    #[error("A URL has at most {URL_BYTES_MAX} bytes.")]
    TooLong,
    /// Not https, and http is not allowed here.
    #[error("The URL must start with https://.")]
    NotHttps,
    /// Neither https nor http.
    #[error("The URL must start with https:// or http://.")]
    NotHttp,
    /// A user name or a password.
    #[error("The URL must hold no user name and no password.")]
    UserInfo,
    /// A part behind `#`.
    #[error("The URL must have no part behind \"#\": it is never sent.")]
    Fragment,
    /// A port that no web server has.
    #[error("The port must be 443, 8443, 80 or 8080.")]
    Port,
    /// A host that is no public address.
    #[error("The host must be public on the internet.")]
    NotPublic,
}

impl UrlFault {
    /// The fault of the field at `pointer`.
    pub fn at(self, pointer: &str) -> FieldFault {
        let code = match self {
            Self::NotAUrl | Self::UserInfo | Self::Fragment => FieldCode::InvalidFormat,
            Self::TooLong => FieldCode::TooLong,
            Self::NotHttps | Self::NotHttp | Self::Port | Self::NotPublic => FieldCode::NotAllowed,
        };
        FieldFault::new(pointer, code, self.to_string())
    }
}

impl Guard {
    /// Rules that let `allowed` through on any port, and http where `allow_http` says so.
    pub fn new(allowed: Vec<IpNet>, allow_http: bool) -> Self {
        Self { allowed, allow_http }
    }

    /// Checks everything about a URL that needs no other machine.
    pub fn check_url(&self, text: &str) -> Result<CheckedUrl, UrlFault> {
        if text.len() > URL_BYTES_MAX {
            return Err(UrlFault::TooLong);
        }
        // A parser of URLs drops line breaks and tabs: then another URL is called than was read.
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(UrlFault::NotAUrl);
        }
        let url = Url::parse(text).or(Err(UrlFault::NotAUrl))?;
        match (url.scheme(), self.allow_http) {
            ("https", _) | ("http", true) => {}
            (_, true) => return Err(UrlFault::NotHttp),
            (_, false) => return Err(UrlFault::NotHttps),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlFault::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(UrlFault::Fragment);
        }
        let port = url.port_or_known_default().ok_or(UrlFault::NotAUrl)?;
        let host = url.host().ok_or(UrlFault::NotAUrl)?;
        let reach = self.reach(&host, PORTS.contains(&port))?;
        let host = host.to_string().trim_end_matches('.').to_owned();
        Ok(CheckedUrl { url, host, reach })
    }

    /// SECURITY: WHK-05. An address that is written out never reaches a resolver: it is judged here.
    fn reach(&self, host: &Host<&str>, is_usual_port: bool) -> Result<Reach, UrlFault> {
        let written: &[IpAddr] = match host {
            Host::Ipv4(v4) => &[IpAddr::V4(*v4)],
            Host::Ipv6(v6) => &[IpAddr::V6(*v6)],
            // RFC 6761, 6.3: nobody else can be meant.
            Host::Domain(name) if is_localhost(name) => {
                &[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]
            }
            Host::Domain(_) => &[],
        };
        if written.iter().any(|address| self.is_allowed(*address)) {
            return Ok(Reach::Allowed);
        }
        match written.first() {
            Some(address) if !is_public(*address) => Err(UrlFault::NotPublic),
            Some(_) | None if is_usual_port => Ok(Reach::Public),
            // The name may stand for an address that is let through; the connector will see.
            None if !self.allowed.is_empty() => Ok(Reach::Allowed),
            Some(_) | None => Err(UrlFault::Port),
        }
    }

    /// Whether `address` may be dialled.
    pub(super) fn admits(&self, address: IpAddr, reach: Reach) -> bool {
        self.is_allowed(address) || (reach == Reach::Public && is_public(address))
    }

    fn is_allowed(&self, address: IpAddr) -> bool {
        let canonical = address.to_canonical();
        self.allowed.iter().any(|net| net.contains(&canonical))
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

//! The small languages of a configuration: durations, public addresses, database addresses, lists of words.
//!
//! Each function answers `None` for what it does not take; the reader says which key that was.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::sections::{SmtpTls, StoreUrl};

/// A whole number with `ms`, `s`, `m`, `h` or `d` right behind it.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(unit_at)?;
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// LIMIT: `iss` of every token; a token stays below 3 500 bytes.
pub(super) const PUBLIC_URL_BYTES_MAX: usize = 100;

/// An origin exactly as clients write it: verifiers compare it byte for byte with `iss`.
pub(super) fn origin(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let is_canonical = url.origin().ascii_serialization() == text;
    (is_canonical && text.len() <= PUBLIC_URL_BYTES_MAX).then_some(url)
}

/// The origin of a listener, for whom no other name was given.
pub(super) fn origin_of(listen: SocketAddr) -> Option<Url> {
    Url::parse(&format!("http://{listen}")).ok()
}

/// LIMIT: a link in a text mail stays on one line of 998 bytes (RFC 5322, 2.1.1).
const UI_URL_BYTES_MAX: usize = 200;

/// An address to which `/verify#token=…` can be put.
pub(super) fn site(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && !text.ends_with('/')
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    (is_plain && text.len() <= UI_URL_BYTES_MAX).then(|| text.to_owned())
}

/// What a URL says of a mail server.
pub(super) struct SmtpUrl {
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: SmtpTls,
    pub(super) user: Option<String>,
}

/// Whether a password stands in a URL.
pub(super) fn has_password(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.password().is_some())
}

/// SECURITY: CFG-07, EML-16. Beyond this host there is TLS or no mail.
pub(super) fn smtp_url(text: &str) -> Option<SmtpUrl> {
    let url = Url::parse(text).ok()?;
    let is_plain = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.password().is_none();
    let named = url.host_str().filter(|host| !host.is_empty() && is_plain)?;
    // The library leaves hosts of other schemes than the web's as they are: `[::1]`, `Mail.Example.ORG`.
    let host = Host::parse(named).ok()?.to_string();
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let (tls, usual) = match url.scheme() {
        "smtps" => (SmtpTls::Implicit, 465),
        "smtp" if is_loopback(&host) => (SmtpTls::Loopback, 25),
        "smtp" => (SmtpTls::StartTls, 587),
        _ => return None,
    };
    let user = percent_decode_str(url.username()).decode_utf8().ok()?.into_owned();
    let user = Some(user).filter(|user| !user.is_empty());
    Some(SmtpUrl { host, port: url.port().unwrap_or(usual), tls, user })
}

/// Whether nobody but this host can mean it.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

/// Two listeners that would want one port.
pub(super) fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    let meet = a == b || a.is_unspecified() || b.is_unspecified();
    one.port() == other.port() && one.port() != 0 && meet
}

/// A host name as a `Host` header has it, in lower case and without a port.
pub(super) fn host(text: &str) -> Option<String> {
    let parsed = Host::parse(text).ok()?;
    // `*.example.org` and `example.org:443` are refused here instead of never being met.
    let is_name = match &parsed {
        Host::Domain(name) => name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')),
        Host::Ipv4(_) | Host::Ipv6(_) => true,
    };
    is_name.then(|| parsed.to_string())
}

/// The database that a URL names.
pub(super) fn store_url(text: &str) -> Option<StoreUrl> {
    if let Some(path) = text.strip_prefix("sqlite://") {
        // SECURITY: CFG-12. `:memory:` and `?mode=…` would be files of that name, or no file at all.
        let is_path = !path.is_empty() && !path.contains(['?', '#', '\0']) && path != ":memory:";
        return is_path.then(|| StoreUrl::Sqlite(PathBuf::from(path)));
    }
    let url = Url::parse(text).ok()?;
    let is_postgres = matches!(url.scheme(), "postgres" | "postgresql");
    is_postgres.then(|| StoreUrl::Postgres(text.to_owned().into()))
}

/// Whether the server of a PostgreSQL URL runs on this host: a socket, or a loopback name.
pub(super) fn is_local_postgres(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let in_query = url.query_pairs().find(|(key, _)| key == "host" || key == "hostaddr");
    match in_query {
        Some((_, host)) => host.starts_with('/') || is_loopback(&host),
        None => url.host_str().is_none_or(|host| {
            host.is_empty() || is_loopback(host) || host.to_ascii_lowercase().starts_with("%2f")
        }),
    }
}

/// LIMIT: `aud` and `scope` of every token; a token stays below 3 500 bytes.
const CLAIM_BYTES_MAX: usize = 64;

/// A name that stands in `aud`: visible ASCII.
pub(super) fn is_audience(text: &str) -> bool {
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    !text.is_empty() && text.len() <= CLAIM_BYTES_MAX && is_visible
}

/// Words of RFC 6749, 3.3, joined by one blank each.
pub(super) fn is_scope(text: &str) -> bool {
    let is_word = |word: &str| {
        let bytes = word.bytes();
        !word.is_empty()
            && bytes.fold(true, |ok, b| ok && b.is_ascii_graphic() && !b"\"\\".contains(&b))
    };
    text.len() <= CLAIM_BYTES_MAX && text.split(' ').all(is_word)
}

/// argon2id settings that OWASP counts as equal, as KiB and passes with one lane.
const ARGON2_FLOOR: [(u32, u32); 5] =
    [(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];

/// SECURITY: PWD-01. At least one of the equal pairs, in both numbers.
pub(super) fn is_strong(memory_kib: u32, iterations: u32) -> bool {
    ARGON2_FLOOR.iter().any(|(memory, passes)| memory_kib >= *memory && iterations >= *passes)
}

//! The host rule (HTTP-08): a request names one host, and it is one of ours.
//!
//! Nothing is built from `Host`; the rule keeps rebinding pages and poisoned caches away.

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::http::uri::Authority;

use crate::http::problem::{Kind, Problem};
use crate::http::settings::HttpSettings;

/// Asked by machines that know the instance by its address only.
const EXEMPT: [&str; 2] = ["/health/live", "/health/ready"];

/// 400 for no host or two, 421 for one that is not ours.
pub(super) fn check(request: &HttpRequest, settings: &HttpSettings) -> Result<(), Problem> {
    if EXEMPT.contains(&request.path()) {
        return Ok(());
    }
    let mut hosts = request.headers().get_all(header::HOST);
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(malformed()) };
    if host.is_empty() {
        return Err(malformed());
    }
    let named = host.to_str().unwrap_or_default();
    // `GET http://host/ HTTP/1.1` names a host as well; servers differ in which of the two counts.
    let also = request.uri().authority().map(Authority::as_str);
    let are_ours = [Some(named), also].into_iter().flatten().all(|name| is_ours(name, settings));
    if are_ours { Ok(()) } else { Err(Kind::HostUnknown.into()) }
}

fn is_ours(named: &str, settings: &HttpSettings) -> bool {
    let Some(name) = without_port(named) else { return false };
    settings.allowed_hosts.iter().any(|ours| ours.eq_ignore_ascii_case(name))
}

/// The name in front of an optional port; IPv6 keeps its brackets.
fn without_port(named: &str) -> Option<&str> {
    let end = match named.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => named.find(':').unwrap_or(named.len()),
    };
    let (name, rest) = named.split_at_checked(end)?;
    let is_port = |port: &str| port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port)).then_some(name)
}

fn malformed() -> Problem {
    Problem::new(Kind::MalformedRequest).with_detail("A request names exactly one host.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_08_only_the_listed_hosts_are_ours() {
        let mut settings = HttpSettings::new("https://id.example.org");
        settings.allowed_hosts = vec!["id.example.org".to_owned(), "[::1]".to_owned()];
        for good in ["id.example.org", "ID.example.ORG:443", "id.example.org:", "[::1]", "[::1]:8"]
        {
            assert!(is_ours(good, &settings), "{good}");
        }
        let long = "a".repeat(300);
        for bad in [
            "example.org",
            "id.example.org.",
            "id.example.org.evil.test",
            "evil.test:id.example.org",
            "id.example.org:1:2",
            "id.example.org@evil.test",
            "[::1",
            "[::1]x",
            "::1",
            "127.0.0.1",
            "",
            &long,
        ] {
            assert!(!is_ours(bad, &settings), "{bad}");
        }
    }
}

//! Which media types a body may have (INP-08, HTTP-16): JSON in UTF-8, not compressed.

use actix_web::HttpRequest;
use actix_web::http::{Method, header};

use crate::http::problem::{Kind, Problem};

/// Refuses everything but JSON in UTF-8; PATCH also takes a merge patch.
pub(super) fn check(request: &HttpRequest) -> Result<(), Problem> {
    let headers = request.headers();
    // SECURITY: HTTP-16. Nothing is unpacked, so nothing can be a bomb.
    let is_plain = headers
        .get_all(header::CONTENT_ENCODING)
        .all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    let mut types = headers.get_all(header::CONTENT_TYPE);
    let only = types.next().filter(|_| types.next().is_none());
    let is_json = only
        .and_then(|value| value.to_str().ok())
        .is_some_and(|text| is_allowed(text, request.method() == Method::PATCH));
    if is_plain && is_json { Ok(()) } else { Err(Kind::MediaTypeUnsupported.into()) }
}

fn is_allowed(text: &str, is_patch: bool) -> bool {
    let mut parts = text.split(';').map(|part| part.trim_matches([' ', '\t']));
    let essence = parts.next().unwrap_or_default();
    let is_json = essence.eq_ignore_ascii_case("application/json")
        || is_patch && essence.eq_ignore_ascii_case("application/merge-patch+json");
    is_json
        && match (parts.next(), parts.next()) {
            (None, _) => true,
            (Some(parameter), None) => is_utf_8(parameter),
            (Some(_), Some(_)) => false,
        }
}

fn is_utf_8(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    name.eq_ignore_ascii_case("charset") && bare.eq_ignore_ascii_case("utf-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inp_08_only_json_in_utf_8_is_taken() {
        for good in [
            "application/json",
            "Application/JSON",
            "application/json;charset=utf-8",
            "application/json; charset=UTF-8",
            "application/json; charset=\"utf-8\"",
        ] {
            assert!(is_allowed(good, false), "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/json; charset=utf-16",
            "application/json; charset=utf-8; charset=utf-8",
            "application/json; boundary=x",
            "application/json;",
            "application/json, application/json",
            "application/problem+json",
            "application/merge-patch+json",
        ] {
            assert!(!is_allowed(bad, false), "{bad}");
        }
        assert!(is_allowed("application/merge-patch+json", true));
    }
}

//! Parts of the path: an id that is none names nothing, which is 404 like an id that nobody has.

use std::str::FromStr;

use actix_web::HttpRequest;

use super::problem::{Kind, Problem};

/// LIMIT: a `UUID` in text with its hyphens (RFC 9562, section 4).
const UUID_CHARS: usize = 36;

/// The id in the segment `name`. Ask after the token was looked at.
pub fn id<T: FromStr>(request: &HttpRequest, name: &str) -> Result<T, Problem> {
    let text = request.match_info().get(name).filter(|text| text.len() == UUID_CHARS);
    text.and_then(|text| text.parse().ok()).ok_or_else(|| Kind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::domain::ids::SessionId;

    #[test]
    fn what_is_no_id_is_not_found() {
        let read = |text: &'static str| {
            id::<SessionId>(&TestRequest::default().param("id", text).to_http_request(), "id")
        };
        assert!(read("018f4f5e-7b1c-7cc3-9f3a-0123456789ab").is_ok());
        for bad in [
            "",
            "1",
            "018f4f5e7b1c7cc39f3a0123456789ab",
            "{018f4f5e-7b1c-7cc3-9f3a-0123456789ab}",
            "018f4f5e-7b1c-7cc3-9f3a-0123456789aZ",
        ] {
            assert_eq!(read(bad).unwrap_err().kind(), Kind::NotFound);
        }
    }
}

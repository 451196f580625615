//! The access token of a request: `Authorization: Bearer`, read exactly (HTTP-14).
//!
//! Whether the token is good is for a flow to say; here it only has the form of one.

use actix_web::HttpRequest;
use actix_web::http::header;
use zeroize::Zeroizing;

use super::problem::{Kind, Problem};

/// LIMIT: HTTP-14; our tokens stay below 3 500 bytes.
const BYTES_MAX: usize = 8 * 1024;

/// The token, or why there is none: 401, or 400 where two headers compete.
pub fn required(request: &HttpRequest) -> Result<Zeroizing<String>, Problem> {
    optional(request)?.ok_or_else(|| Kind::AuthenticationRequired.into())
}

/// The token if a bearer token came at all; another scheme is none.
pub fn optional(request: &HttpRequest) -> Result<Option<Zeroizing<String>>, Problem> {
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::new(Kind::MalformedRequest)
            .with_detail("The header Authorization stands twice."));
    }
    let bytes = value.as_bytes();
    let split = bytes.iter().position(|byte| *byte == b' ').unwrap_or(bytes.len());
    let (scheme, rest) = bytes.split_at_checked(split).unwrap_or((bytes, &[]));
    match rest.strip_prefix(b" ") {
        _ if !scheme.eq_ignore_ascii_case(b"bearer") => Ok(None),
        None | Some([]) => Ok(None),
        Some(token) if is_token(token) => {
            let text = str::from_utf8(token).or(Err(Kind::AccessTokenInvalid))?;
            Ok(Some(Zeroizing::new(text.to_owned())))
        }
        Some(_) => Err(Kind::AccessTokenInvalid.into()),
    }
}

/// `b64token` of RFC 6750, section 2.1.
fn is_token(bytes: &[u8]) -> bool {
    let of_alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    bytes.len() <= BYTES_MAX && bytes.iter().all(of_alphabet)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn read(values: &[&[u8]]) -> Result<String, Kind> {
        let mut request = TestRequest::default();
        for value in values {
            let value = header::HeaderValue::from_bytes(value).unwrap();
            request = request.append_header((header::AUTHORIZATION, value));
        }
        let token = required(&request.to_http_request());
        token.map(|token| token.as_str().to_owned()).map_err(|problem| problem.kind())
    }

    #[test]
    fn http_14_a_broken_authorization_is_refused_and_never_a_fault() {
        assert_eq!(read(&[b"Bearer a.b-c_d"]).unwrap(), "a.b-c_d");
        assert_eq!(read(&[b"bearer abc"]).unwrap(), "abc");
        for none in [&b""[..], b"Basic YTpi", b"Bearer", b"Bearer ", b"Bearertoken", b"abc"] {
            assert_eq!(read(&[none]).unwrap_err(), Kind::AuthenticationRequired, "{none:?}");
        }
        assert_eq!(read(&[]).unwrap_err(), Kind::AuthenticationRequired);
        let long = [&b"Bearer "[..], &[b'a'; 16 * 1024]].concat();
        for bad in [&b"Bearer  a"[..], b"Bearer a b", b"Bearer a,b", b"Bearer \xc3\xa4", &long] {
            assert_eq!(read(&[bad]).unwrap_err(), Kind::AccessTokenInvalid, "{bad:?}");
        }
    }

    #[test]
    fn inp_14_two_authorizations_are_malformed() {
        assert_eq!(read(&[b"Bearer a", b"Bearer a"]).unwrap_err(), Kind::MalformedRequest);
    }
}

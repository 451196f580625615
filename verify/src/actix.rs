//! An extractor for actix-web: the claims of the caller, or the answer that RFC 6750 asks for.
//!
//! The [`Verifier`] is app data. Roles are left to the handler: `claims.has_role("…")`, else 403.

use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};

use crate::claims::Claims;
use crate::verifier::{KeysUnavailable, Verifier, VerifyError};
use crate::verify::Refused;

/// The claims of the access token in `Authorization: Bearer …` (RFC 6750, 2.1).
///
/// Needs `app_data(web::Data::new(verifier))`. Tokens in a body or a query are not read.
#[derive(Clone, Debug)]
pub struct Bearer(pub Claims);

/// Why there are no claims; answers by itself, without a body.
///
/// The realm is the audience of the verifier.
#[derive(Debug, thiserror::Error)]
pub enum BearerError {
    /// No token came, or another scheme: 401, challenge without `error`, so that no client throws a
    /// good token away.
    #[error("no bearer token came")]
    NoToken {
        /// The realm of the challenge.
        realm: String,
    },
    /// The token is bad, or there are two headers: 401, `error="invalid_token"` for every reason.
    #[error("the bearer token is invalid")]
    Invalid {
        /// The realm of the challenge.
        realm: String,
        /// The reason, for a log only; `None` for a malformed header.
        #[source]
        reason: Option<Refused>,
    },
    /// The keys cannot be had: 503 with `Retry-After`.
    #[error(transparent)]
    KeysUnavailable(#[from] KeysUnavailable),
    /// The app has no `Data<Verifier>`: 500.
    #[error("the app has no Data<Verifier>")]
    NoVerifier,
}

impl FromRequest for Bearer {
    type Error = BearerError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, BearerError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let verifier = request.app_data::<Data<Verifier>>().cloned();
        let found = verifier.ok_or(BearerError::NoVerifier).and_then(|verifier| {
            let token = token_of(request, &realm_of(&verifier))?;
            Ok((verifier, token))
        });
        Box::pin(async {
            let (verifier, token) = found?;
            match verifier.verify(&token).await {
                Ok(claims) => Ok(Self(claims)),
                Err(VerifyError::KeysUnavailable(fault)) => Err(fault.into()),
                Err(VerifyError::Refused(reason)) => {
                    Err(BearerError::Invalid { realm: realm_of(&verifier), reason: Some(reason) })
                }
            }
        })
    }
}

impl ResponseError for BearerError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NoToken { .. } | Self::Invalid { .. } => StatusCode::UNAUTHORIZED,
            Self::KeysUnavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoVerifier => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status_code());
        match self {
            Self::NoToken { realm } => {
                answer.insert_header((WWW_AUTHENTICATE, format!(r#"Bearer realm="{realm}""#)));
            }
            Self::Invalid { realm, .. } => {
                let challenge = format!(r#"Bearer realm="{realm}", error="invalid_token""#);
                answer.insert_header((WWW_AUTHENTICATE, challenge));
            }
            Self::KeysUnavailable(fault) => {
                answer.insert_header((RETRY_AFTER, fault.retry_after_s));
            }
            Self::NoVerifier => {}
        }
        answer.finish()
    }
}

/// The token, if there is exactly one header and its scheme is Bearer in any case.
fn token_of(request: &HttpRequest, realm: &str) -> Result<String, BearerError> {
    let no_token = || BearerError::NoToken { realm: realm.into() };
    let invalid = || BearerError::Invalid { realm: realm.into(), reason: None };
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let header = headers.next().ok_or_else(no_token)?;
    // SECURITY: T-10. Of two tokens this service and a proxy before it could take different ones.
    if headers.next().is_some() {
        return Err(invalid());
    }
    let header = header.to_str().ok().ok_or_else(invalid)?;
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    let token = token.trim_start_matches(' ');
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(no_token());
    }
    Ok(token.into())
}

/// Only what stands in a quoted string without escapes (RFC 9110, 5.6.4).
fn realm_of(verifier: &Verifier) -> String {
    let is_plain = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
    verifier.policy().audience().chars().filter(is_plain).collect()
}

#[cfg(test)]
mod tests;

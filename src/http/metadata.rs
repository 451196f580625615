//! What other services read: the public keys, and where everything is (RFC 8414). Served from memory (REL-06).

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::json;
use super::problem::Problem;
use super::query;
use crate::app::App;
use crate::domain::keys::PublicJwk;

/// LIMIT: api.md, section 3: verifiers keep it for five minutes.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// A set of public keys (RFC 7517).
#[derive(Serialize, ToSchema)]
pub(crate) struct JwksAnswer {
    /// The keys in the plain form: `kty`, `crv`, `x`, `y` or `n`, `e`; `kid`, `use`, `alg`.
    #[schema(value_type = Vec<JwkView>)]
    keys: Vec<PublicJwk>,
}

/// A public key in the plain form of RFC 7517.
#[derive(Serialize, ToSchema)]
#[schema(as = Jwk)]
pub(crate) struct JwkView {
    /// `EC`, `OKP` or `RSA`.
    kty: String,
    /// `P-256` or `Ed25519`; not for RSA.
    #[schema(required = false)]
    crv: String,
    /// A coordinate, or the key: base64url.
    #[schema(required = false)]
    x: String,
    /// The other coordinate: base64url.
    #[schema(required = false)]
    y: String,
    /// The modulus: base64url.
    #[schema(required = false)]
    n: String,
    /// The public exponent: base64url.
    #[schema(required = false)]
    e: String,
    /// The RFC 7638 thumbprint.
    kid: String,
    /// Always `sig`.
    r#use: String,
    /// `ES256`, `EdDSA` or `RS256`.
    alg: String,
}

/// Shows the public keys: the one that signs, its announced successor, and former ones.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "for services",
    operation_id = "get_jwks", security(()), responses(
        (status = 200, description = "The key set.", body = JwksAnswer)))]
pub(crate) async fn jwks(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    query::nothing(&request)?;
    Ok(kept(&JwksAnswer { keys: app.keys.ring.public(app.clock.now()) }))
}

/// What is offered, and where (RFC 8414). The empty lists are meant: left out, clients assume more.
#[derive(Serialize, ToSchema)]
pub(crate) struct MetadataAnswer {
    /// `iss` of the tokens.
    issuer: String,
    /// Where the public keys are.
    jwks_uri: String,
    /// No OAuth flow is offered.
    response_types_supported: Vec<String>,
    /// No OAuth grant is offered.
    grant_types_supported: Vec<String>,
    /// The words of `scope`.
    scopes_supported: Vec<String>,
    /// Always `public`.
    subject_types_supported: Vec<String>,
    /// The algorithms of the access tokens: verifiers read them here.
    id_token_signing_alg_values_supported: Vec<String>,
    /// Pages for people.
    service_documentation: String,
}

/// Shows the metadata, as OpenID Connect Discovery names it.
#[utoipa::path(get, path = "/.well-known/openid-configuration", tag = "for services",
    operation_id = "get_openid_configuration", security(()), responses(
        (status = 200, description = "The metadata.", body = MetadataAnswer)))]
pub(crate) async fn openid(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    query::nothing(&request)?;
    Ok(kept(&metadata(&app)))
}

/// Shows the metadata, as RFC 8414 names it.
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", tag = "for services",
    operation_id = "get_authorization_server_metadata", security(()), responses(
        (status = 200, description = "The metadata.", body = MetadataAnswer)))]
pub(crate) async fn oauth(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    query::nothing(&request)?;
    Ok(kept(&metadata(&app)))
}

fn metadata(app: &App) -> MetadataAnswer {
    let issuer = &app.settings.issuer;
    let mut algorithms = Vec::new();
    for key in app.keys.ring.public(app.clock.now()) {
        let algorithm = key.algorithm().to_string();
        if !algorithms.contains(&algorithm) {
            algorithms.push(algorithm);
        }
    }
    MetadataAnswer {
        jwks_uri: format!("{issuer}/.well-known/jwks.json"),
        response_types_supported: Vec::new(),
        grant_types_supported: Vec::new(),
        scopes_supported: app.settings.user_scope.split(' ').map(Into::into).collect(),
        subject_types_supported: vec!["public".into()],
        id_token_signing_alg_values_supported: algorithms,
        service_documentation: format!("{issuer}/docs/"),
        issuer: issuer.clone(),
    }
}

fn kept(value: &impl Serialize) -> HttpResponse {
    let mut answer = json(actix_web::http::StatusCode::OK, value);
    answer.headers_mut().insert(header::CACHE_CONTROL, KEPT);
    answer
}

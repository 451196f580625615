//! Pages for people: Swagger UI, the document that it shows, the pages of the problems, metrics.
//!
//! Everything comes from inside the binary: a browser that reads these pages asks nobody else.

use std::sync::{Arc, LazyLock};

use actix_web::http::header::{self, ContentEncoding};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use utoipa_swagger_ui::{Config, Url};

use super::edge::DOCS_CSP;
use super::problem::{Kind, Problem, pages};
use super::query;
use super::settings::Frame;
use crate::fault::Fault;

/// The policy of a page that has a style of its own and nothing else.
const PAGE_CSP: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";

/// LIMIT: the files change with the binary only; an hour keeps a page whole after an update.
const FILES_KEPT: &str = "public, max-age=3600";

static SWAGGER: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    // Without "none" the page sends the document to a validator on the network.
    let config = Config::new([Url::from("/openapi.json")]).validator_url("none");
    Arc::new(config.try_it_out_enabled(true).display_operation_id(true))
});

/// `/openapi.json`.
pub(crate) async fn document(
    request: HttpRequest,
    frame: Data<Frame>,
) -> Result<HttpResponse, Problem> {
    query::nothing(&request)?;
    Ok(HttpResponse::Ok().content_type("application/json").body(frame.document.to_string()))
}

/// `/docs`: the page is a folder.
pub(crate) async fn to_folder() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "/docs/")).finish()
}

/// A file under `/docs/`.
pub(crate) async fn file(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let name = request.match_info().get("file").unwrap_or_default();
    let found = utoipa_swagger_ui::serve(name, Arc::clone(&SWAGGER))
        .map_err(|error| Fault::internal(error.to_string()))?
        .ok_or(Kind::NotFound)?;
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(found.content_type)
        .insert_header((header::CONTENT_SECURITY_POLICY, DOCS_CSP))
        .insert_header((header::CACHE_CONTROL, FILES_KEPT));
    if found.gzpipped {
        answer.insert_header(ContentEncoding::Gzip);
    }
    Ok(answer.body(found.bytes.into_owned()))
}

/// `/problems/{code}`.
pub(crate) async fn problem(request: HttpRequest) -> Result<HttpResponse, Problem> {
    query::nothing(&request)?;
    let code = request.match_info().get("code").unwrap_or_default();
    let kind = Kind::by_code(code).ok_or(Kind::NotFound)?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, PAGE_CSP))
        .insert_header((header::CACHE_CONTROL, FILES_KEPT))
        .body(pages::html(kind)))
}

/// `/metrics`, on the admin listener only (HTTP-09).
pub(crate) async fn metrics(
    request: HttpRequest,
    frame: Data<Frame>,
) -> Result<HttpResponse, Problem> {
    query::nothing(&request)?;
    let text = (frame.render_metrics)();
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text))
}

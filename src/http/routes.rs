//! Routes: one table that is mounted, documented and tested from the same rows.
//!
//! A path that is there and does not take a method answers 405 with `Allow`; HEAD goes wherever GET
//! goes; everything else, a trailing slash too, is 404 (HTTP-07).

use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, Route, web};

use super::edge::guard::guard;
use super::problem::{Kind, Problem};

/// The methods that a row may have; HEAD comes with GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Reads.
    Get,
    /// Does something.
    Post,
    /// Puts something in its place.
    Put,
    /// Changes a part.
    Patch,
    /// Removes.
    Delete,
}

impl Verb {
    /// The method on the wire.
    pub fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }
}

/// One operation: where it is, who answers, what it may say instead of yes.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The method.
    pub verb: Verb,
    /// The pattern of the path, `/v1/me/sessions/{id}`.
    pub path: &'static str,
    /// Makes the route: `|| web::route().to(handler)`, without a guard for the method.
    pub handler: fn() -> Route,
    /// The problems of its own, beside those that any such operation has.
    pub problems: &'static [Kind],
    /// Whether the OpenAPI document has it.
    pub in_document: bool,
}

impl Row {
    /// An operation of the document.
    pub const fn new(
        verb: Verb,
        path: &'static str,
        handler: fn() -> Route,
        problems: &'static [Kind],
    ) -> Self {
        Self { verb, path, handler, problems, in_document: true }
    }

    /// A page for people, or a file of one: GET, and not in the document.
    pub const fn page(path: &'static str, handler: fn() -> Route) -> Self {
        Self { verb: Verb::Get, path, handler, problems: &[], in_document: false }
    }
}

/// Mounts the rows, with the answers for every other method and path.
pub fn mount(config: &mut web::ServiceConfig, rows: &[Row]) {
    let mut paths: Vec<&'static str> = Vec::new();
    for row in rows {
        if !paths.contains(&row.path) {
            paths.push(row.path);
        }
    }
    for path in paths {
        let here: Vec<&Row> = rows.iter().filter(|row| row.path == path).collect();
        let allow = allow(&here);
        let mut resource = web::resource(path);
        for row in &here {
            resource = resource.route((row.handler)().method(row.verb.method()));
            if row.verb == Verb::Get {
                resource = resource.route((row.handler)().method(Method::HEAD));
            }
        }
        let refuse = move || {
            let problem = Problem::not_allowed(allow.clone());
            async move { problem }
        };
        config.service(resource.default_service(web::to(refuse)).wrap(from_fn(guard)));
    }
    config.default_service(web::to(nowhere));
}

fn allow(rows: &[&Row]) -> String {
    let mut methods: Vec<String> = Vec::new();
    for row in rows {
        methods.push(row.verb.method().to_string());
        if row.verb == Verb::Get {
            methods.push("HEAD".to_owned());
        }
    }
    methods.join(", ")
}

async fn nowhere(request: HttpRequest) -> Problem {
    // SECURITY: HTTP-07. TRACE echoes headers, CONNECT is for proxies: refused on any path.
    if [Method::TRACE, Method::CONNECT].contains(request.method()) {
        return Problem::not_allowed("");
    }
    Kind::NotFound.into()
}

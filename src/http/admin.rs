//! What the calls for operators have in common: who may call, and pages of lists.
//!
//! They stand on the admin listener only (AUZ-05).

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use uuid::Uuid;

use super::answer::json;
use super::cursor::CursorOf;
use super::me::{PageQuery, signed_in};
use super::problem::{Kind, Problem};
use crate::app::App;
use crate::domain::event::Actor;
use crate::domain::session::SignedIn;
use crate::domain::time::Timestamp;

/// The role that may do everything.
const ADMIN: &str = "admin";

/// An administrator who is signed in.
pub(crate) struct Administrator(SignedIn);

impl Administrator {
    /// Who calls, if the database has them as an administrator now; 401 or 403 else.
    pub(crate) async fn of(app: &App, request: &HttpRequest) -> Result<Self, Problem> {
        let signed_in = signed_in(app, request).await?;
        // SECURITY: AUZ-01, AUZ-05. The role as it is now, not as the token was told of it.
        if signed_in.user.roles.0.iter().any(|role| role == ADMIN) {
            return Ok(Self(signed_in));
        }
        tracing::warn!(event = "authz_fail", user.id = %signed_in.user.id, "an administrator's call was refused");
        Err(Kind::PermissionDenied.into())
    }

    /// As the trail names them.
    pub(crate) fn actor(&self) -> Actor {
        Actor::User(self.0.user.id)
    }
}

/// LIMIT: api.md, section 1: 25 items unless another number is asked for.
const PAGE_DEFAULT: usize = 25;

/// A place in a list: a moment and an id.
pub(crate) type Place = (Timestamp, Uuid);

/// A list that is read page by page.
pub(crate) struct Paging<'a> {
    app: &'a App,
    /// Where it is, from the root of the listener.
    path: String,
    user: String,
    limit: usize,
    before: Option<Place>,
    wants_total: bool,
}

/// The body of a page.
#[derive(Serialize)]
pub(crate) struct PageBody<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next_cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total: Option<i64>,
}

impl<'a> Paging<'a> {
    /// The page of the list at `path` that was asked for.
    pub(crate) fn new(
        app: &'a App,
        who: &Administrator,
        path: String,
        page: &PageQuery,
    ) -> Result<Self, Problem> {
        let limit = page.limit.and_then(|limit| usize::try_from(limit).ok());
        let mut paging = Self {
            app,
            path,
            user: who.0.user.id.to_string(),
            limit: limit.unwrap_or(PAGE_DEFAULT),
            before: None,
            wants_total: page.count == Some(true),
        };
        if let Some(text) = &page.cursor {
            let payload = paging.cursor().open(text, &|bytes| paging.hash(bytes))?;
            paging.before = Some(place(&payload).ok_or(Kind::CursorInvalid)?);
        }
        Ok(paging)
    }

    /// How many items the page has at most.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// The place that the page begins after.
    pub(crate) fn before(&self) -> Option<Place> {
        self.before
    }

    /// Whether the items are to be counted.
    pub(crate) fn wants_total(&self) -> bool {
        self.wants_total
    }

    /// The answer with these items, of which more follow after the place `next`.
    pub(crate) fn answer<T: Serialize>(
        &self,
        items: Vec<T>,
        next: Option<Place>,
        total: Option<i64>,
    ) -> HttpResponse {
        let next_cursor = next.map(|(at, id)| {
            let payload = [&at.micros().to_be_bytes()[..], id.as_bytes()].concat();
            self.cursor().seal(&payload, &|bytes| self.hash(bytes))
        });
        let (path, limit) = (&self.path, self.limit);
        let link = next_cursor
            .as_ref()
            .map(|next| format!("<{path}?limit={limit}&cursor={next}>; rel=\"next\""));
        let mut answer = json(StatusCode::OK, &PageBody { items, next_cursor, total });
        if let Some(link) = link.and_then(|link| header::HeaderValue::from_str(&link).ok()) {
            answer.headers_mut().insert(header::LINK, link);
        }
        answer
    }

    fn cursor(&self) -> CursorOf<'_> {
        CursorOf { list: &self.path, user: &self.user }
    }

    fn hash(&self, bytes: &[u8]) -> [u8; 32] {
        self.app.sealer.keyed_hash("cursor", bytes)
    }
}

fn place(payload: &[u8]) -> Option<Place> {
    let (at, id) = payload.split_first_chunk::<8>()?;
    Some((Timestamp::from_micros(i64::from_be_bytes(*at)), Uuid::from_slice(id).ok()?))
}

//! Lists that are read page by page: what may be asked for, and the answer with its cursor and link.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use uuid::Uuid;
use validator::Validate;

use super::answer::json;
use super::cursor::CursorOf;
use super::problem::{Kind, Problem};
use crate::app::App;
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;

/// Which part of a list.
#[derive(Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    /// How many items at most.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100, default = 25, nullable = false)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    #[serde(default)]
    #[param(nullable = false)]
    cursor: Option<String>,
    /// Whether to count all items.
    #[serde(default)]
    #[param(default = false, nullable = false)]
    count: Option<bool>,
}

/// LIMIT: api.md, section 1: 25 items unless another number is asked for.
const PAGE_DEFAULT: usize = 25;

/// A place in a list.
pub(crate) trait Place: Copy {
    /// What a cursor seals.
    fn to_bytes(self) -> Vec<u8>;

    /// The place that was sealed.
    fn from_bytes(payload: &[u8]) -> Option<Self>;
}

/// Where ids are in the order of the list.
impl Place for Uuid {
    fn to_bytes(self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn from_bytes(payload: &[u8]) -> Option<Self> {
        Self::from_slice(payload).ok()
    }
}

/// Where a moment comes first.
impl Place for (Timestamp, Uuid) {
    fn to_bytes(self) -> Vec<u8> {
        [&self.0.micros().to_be_bytes()[..], self.1.as_bytes()].concat()
    }

    fn from_bytes(payload: &[u8]) -> Option<Self> {
        let (at, id) = payload.split_first_chunk::<8>()?;
        Some((Timestamp::from_micros(i64::from_be_bytes(*at)), Uuid::from_slice(id).ok()?))
    }
}

/// A list that is read page by page.
pub(crate) struct Paging<'a, P> {
    app: &'a App,
    /// Where it is, from the root of its listener; its cursors are good for it alone.
    path: String,
    /// What stands before the path in links.
    base: &'a str,
    user: String,
    limit: usize,
    before: Option<P>,
    wants_total: bool,
}

/// The body of a page.
#[derive(Serialize)]
struct PageBody<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<i64>,
}

impl<'a, P: Place> Paging<'a, P> {
    /// The page of a list of the public listener that was asked for.
    pub(crate) fn public(
        app: &'a App,
        who: UserId,
        path: &str,
        page: &PageQuery,
    ) -> Result<Self, Problem> {
        Self::at(app, &app.settings.issuer, who, path.to_owned(), page)
    }

    /// The page of a list of the admin listener that was asked for. Nobody knows how that is called from outside.
    pub(crate) fn admin(
        app: &'a App,
        who: UserId,
        path: String,
        page: &PageQuery,
    ) -> Result<Self, Problem> {
        Self::at(app, "", who, path, page)
    }

    fn at(
        app: &'a App,
        base: &'a str,
        who: UserId,
        path: String,
        page: &PageQuery,
    ) -> Result<Self, Problem> {
        let limit = page.limit.and_then(|limit| usize::try_from(limit).ok());
        let mut paging = Self {
            app,
            path,
            base,
            user: who.to_string(),
            limit: limit.unwrap_or(PAGE_DEFAULT),
            before: None,
            wants_total: page.count == Some(true),
        };
        if let Some(text) = &page.cursor {
            let payload = paging.cursor().open(text, &|bytes| paging.hash(bytes))?;
            paging.before = Some(<P as Place>::from_bytes(&payload).ok_or(Kind::CursorInvalid)?);
        }
        Ok(paging)
    }

    /// How many items the page has at most.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// The place that the page begins after.
    pub(crate) fn before(&self) -> Option<P> {
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
        next: Option<P>,
        total: Option<i64>,
    ) -> HttpResponse {
        let seal =
            |place: P| self.cursor().seal(&Place::to_bytes(place), &|bytes| self.hash(bytes));
        let next_cursor = next.map(seal);
        let (base, path, limit) = (self.base, &self.path, self.limit);
        let link = next_cursor
            .as_ref()
            .map(|next| format!("<{base}{path}?limit={limit}&cursor={next}>; rel=\"next\""));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_a_moment_and_an_id() {
        let place = (Timestamp::from_micros(-5), Uuid::from_u128(7));
        let payload = place.to_bytes();
        assert_eq!(<(Timestamp, Uuid)>::from_bytes(&payload), Some(place));
        assert_eq!(<(Timestamp, Uuid)>::from_bytes(&payload[1..]), None);
        assert_eq!(<Uuid as Place>::from_bytes(&payload), None);
        assert_eq!(<Uuid as Place>::from_bytes(&Place::to_bytes(place.1)), Some(place.1));
    }
}

//! One's own audit trail, newest first: what happened to the account, and no word about others.

use crate::Fault;
use crate::app::App;
use crate::domain::event::OwnEvent;
use crate::domain::ids::{EventId, UserId};
use crate::domain::profile::{ProfileSchema, Reader};
use crate::domain::session::SignedIn;
use crate::store::events;

/// A page of events, newest first.
pub struct Page {
    /// The events.
    pub events: Vec<OwnEvent>,
    /// The last one, if more follow.
    pub next: Option<EventId>,
}

/// The page of at most `limit` events about the caller that are older than `before`.
pub async fn list(
    app: &App,
    signed_in: &SignedIn,
    before: Option<EventId>,
    limit: usize,
) -> Result<Page, Fault> {
    page(app, signed_in.user.id, before, limit).await
}

/// How many events there are about the caller.
pub async fn count(app: &App, signed_in: &SignedIn) -> Result<i64, Fault> {
    events::count_about(&mut app.store.read().await?, signed_in.user.id).await
}

/// The page of events about `user`, each as its user may see it.
pub(crate) async fn page(
    app: &App,
    user: UserId,
    before: Option<EventId>,
    limit: usize,
) -> Result<Page, Fault> {
    let fetched = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let before = before.unwrap_or(EventId(uuid::Uuid::max()));
    let mut db = app.store.read().await?;
    let mut found = events::list_about(&mut db, user, before, fetched).await?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().map(|event| event.id).filter(|_| has_more);
    let shown = found.into_iter().map(|event| seen_by_its_user(event, user, &app.schema));
    Ok(Page { events: shown.collect(), next })
}

/// SECURITY: AUZ-07. Not from where an administrator did it, nor the names of fields that are for administrators.
fn seen_by_its_user(mut event: OwnEvent, user: UserId, schema: &ProfileSchema) -> OwnEvent {
    let own = user.to_string();
    if event.actor_kind == "user" && event.actor_id.as_ref() != Some(&own) {
        event.address = None;
        event.request_id = None;
    }
    if let Some(changed) = event.data.get_mut("changed").and_then(|names| names.as_array_mut()) {
        changed.retain(|name| {
            let field = name.as_str().and_then(|name| name.strip_prefix("profile."));
            field.is_none_or(|field| {
                schema.rule(field).is_some_and(|rule| rule.may_read(Reader::User))
            })
        });
    }
    event
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::domain::time::Timestamp;

    fn event(actor_kind: &str, actor_id: Option<String>) -> OwnEvent {
        let data =
            json!({ "changed": ["username", "profile.nick", "profile.note", "profile.gone"] });
        OwnEvent {
            id: EventId(Uuid::from_u128(1)),
            at: Timestamp::from_micros(0),
            actor_kind: actor_kind.into(),
            actor_id,
            action: "user.updated".into(),
            outcome: "success".into(),
            request_id: Some("r".into()),
            address: Some("192.0.2.1".into()),
            data: data.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn auz_07_a_user_sees_neither_an_administrator_s_address_nor_their_fields() {
        let schema = ProfileSchema::from_json(
            r#"{"type":"object","additionalProperties":false,"properties":{
                "nick":{"type":"string","maxLength":9},
                "note":{"type":"string","maxLength":9,"x-portcullis":{"read":"admin","write":"admin"}}}}"#,
        );
        let schema = schema.unwrap();
        let me = UserId(Uuid::from_u128(7));
        let other = UserId(Uuid::from_u128(8)).to_string();
        for (kind, id, is_shown) in [
            ("user", Some(me.to_string()), true),
            ("anyone", None, true),
            ("user", Some(other), false),
        ] {
            let seen = seen_by_its_user(event(kind, id), me, &schema);
            assert_eq!(seen.address.is_some(), is_shown, "{kind}");
            assert_eq!(seen.request_id.is_some(), is_shown, "{kind}");
            assert_eq!(seen.data["changed"], json!(["username", "profile.nick"]));
        }
    }
}

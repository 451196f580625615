//! Changing one's own account: a merge patch of username and profile, against the version that the caller saw.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::Fault;
use crate::app::App;
use crate::domain::event::{Action, Actor, Subject};
use crate::domain::fields::FieldFault;
use crate::domain::ids::UserId;
use crate::domain::profile::{ProfileSchema, Writer as By};
use crate::domain::session::{Origin, SignedIn};
use crate::domain::signup::EmailVerification;
use crate::domain::user::User;
use crate::domain::username::{Reserved, Username};
use crate::flows::Stamp;
use crate::flows::unique::{self, Taken, UniqueError};
use crate::store::{Writer, events, users};

/// What is to change. The members that are absent stay as they are.
#[derive(Clone)]
pub struct Patch {
    /// `Some(None)` removes the username.
    pub username: Option<Option<String>>,
    /// A merge patch (RFC 7396).
    pub profile: Option<Map<String, Value>>,
}

/// Against which version the patch is.
#[derive(Clone)]
pub enum Expected {
    /// Whatever is there (`*`).
    Any,
    /// One of these versions.
    Versions(Vec<i64>),
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// Somebody else changed it, or the caller never saw it.
    #[error("the version is another one by now")]
    VersionConflict,
    /// The patch, or what it leads to, is not valid.
    #[error("the patch is not valid")]
    Invalid(Vec<FieldFault>),
    /// A verified user holds the username, or a value of a `unique` field.
    #[error(transparent)]
    Taken(Taken),
    /// The user is gone, or may not sign in any more.
    #[error("the user may not sign in any more")]
    SignedOut,
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Applies a patch to the caller's own account; the account as it is afterwards.
pub async fn patch(
    app: &App,
    signed_in: &SignedIn,
    patch: Patch,
    expected: Expected,
    origin: Origin,
) -> Result<User, PatchError> {
    let id = signed_in.user.id;
    let change = Change {
        stamp: Stamp::new(app, Actor::User(id), origin),
        id,
        amendment: Amendment::new(app, patch, By::User),
        expected,
        needed: app.settings.email_verification,
    };
    app.store.write(change, |tx, change| Box::pin(apply(tx, change))).await
}

struct Change {
    stamp: Stamp,
    id: UserId,
    amendment: Amendment,
    expected: Expected,
    needed: EmailVerification,
}

/// A patch, and what it is held against.
pub(super) struct Amendment {
    patch: Patch,
    by: By,
    schema: Arc<ProfileSchema>,
    reserved: Reserved,
}

impl Amendment {
    /// A patch that is written by `by`.
    pub(super) fn new(app: &App, patch: Patch, by: By) -> Self {
        Self { patch, by, schema: Arc::clone(&app.schema), reserved: app.reserved.clone() }
    }
}

impl Expected {
    /// Whether the patch is against `version`.
    pub(super) fn allows(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::Versions(versions) => versions.contains(&version),
        }
    }
}

async fn apply(tx: &mut Writer, change: &Change) -> Result<User, PatchError> {
    let user = users::lock(tx, change.id).await?.ok_or(PatchError::SignedOut)?;
    user.may_get_a_token(change.needed).or(Err(PatchError::SignedOut))?;
    // Order of api.md: whether `If-Match` is current comes before the values.
    if !change.expected.allows(user.version) {
        return Err(PatchError::VersionConflict);
    }
    amend(tx, &change.stamp, &change.amendment, user).await
}

/// Patches a locked account; the account as it is afterwards.
pub(super) async fn amend(
    tx: &mut Writer,
    stamp: &Stamp,
    amendment: &Amendment,
    user: User,
) -> Result<User, PatchError> {
    let wished = values(amendment, &user)?;
    let username = wished.username.as_ref().map(Username::typed);
    let changed: Vec<Value> =
        wished.changed.iter().map(|name| Value::String(name.clone())).collect();
    if changed.is_empty() {
        return Ok(user);
    }
    unique::move_values(tx, &amendment.schema, &user, (username, &wished.profile)).await?;
    let now = stamp.now;
    if !users::update_shown(tx, &user, username, &wished.profile, now).await? {
        return Err(Fault::internal("a locked user was changed by somebody else").into());
    }
    let data = Map::from_iter([("changed".into(), Value::Array(changed))]);
    let event = stamp.event(Action::UserUpdated, Subject::User(user.id), data)?;
    events::append(tx, &event).await?;
    let username = username.map(str::to_owned);
    Ok(User {
        username,
        profile: wished.profile,
        updated_at: now,
        version: user.version + 1,
        ..user
    })
}

struct Wished {
    username: Option<Username>,
    profile: Map<String, Value>,
    /// Names of what differs: `username`, and members of the profile.
    changed: Vec<String>,
}

/// The values that the patch leads to, or everything that is wrong with them.
fn values(amendment: &Amendment, user: &User) -> Result<Wished, PatchError> {
    let mut faults = Vec::new();
    let username = match &amendment.patch.username {
        None => user.username.clone(),
        Some(wish) => wish.clone(),
    };
    let is_new = amendment.patch.username.is_some() && username != user.username;
    let username = username.and_then(|text| {
        // A name that somebody holds stays theirs, even if it was reserved later.
        let reserved = if is_new { &amendment.reserved } else { &Reserved::none() };
        Username::parse(&text, reserved).map_err(|error| faults.push(error.at("/username"))).ok()
    });
    let mut profile = Value::Object(user.profile.clone());
    if let Some(patch) = &amendment.patch.profile {
        let patch = Value::Object(patch.clone());
        match amendment.schema.patched(&profile, &patch, amendment.by, "/profile") {
            Ok(patched) => profile = patched,
            Err(found) => faults.extend(found),
        }
    }
    faults.sort();
    faults.dedup();
    let Value::Object(profile) = profile else {
        return Err(Fault::internal("a profile is an object").into());
    };
    if !faults.is_empty() {
        return Err(PatchError::Invalid(faults));
    }
    let mut changed: Vec<String> = differing(&user.profile, &profile);
    if is_new {
        changed.push("username".into());
    }
    Ok(Wished { username, profile, changed })
}

fn differing(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<String> {
    let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
    names
        .filter(|name| old.get(*name) != new.get(*name))
        .map(|name| format!("profile.{name}"))
        .collect()
}

impl From<UniqueError> for PatchError {
    fn from(error: UniqueError) -> Self {
        match error {
            UniqueError::Taken(taken) => Self::Taken(taken),
            UniqueError::Fault(fault) => Self::Fault(fault),
        }
    }
}

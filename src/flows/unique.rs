//! What no two verified accounts share: the username, and the profile fields declared `unique`.
//!
//! An account that is not verified only wishes for its values, and holds none (ENU-12). Everything here runs inside a
//! change, on an account that the change has locked. Values are taken in the order of their fields, so that two changes
//! wait for each other only where they truly swap; the store repeats the one that the database then ends.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::Fault;
use crate::crypto::random::sha256;
use crate::domain::fields::{FieldCode, FieldFault};
use crate::domain::ids::UserId;
use crate::domain::profile::ProfileSchema;
use crate::domain::user::User;
use crate::domain::username::Username;
use crate::store::unique_values::{self, USERNAME};
use crate::store::{Writer, users};

/// LIMIT: an index row of PostgreSQL holds 2704 bytes, beside the value also the name of its field.
const STORED_BYTES_MAX: usize = 1024;

/// The values that somebody else has: pointers into the body of a signup, sorted, at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value is taken: {}", .0.join(", "))]
pub struct Taken(Vec<String>);

impl Taken {
    /// These pointers.
    pub fn new<F: Into<String>>(fields: impl IntoIterator<Item = F>) -> Self {
        Self(fields.into_iter().map(Into::into).collect())
    }

    /// Whether the username is one of them.
    pub fn has_username(&self) -> bool {
        self.0.iter().any(|field| field == USERNAME)
    }

    /// The pointers (`/username`, `/profile/phone`).
    pub fn pointers(&self) -> &[String] {
        &self.0
    }

    /// A fault for each of them.
    pub fn faults(&self) -> Vec<FieldFault> {
        let fault = |field: &String| {
            FieldFault::new(field, FieldCode::Taken, "Somebody else has this value.")
        };
        self.0.iter().map(fault).collect()
    }
}

/// Why an account does not have what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum UniqueError {
    /// Somebody else has some of it. The change is to be refused: it may have taken the rest.
    #[error(transparent)]
    Taken(#[from] Taken),
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What an account lost at its verification, because somebody else has it by now: pointers, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped(Vec<String>);

impl Dropped {
    /// The pointers (`/username`, `/profile/phone`).
    pub fn pointers(&self) -> &[String] {
        &self.0
    }

    /// Whether the username is gone.
    pub fn has_username(&self) -> bool {
        self.0.iter().any(|field| field == USERNAME)
    }

    /// Whether something of the profile is gone.
    pub fn has_profile(&self) -> bool {
        self.0.iter().any(|field| field != USERNAME)
    }
}

/// Takes all that `user` wished for, now that it is verified. What somebody else has is dropped from the account.
///
/// The caller has just verified the account in this change, and so counted its version up. Returned is the account as
/// it is afterwards. A field that is `required` is dropped like any other (ADR 0015).
pub async fn claim_wishes(
    tx: &mut Writer,
    schema: &ProfileSchema,
    mut user: User,
) -> Result<(User, Dropped), Fault> {
    let wishes = values(schema, user.username.as_deref(), &user.profile)?;
    let mut dropped = Vec::new();
    for (field, value) in &wishes {
        if take(tx, field, value, user.id).await? {
            continue;
        }
        if field == USERNAME {
            user.username = None;
        } else {
            let name = schema.name_of(field).ok_or_else(|| Fault::internal("an unknown field"))?;
            user.profile.remove(name);
        }
        dropped.push(field.clone());
    }
    if !dropped.is_empty() {
        users::keep_wishes(tx, user.id, user.username.as_deref(), &user.profile).await?;
    }
    Ok((user, Dropped(dropped)))
}

/// Takes all of these values for `user`, a new account that is verified from its first moment, or tells which are taken.
pub async fn claim_all(
    tx: &mut Writer,
    schema: &ProfileSchema,
    user: UserId,
    (username, profile): (Option<&str>, &Map<String, Value>),
) -> Result<(), UniqueError> {
    let wanted = values(schema, username, profile)?;
    exchange(tx, user, &BTreeMap::new(), &wanted).await
}

/// Tells which of these values a verified account has, without taking any.
pub async fn check_free(
    tx: &mut Writer,
    schema: &ProfileSchema,
    (username, profile): (Option<&str>, &Map<String, Value>),
) -> Result<(), UniqueError> {
    let mut taken = Vec::new();
    for (field, value) in values(schema, username, profile)? {
        if unique_values::find_holder(tx, &field, &value).await?.is_some() {
            taken.push(field);
        }
    }
    if taken.is_empty() { Ok(()) } else { Err(Taken(taken).into()) }
}

/// Gives up what `user` no longer has and takes what is new, or tells what of it is taken.
///
/// An account that is not verified keeps wishing: it is told of a taken username, as at its signup, and of nothing else.
pub async fn move_values(
    tx: &mut Writer,
    schema: &ProfileSchema,
    user: &User,
    (username, profile): (Option<&str>, &Map<String, Value>),
) -> Result<(), UniqueError> {
    let old = values(schema, user.username.as_deref(), &user.profile)?;
    let mut new = values(schema, username, profile)?;
    if user.email_verified_at.is_some() {
        return exchange(tx, user.id, &old, &new).await;
    }
    // SECURITY: ENU-12. Whether somebody has a phone number is told to people with a mailbox only.
    new.retain(|field, value| field == USERNAME && old.get(field) != Some(value));
    match new.get(USERNAME) {
        Some(name) if unique_values::find_holder(tx, USERNAME, name).await?.is_some() => {
            Err(Taken::new([USERNAME]).into())
        }
        _ => Ok(()),
    }
}

async fn exchange(
    tx: &mut Writer,
    user: UserId,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> Result<(), UniqueError> {
    let mut taken = Vec::new();
    // Sorted by field: two changes that take the same values do it in the same order.
    let mut fields: Vec<&String> = old.keys().chain(new.keys()).collect();
    fields.sort_unstable();
    fields.dedup();
    for field in fields {
        let (old, new) = (old.get(field), new.get(field));
        if old == new {
            continue;
        }
        // Also where nothing should be held: while schemas change, a row may be left of an earlier one.
        unique_values::release(tx, field, user).await?;
        if let Some(value) = new
            && !take(tx, field, value, user).await?
        {
            taken.push(field.clone());
        }
    }
    if taken.is_empty() { Ok(()) } else { Err(Taken(taken).into()) }
}

/// The row count decides (T-05); a value that the account holds already is its own.
pub(super) async fn take(
    tx: &mut Writer,
    field: &str,
    value: &str,
    user: UserId,
) -> Result<bool, Fault> {
    Ok(unique_values::claim(tx, field, value, user).await?
        || unique_values::find_holder(tx, field, value).await? == Some(user))
}

/// Fields and the form of their values that is stored and compared.
fn values(
    schema: &ProfileSchema,
    username: Option<&str>,
    profile: &Map<String, Value>,
) -> Result<BTreeMap<String, String>, Fault> {
    let mut values = of_profile(schema, profile);
    if let Some(username) = username {
        let canonical = Username::canonical_of(username).map_err(Fault::internal)?;
        values.insert(USERNAME.to_owned(), canonical);
    }
    Ok(values)
}

/// The same for the profile alone.
pub(super) fn of_profile(
    schema: &ProfileSchema,
    profile: &Map<String, Value>,
) -> BTreeMap<String, String> {
    let mut values = schema.unique_values(profile);
    values.values_mut().for_each(shorten);
    values
}

/// Cuts a long form and ends it with the digest of its whole; no form that is short enough has such a length.
fn shorten(form: &mut String) {
    if form.len() > STORED_BYTES_MAX {
        let digest = sha256(form.as_bytes());
        form.truncate(form.floor_char_boundary(STORED_BYTES_MAX));
        form.extend(digest.iter().map(|byte| format!("{byte:02x}")));
    }
}

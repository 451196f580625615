//! Which stored accounts would not fit a schema: asked before it is put in place, while everything serves.
//!
//! Walks through all accounts in pages, twice where the schema declares something `unique`: first to learn who would
//! keep each value. Nothing is changed, and no value leaves this file.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::Fault;
use crate::app::App;
use crate::crypto::random::sha256;
use crate::domain::fields::{FieldCode, FieldFault};
use crate::domain::ids::UserId;
use crate::domain::profile::ProfileSchema;
use crate::domain::time::Timestamp;
use crate::flows::unique;
use crate::store::unique_values::{self, Held, USERNAME};
use crate::store::users::{self, StoredProfile};

/// LIMIT: ours; profiles of 64 KiB at most, so a page is some megabytes at worst.
const PAGE: i64 = 200;

/// An account that would not fit, and why, without its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The account.
    pub id: UserId,
    /// What is wrong, with pointers as in the body of a signup.
    pub faults: Vec<FieldFault>,
}

/// How many there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Accounts that were looked at.
    pub accounts: u64,
    /// Those of them that would not fit.
    pub misfits: u64,
}

/// Tells `each` of every account that would not fit `schema`, in the order of their ids.
///
/// Of accounts that share a value of a `unique` field, the one that `Winners` names keeps it, and the others are told.
pub async fn check_profiles<E: From<Fault>>(
    app: &App,
    schema: &ProfileSchema,
    mut each: impl FnMut(Misfit) -> Result<(), E>,
) -> Result<Checked, E> {
    let winners = Winners::find(app, schema).await?;
    let mut checked = Checked::default();
    let mut pages = Pages::new(app);
    while let Some(page) = pages.next().await? {
        for account in page.accounts {
            checked.accounts += 1;
            let mut faults = schema.validate(&account.profile.clone().into(), "/profile");
            faults.extend(winners.clashes(schema, &account));
            if !faults.is_empty() {
                checked.misfits += 1;
                each(Misfit { id: account.id, faults })?;
            }
        }
    }
    Ok(checked)
}

/// Who keeps each value: whoever holds it already, else whoever was verified first.
#[derive(Default)]
pub(super) struct Winners {
    by_value: HashMap<[u8; 32], Claim>,
    /// Who holds something that their profile says no more.
    pub(super) outdated: BTreeSet<UserId>,
    /// How often a value is in an account that does not keep it.
    pub(super) clashes: u64,
}

/// The smaller one wins.
type Claim = (bool, Timestamp, UserId);

impl Winners {
    /// Walks through all accounts once, if the schema declares anything `unique`.
    ///
    /// It remembers some hundred bytes a value, whatever the length of the value.
    pub(super) async fn find(app: &App, schema: &ProfileSchema) -> Result<Self, Fault> {
        let mut winners = Self::default();
        if schema.unique_fields().is_empty() {
            return Ok(winners);
        }
        let mut pages = Pages::new(app).with_held();
        while let Some(page) = pages.next().await? {
            for account in &page.accounts {
                winners.see(schema, account, &page.held);
            }
        }
        Ok(winners)
    }

    fn see(&mut self, schema: &ProfileSchema, account: &StoredProfile, held: &[Held]) {
        let Some(at) = account.email_verified_at else { return };
        let start = held.partition_point(|row| row.user_id < account.id);
        let held = held.iter().skip(start).take_while(|row| row.user_id == account.id);
        let held: BTreeMap<&str, &str> =
            held.map(|row| (row.field.as_str(), row.value_canonical.as_str())).collect();
        let values = unique::of_profile(schema, &account.profile);
        for (field, value) in &values {
            let is_holder = held.get(field.as_str()) == Some(&value.as_str());
            let claim = (!is_holder, at, account.id);
            match self.by_value.entry(key(field, value)) {
                Entry::Vacant(entry) => drop(entry.insert(claim)),
                Entry::Occupied(mut entry) => {
                    self.clashes += 1;
                    entry.insert(claim.min(*entry.get()));
                }
            }
        }
        let is_outdated = |(field, value): (&&str, &&str)| {
            *field != USERNAME && values.get(*field).is_none_or(|now| now != value)
        };
        if held.iter().any(is_outdated) {
            self.outdated.insert(account.id);
        }
    }

    /// Whether `user` keeps this value.
    pub(super) fn keeps(&self, user: UserId, field: &str, value: &str) -> bool {
        self.by_value.get(&key(field, value)).is_some_and(|(_, _, winner)| *winner == user)
    }

    /// Those who are to be given a value that they do not hold yet, the first to be verified first.
    pub(super) fn waiting(&self) -> Vec<UserId> {
        let mut waiting: Vec<&Claim> =
            self.by_value.values().filter(|(is_new, _, _)| *is_new).collect();
        waiting.sort_unstable();
        waiting.dedup();
        waiting.into_iter().map(|(_, _, id)| *id).collect()
    }

    fn clashes(&self, schema: &ProfileSchema, account: &StoredProfile) -> Vec<FieldFault> {
        // Who is not verified holds nothing yet, and is told when that changes (ENU-12).
        if account.email_verified_at.is_none() {
            return Vec::new();
        }
        let values = unique::of_profile(schema, &account.profile).into_iter();
        let lost = values.filter(|(field, value)| {
            self.by_value.contains_key(&key(field, value)) && !self.keeps(account.id, field, value)
        });
        let fault = |(field, _)| {
            FieldFault::new(field, FieldCode::Taken, "Another account has this value and keeps it.")
        };
        lost.map(fault).collect()
    }
}

fn key(field: &str, value: &str) -> [u8; 32] {
    // A pointer has no U+0000, so two pairs never make one text.
    sha256(format!("{field}\0{value}").as_bytes())
}

/// All accounts but tombstones, page by page, each page read by itself: no transaction stays open.
struct Pages<'a> {
    app: &'a App,
    after: UserId,
    reads_held: bool,
}

struct Page {
    accounts: Vec<StoredProfile>,
    held: Vec<Held>,
}

impl<'a> Pages<'a> {
    fn new(app: &'a App) -> Self {
        Self { app, after: UserId(uuid::Uuid::nil()), reads_held: false }
    }

    fn with_held(self) -> Self {
        Self { reads_held: true, ..self }
    }

    async fn next(&mut self) -> Result<Option<Page>, Fault> {
        let mut db = self.app.store.read_stale().await?;
        let accounts = users::list_profiles(&mut db, self.after, PAGE).await?;
        let (Some(first), Some(last)) = (accounts.first(), accounts.last()) else {
            return Ok(None);
        };
        let range = (first.id, last.id);
        self.after = last.id;
        let held = if self.reads_held {
            unique_values::list_held_by(&mut db, range).await?
        } else {
            Vec::new()
        };
        Ok(Some(Page { accounts, held }))
    }
}

//! An endpoint: where messages go, which, and in what state it is.

use std::collections::BTreeSet;
use std::fmt;

use super::action_of;
use crate::domain::event::Action;
use crate::domain::fields::{FieldCode, FieldFault};
use crate::domain::ids::WebhookId;
use crate::domain::time::Timestamp;

/// A stored word that none of the known ones is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such word")]
pub struct NoSuchWord;

/// Whether anything is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Events are kept for it and sent.
    Enabled,
    /// Nothing is sent, and new events are not kept for it; what waits goes on when it is enabled again.
    Disabled,
}

impl State {
    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }
}

impl TryFrom<String> for State {
    type Error = NoSuchWord;

    fn try_from(word: String) -> Result<Self, NoSuchWord> {
        [Self::Enabled, Self::Disabled]
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or(NoSuchWord)
    }
}

/// Why nothing is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisabledReason {
    /// An operator said so.
    Operator,
    /// It failed for `webhooks.disable_after`.
    Failing,
    /// It answered 410.
    Gone,
}

impl DisabledReason {
    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Failing => "failing",
            Self::Gone => "gone",
        }
    }
}

/// The types that an endpoint is told of: all of them, or a list in the order of the alphabet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Option<BTreeSet<&'static str>>);

/// Stands for every type, those of later versions too.
const ALL: &str = "*";

impl Filter {
    /// Reads `["*"]` or a list of types; each fault names its place below `/events`.
    pub fn parse<T: AsRef<str>>(words: &[T]) -> Result<Self, Vec<FieldFault>> {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        if words == [ALL] {
            return Ok(Self(None));
        }
        let known = |word: &str| action_of(word).map(Action::as_str);
        let fault = |(place, word): (usize, &&str)| {
            let detail = match *word {
                ALL => "\"*\" stands alone.",
                _ => "This is no event type.",
            };
            FieldFault::new(format!("/events/{place}"), FieldCode::NotAllowed, detail)
        };
        let is_unknown = |(_, word): &(usize, &&str)| known(word).is_none();
        let mut faults: Vec<FieldFault> =
            words.iter().enumerate().filter(is_unknown).map(fault).collect();
        if words.is_empty() {
            faults.push(FieldFault::new("/events", FieldCode::TooShort, "At least 1 items."));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self(Some(words.into_iter().filter_map(known).collect())))
    }

    /// As it is shown and stored: the types, or `*` alone.
    pub fn words(&self) -> Vec<&'static str> {
        match &self.0 {
            None => vec![ALL],
            Some(types) => types.iter().copied().collect(),
        }
    }
}

/// Reads what the database joins with commas. A type that this version does not know is passed over.
impl From<String> for Filter {
    fn from(joined: String) -> Self {
        let mut words = joined.split(',').filter(|word| !word.is_empty());
        if words.clone().any(|word| word == ALL) {
            return Self(None);
        }
        let types = std::iter::from_fn(|| words.next()).filter_map(action_of);
        Self(Some(types.map(Action::as_str).collect()))
    }
}

/// An endpoint as it is stored.
#[derive(Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Endpoint {
    /// Names it.
    pub id: WebhookId,
    /// Where messages go, in its normal form.
    pub url: String,
    /// What an operator says of it.
    pub description: Option<String>,
    /// What it is told of.
    #[sqlx(try_from = "String")]
    pub events: Filter,
    /// Whether anything is sent.
    #[sqlx(try_from = "String")]
    pub state: State,
    /// Why nothing is sent: `operator`, `failing`, `gone`.
    pub disabled_reason: Option<String>,
    /// Since when every attempt failed.
    pub failing_since: Option<Timestamp>,
    /// The sealed secret.
    pub secret: Vec<u8>,
    /// The sealed secret before it.
    pub previous_secret: Option<Vec<u8>>,
    /// Until when messages are signed with both.
    pub previous_secret_until: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When what an operator decides of it last changed.
    pub updated_at: Timestamp,
    /// Counts the changes of what is shown, `failing_since` apart; the entity tag.
    pub version: i64,
}

/// SECURITY: LOG-03. The path of a hook is often a secret.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("id", &self.id).finish_non_exhaustive()
    }
}

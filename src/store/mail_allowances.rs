//! The table `mail_allowances`: what a mailbox was sent of a kind, as two theoretical arrival times.
//!
//! A row that lies in the past says the same as none, so that whoever sweeps it harms nothing.

use super::Writer;
use super::sql::{Sql, execute, optional, statements};
use crate::Fault;
use crate::domain::time::Timestamp;

statements! {
    // One statement makes the row or waits for it: two first mails do not both find nothing.
    LOCK = Sql::both(
        "INSERT INTO mail_allowances (key, paced_until, hourly_until) VALUES ($1, $2, $2)
         ON CONFLICT (key) DO UPDATE SET paced_until = mail_allowances.paced_until
         RETURNING paced_until, hourly_until",
    );
    SET = Sql::both(
        "UPDATE mail_allowances SET paced_until = $2, hourly_until = $3 WHERE key = $1",
    );
}

/// Until when a mailbox has been served, were its mails spread evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Allowance {
    /// By the pace.
    pub paced_until: Timestamp,
    /// By the number an hour.
    pub hourly_until: Timestamp,
}

/// What is used of the allowance with this key; other mails of the key wait for this change.
pub async fn lock(tx: &mut Writer, key: &[u8; 32], now: Timestamp) -> Result<Allowance, Fault> {
    let found: Option<Allowance> = optional!(tx, LOCK, key.as_slice(), now)?;
    found.ok_or_else(|| Fault::internal("an allowance was neither made nor found"))
}

/// Stores what is used of a locked allowance.
pub async fn set(tx: &mut Writer, key: &[u8; 32], used: Allowance) -> Result<(), Fault> {
    execute!(tx, SET, key.as_slice(), used.paced_until, used.hourly_until).map(|_rows| ())
}

//! One letter of each kind with made-up values: for the check at the start, and for a preview.

use crate::domain::job::Letter;
use crate::domain::time::Timestamp;

/// 18 November 2026, 11:06 UTC.
const AT: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);

/// One of each kind, and each month once.
pub(super) fn each() -> Vec<Letter> {
    let token = |kind: &str| format!("{kind}_{}", "A".repeat(43));
    let hours = |hours: u64| hours * 3600;
    let mut letters = vec![
        Letter::Verify { token: token("pcv"), lifetime_s: hours(24) },
        Letter::AlreadyRegistered,
        Letter::AddressHeld,
        Letter::Reset { token: token("pcp"), lifetime_s: hours(1) },
        Letter::EmailChange { token: token("pce"), lifetime_s: 90 },
        Letter::EmailChangeRequested { token: token("pcx"), lifetime_s: 300 },
        Letter::EmailChanged,
        Letter::Invitation { token: token("pci"), lifetime_s: hours(7 * 24) },
        Letter::PasswordChanged,
        Letter::PasswordSet,
        Letter::AccountDeleted { grace_s: hours(30 * 24) },
        Letter::AccountDeleted { grace_s: 0 },
        Letter::AccountRestored,
    ];
    let month = |month: i64| Letter::NewDevice {
        at: Timestamp::from_micros(AT.micros() + month * 30 * 86_400 * 1_000_000),
        address: "192.0.2.7".into(),
        user_agent: Some("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Firefox/145.0".into()),
    };
    letters.extend((0..12).map(month));
    letters.push(Letter::NewDevice { at: AT, address: String::new(), user_agent: None });
    letters
}

/// What the test of an operator is called in the files of texts.
pub(super) const TEST: &str = "test";

/// The names of all letters.
pub fn letter_names() -> Vec<&'static str> {
    let mut names: Vec<_> = each().iter().map(name).collect();
    names.dedup();
    names.push(TEST);
    names
}

/// The letter of that name, with made-up values.
pub(super) fn named(name: &str) -> Option<Letter> {
    each().into_iter().find(|letter| self::name(letter) == name)
}

/// What a letter is called in the files of texts.
pub(super) fn name(letter: &Letter) -> &'static str {
    match letter {
        Letter::Verify { .. } => "verify",
        Letter::AlreadyRegistered => "already_registered",
        Letter::AddressHeld => "address_held",
        Letter::Reset { .. } => "reset",
        Letter::EmailChange { .. } => "email_change",
        Letter::EmailChangeRequested { .. } => "email_change_requested",
        Letter::EmailChanged => "email_changed",
        Letter::Invitation { .. } => "invitation",
        Letter::PasswordChanged => "password_changed",
        Letter::PasswordSet => "password_set",
        Letter::NewDevice { .. } => "new_device",
        Letter::AccountDeleted { .. } => "account_deleted",
        Letter::AccountRestored => "account_restored",
    }
}

//! Who may sign up, how long accounts stay, and what is limited.

use crate::config::reader::Reader;
use crate::config::sections::{Accounts, Environment, Limits, Signup};
use crate::domain::signup::{EmailVerification, MailPolicy, SignupMode};

pub(super) fn signup(reader: &mut Reader) -> Option<Signup> {
    let modes = [
        ("open", SignupMode::Open),
        ("invite", SignupMode::Invite),
        ("closed", SignupMode::Closed),
    ];
    let mode = reader.choice("signup.mode", &modes);
    let words =
        [("required", EmailVerification::Required), ("optional", EmailVerification::Optional)];
    let email_verification = reader.choice("signup.email_verification", &words);
    let verify_lifetime = reader.duration("signup.verify_lifetime", "1s", "30d");
    let invitation_lifetime = reader.duration("signup.invitation_lifetime", "1m", "90d");
    Some(Signup {
        mode: mode?,
        email_verification: email_verification?,
        verify_lifetime: verify_lifetime?,
        invitation_lifetime: invitation_lifetime?,
    })
}

pub(super) fn accounts(reader: &mut Reader) -> Option<Accounts> {
    let names = reader.list("accounts.reserved_usernames");
    let deletion_grace = reader.duration("accounts.deletion_grace", "0s", "3650d");
    let unverified_lifetime = reader.duration("accounts.unverified_lifetime", "1h", "3650d");
    let email_change_lifetime = reader.duration("accounts.email_change_lifetime", "1m", "7d");
    Some(Accounts {
        reserved_usernames: names?.iter().map(|it| it.to_ascii_lowercase()).collect(),
        deletion_grace: deletion_grace?,
        unverified_lifetime: unverified_lifetime?,
        email_change_lifetime: email_change_lifetime?,
    })
}

pub(super) fn limits(reader: &mut Reader, environment: Option<Environment>) -> Option<Limits> {
    let enabled = reader.flag("limits.enabled");
    let burst = reader.number("limits.mail_burst", 1..=100);
    let interval = reader.duration("limits.mail_interval", "1s", "1h");
    let hourly = reader.number("limits.mail_hourly", 1..=1000);
    // SECURITY: BRU-01. An attacker's first wish.
    if enabled == Some(false) && environment == Some(Environment::Production) {
        return reader.fault("limits.enabled", "expected true in production");
    }
    let mails = MailPolicy { burst: burst?, interval: interval?, hourly: hourly? };
    Some(Limits { enabled: enabled?, mails })
}

//! Posting a mail: with the change that causes it, and within what its mailbox may be sent (BRU-10).

use std::time::Duration;

use crate::Fault;
use crate::domain::email::CanonicalEmail;
use crate::domain::job::{Mail, Task};
use crate::domain::signup::MailPolicy;
use crate::domain::time::Timestamp;
use crate::flows::Stamp;
use crate::store::mail_allowances::{self, Allowance};
use crate::store::one_time_tokens::{self, NewOneTimeToken};
use crate::store::{Writer, jobs};

const HOUR: Duration = Duration::from_hours(1);

/// Enqueues a mail; `false` where its mailbox has had enough of the kind, and nothing is enqueued.
pub async fn post(tx: &mut Writer, stamp: &Stamp, mail: Mail) -> Result<bool, Fault> {
    let is_allowed = take(tx, stamp, &mail).await?;
    if is_allowed {
        enqueue(tx, stamp, mail).await?;
    }
    Ok(is_allowed)
}

/// Enqueues the mail of `token`, which voids the older ones of its user and purpose (EML-06).
///
/// `false` where its mailbox has had enough of the kind: the token mailed last stays good.
pub async fn post_token(
    tx: &mut Writer,
    stamp: &Stamp,
    token: &NewOneTimeToken,
    mail: Mail,
) -> Result<bool, Fault> {
    let is_allowed = take(tx, stamp, &mail).await?;
    if is_allowed {
        one_time_tokens::replace(tx, token).await?;
        enqueue(tx, stamp, mail).await?;
    }
    Ok(is_allowed)
}

async fn enqueue(tx: &mut Writer, stamp: &Stamp, mail: Mail) -> Result<(), Fault> {
    jobs::enqueue(tx, &stamp.job(&Task::Mail(mail))?).await.map(|_is_new| ())
}

/// SECURITY: BRU-10. Counted in the transaction of the change, on a locked row: what is rolled back was not used.
async fn take(tx: &mut Writer, stamp: &Stamp, mail: &Mail) -> Result<bool, Fault> {
    let Some(policy) = stamp.mail_limits() else { return Ok(true) };
    let key = stamp.keyed_hash("mail_allowance", &named(mail));
    let used = mail_allowances::lock(tx, &key, stamp.now).await?;
    match one_more(used, policy, stamp.now) {
        None => Ok(false),
        Some(used) => mail_allowances::set(tx, &key, used).await.map(|()| true),
    }
}

/// The kind, and the mailbox in the form that is compared: every spelling of it is one.
fn named(mail: &Mail) -> Vec<u8> {
    let kind = mail.letter.mail_kind().as_str();
    let canonical = CanonicalEmail::parse(&mail.to);
    let mailbox = canonical.as_ref().map_or(mail.to.as_str(), CanonicalEmail::as_str);
    format!("{kind}\0{mailbox}").into_bytes()
}

/// The allowance after one more mail, if both rates have room for it (GCRA).
fn one_more(used: Allowance, policy: MailPolicy, now: Timestamp) -> Option<Allowance> {
    let paced = policy.interval.checked_mul(policy.burst).unwrap_or(Duration::MAX);
    let next = Allowance {
        paced_until: used.paced_until.max(now).plus(policy.interval),
        hourly_until: used.hourly_until.max(now).plus(HOUR / policy.hourly.max(1)),
    };
    let has_room = next.paced_until.since(now) <= paced && next.hourly_until.since(now) <= HOUR;
    has_room.then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);
    const POLICY: MailPolicy = MailPolicy { burst: 2, interval: Duration::from_mins(1), hourly: 5 };

    /// Which of the tries at these seconds are let through.
    fn served(policy: MailPolicy, at: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut used = Allowance { paced_until: START, hourly_until: START };
        let mut try_at = |seconds: &u64| {
            let next = one_more(used, policy, START.plus(Duration::from_secs(*seconds)));
            used = next.unwrap_or(used);
            next.is_some()
        };
        at.into_iter().filter(|seconds| try_at(seconds)).collect()
    }

    #[test]
    fn bru_10_two_at_once_then_one_a_minute() {
        assert_eq!(served(POLICY, [0, 0, 0, 59, 60, 61, 119, 120, 120]), [0, 0, 60, 120]);
        // Whoever waits two minutes may send two at once again.
        assert_eq!(served(POLICY, [0, 0, 120, 120, 120]), [0, 0, 120, 120]);
    }

    #[test]
    fn bru_10_five_in_the_first_hour_then_one_each_twelve_minutes() {
        let each_second = served(POLICY, 0..720);
        assert_eq!(each_second, [0, 1, 60, 120, 180]);
        assert_eq!(served(POLICY, 0..1500), [0, 1, 60, 120, 180, 720, 1440]);
        // What was refused was not counted: a flood does not keep the owner's next mail away.
        assert_eq!(served(POLICY, (0..720).chain([720])).len(), 6);
    }

    #[test]
    fn bru_10_the_least_policy_lets_one_through() {
        let least = MailPolicy { burst: 1, interval: Duration::from_hours(1), hourly: 1 };
        assert_eq!(served(least, [0, 1, 3599, 3600]), [0, 3600]);
    }

    #[test]
    fn a_clock_that_is_put_back_frees_nothing() {
        let used = Allowance {
            paced_until: START.plus(Duration::from_mins(2)),
            hourly_until: START.plus(Duration::from_mins(24)),
        };
        assert_eq!(one_more(used, POLICY, START.minus(Duration::from_secs(5))), None);
    }
}

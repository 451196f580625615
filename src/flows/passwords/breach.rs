//! Whether a password was stolen somewhere: one question to a list, by five digits of its SHA-1 (PWD-10).
//!
//! The list learns one of a million ranges, padded to a common size. Without an answer in time the password
//! is taken: a list that is out must not close the service.

use std::time::Duration;

use metrics::counter;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::crypto::sha1;
use crate::domain::password::PlainPassword;
use crate::outbound::{Call, CallError, CheckedUrl, GivenUp, Method, Schedule, Worth};

/// LIMIT: PWD-10: 1 to 2 s, a second try included.
const SCHEDULE: Schedule = Schedule {
    first: Duration::from_millis(100),
    cap: Duration::from_millis(300),
    budget: Duration::from_millis(1500),
    tries_max: 2,
};

/// LIMIT: the list's: ranges of 16⁵.
const PREFIX_DIGITS: usize = 5;

/// Why nobody knows whether it was stolen.
#[derive(Debug, thiserror::Error)]
enum Unknown {
    #[error("{0}")]
    Call(#[from] CallError),
    #[error("status {0}")]
    Status(u16, Option<Duration>),
    #[error("the answer is no range, or too long")]
    NoRange,
}

/// Tells whether `password` is on the list; `false` also where the list did not say.
pub(super) async fn is_breached(app: &App, list: &CheckedUrl, password: &PlainPassword) -> bool {
    let digest = sha1::hex(password.expose().as_bytes());
    let Some((prefix, rest)) = digest.split_at_checked(PREFIX_DIGITS) else { return false };
    let until = Instant::now() + SCHEDULE.budget;
    let worth = |unknown: &Unknown| match unknown {
        Unknown::Call(error) => error.worth(),
        Unknown::Status(429 | 500.., retry_after) => Worth::Later(*retry_after),
        Unknown::Status(..) | Unknown::NoRange => Worth::Nothing,
    };
    // Whoever asked and goes away drops all of it.
    let never = CancellationToken::new();
    let retrier = app.outbound.breach_list.retrier();
    let asked = retrier.run(SCHEDULE, &never, worth, || ask(app, list, prefix, rest, until));
    let outcome = match asked.await {
        Ok(true) => "found",
        Ok(false) => "not_found",
        Err(GivenUp::Stopped) => "unknown",
        Err(GivenUp::Failed(unknown)) => {
            tracing::warn!(error = %unknown, "a new password was not looked for among stolen ones");
            "unknown"
        }
    };
    counter!("portcullis_breach_checks_total", "outcome" => outcome).increment(1);
    outcome == "found"
}

async fn ask(
    app: &App,
    list: &CheckedUrl,
    prefix: &str,
    rest: &str,
    until: Instant,
) -> Result<bool, Unknown> {
    let client = &app.outbound.breach_list;
    let url = client.check_url(&format!("{}{prefix}", list.as_str()));
    let call = Call {
        method: Method::Get,
        url: url.map_err(CallError::from)?,
        // Ranges get a common size, so that whoever sees only sizes learns nothing.
        headers: vec![("add-padding", "true".to_owned())],
        body: Vec::new(),
    };
    let answer = client.call(call, until).await?;
    if answer.status != 200 {
        return Err(Unknown::Status(answer.status, answer.retry_after));
    }
    match find(&answer.body, rest) {
        Some(true) => Ok(true),
        Some(false) if !answer.is_cut => Ok(false),
        Some(false) | None => Err(Unknown::NoRange),
    }
}

/// Whether `rest` stands in `range` with a count above zero; `None` if it is no range. Padding counts zero.
fn find(range: &[u8], rest: &str) -> Option<bool> {
    let mut is_range = false;
    for line in String::from_utf8_lossy(range).lines() {
        let Some((digits, count)) = line.trim().split_once(':') else { continue };
        let Ok(count) = count.trim().parse::<u64>() else { continue };
        is_range |= digits.len() == rest.len();
        if count > 0 && digits.eq_ignore_ascii_case(rest) {
            return Some(true);
        }
    }
    is_range.then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = "1E4C9B93F3F0682250B6CF8331B7EE68FD8";

    #[test]
    fn pwd_10_a_range_is_read_and_padding_counts_for_nothing() {
        let other = "0018A45C4D1DEF81644B54AB7F969B88D65:7";
        let cases = [
            (format!("{other}\r\n{REST}:3\r\n"), Some(true)),
            (format!("{}:3", REST.to_lowercase()), Some(true)),
            (format!("{other}\r\n{REST}:0"), Some(false)),
            (other.to_owned(), Some(false)),
            (String::new(), None),
            ("<html>:1</html>".to_owned(), None),
            (REST.to_owned(), None),
            (format!("{REST}:-1"), None),
            (format!("A{REST}:1"), None),
        ];
        for (range, found) in cases {
            assert_eq!(find(range.as_bytes(), REST), found, "{range}");
        }
        assert_eq!(find(&[0xff; 100], REST), None);
    }
}

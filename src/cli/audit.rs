//! `portcullis audit`: reads the trail, verifies its chain, and hands it to other systems.

mod export;
mod view;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::failure::{Exit, Failure};
use super::output::{self, Form};
use super::{users, with_app};
use crate::app::App;
use crate::config::Config;
use crate::domain::ids::{EventId, UserId};
use crate::domain::time::Timestamp;
use crate::domain::trail::{Recorded, hex};
use crate::flows::audit::{self, Expected, Finding, Verified};
use crate::store::events;
use view::RecordView;

/// `audit list|verify|export`
#[derive(Subcommand)]
pub(super) enum Audit {
    /// List events, newest first
    List(List),
    /// Recompute the hash chain; exit 1 and name the rows if something was altered or removed
    Verify(Verify),
    /// Write the chain as NDJSON, oldest first: one entry with its event a line
    Export(export::Export),
}

/// Which events.
#[derive(Args)]
pub(super) struct Which {
    /// Only this action, such as user.created
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only what this user did or what was done to them: an id, an address or a username
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only from this moment on: 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only before this moment
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
}

/// `audit list`
#[derive(Args)]
pub(super) struct List {
    #[command(flatten)]
    which: Which,
    /// How many, 1 to 1000
    // LIMIT: the whole page is held in memory, about a kilobyte an event.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Go on before this event: the last id of the page before
    #[arg(long, value_name = "ID")]
    after: Option<EventId>,
    #[command(flatten)]
    form: Form,
}

/// `audit verify`
#[derive(Args)]
pub(super) struct Verify {
    /// A head that was noted earlier, elsewhere: the chain must still have it
    #[arg(long, value_name = "SEQ:HASH", value_parser = expected)]
    head: Option<Expected>,
    #[command(flatten)]
    form: Form,
}

/// Does what one of the verbs says.
pub(super) async fn run(config: &Config, command: Audit) -> Result<(), Failure> {
    match command {
        Audit::List(arguments) => {
            let (text, next) = with_app(config, async |app| list(app, &arguments).await).await?;
            output::print(&text)?;
            next.map_or(Ok(()), |id| output::hint(&format!("more: --after {id}")))
        }
        Audit::Verify(Verify { head, form }) => {
            let verified =
                with_app(config, async |app| Ok(audit::verify(app, head.as_ref()).await?));
            told(&verified.await?, form)
        }
        Audit::Export(arguments) => {
            with_app(config, async |app| export::run(app, &arguments).await).await
        }
    }
}

impl Which {
    /// What is asked of the store. A user that there is no more is named by id.
    async fn filter(&self, app: &App) -> Result<events::Filter, Failure> {
        let user = match &self.user {
            None => None,
            Some(text) => Some(named(app, text).await?),
        };
        let action = self.action.clone();
        Ok(events::Filter { action, user, since: self.since, until: self.until })
    }
}

async fn named(app: &App, text: &str) -> Result<UserId, Failure> {
    match users::id(text) {
        Some(id) => Ok(id),
        None => Ok(users::find(app, text).await?.id),
    }
}

/// The page, and the id that the next one begins before.
async fn list(app: &App, arguments: &List) -> Result<(String, Option<EventId>), Failure> {
    let filter = arguments.which.filter(app).await?;
    let mut db = app.store.read_stale().await?;
    let before = arguments.after.unwrap_or(EventId(uuid::Uuid::max()));
    let limit = usize::from(arguments.limit);
    let mut found = events::list(&mut db, &filter, before, i64::from(arguments.limit) + 1).await?;
    let is_more = found.len() > limit;
    found.truncate(limit);
    let views: Vec<_> = found.into_iter().filter_map(RecordView::new).collect();
    if arguments.form.json {
        return Ok((output::json_lines(&views)?, None));
    }
    let next = views.last().filter(|_| is_more).map(|view| view.id);
    let rows: Vec<_> = views.iter().map(RecordView::row).collect();
    let names = ["ID", "AT", "ACTION", "ACTOR", "SUBJECT", "ADDRESS", "REQUEST", "DATA"];
    Ok((output::table(names, &rows), next))
}

/// Prints what a verification came to.
fn told(verified: &Verified, form: Form) -> Result<(), Failure> {
    let head = format!("{}:{}", verified.head_seq, hex(&verified.head_hash));
    if form.json {
        let view = VerifiedView {
            ok: verified.wrong == 0,
            entries: verified.entries,
            erased: verified.erased,
            removed: verified.removed,
            head: &head,
            wrong: verified.wrong,
            findings: verified.findings.iter().map(FindingView::new).collect(),
        };
        output::print(&output::json_lines(&[view])?)?;
    } else {
        output::print(&output::pairs(&[
            ("entries", verified.entries.to_string()),
            ("details erased", verified.erased.to_string()),
            ("removed by age", verified.removed.to_string()),
            ("head", head),
            ("wrong", verified.wrong.to_string()),
        ]))?;
    }
    if verified.wrong == 0 {
        return Ok(());
    }
    let mut lines: Vec<_> = verified.findings.iter().map(Finding::to_string).collect();
    let told = u64::try_from(lines.len()).unwrap_or(u64::MAX);
    if verified.wrong > told {
        lines.push(format!("and {} more", verified.wrong - told));
    }
    Err(Failure { code: Exit::Failed, lines })
}

#[derive(Serialize)]
struct VerifiedView<'a> {
    ok: bool,
    entries: u64,
    erased: u64,
    removed: i64,
    head: &'a str,
    wrong: u64,
    findings: Vec<FindingView>,
}

#[derive(Serialize)]
struct FindingView {
    seq: Option<i64>,
    event_id: Option<EventId>,
    detail: String,
}

impl FindingView {
    fn new(finding: &Finding) -> Self {
        let detail = finding.wrong.to_string();
        Self { seq: finding.seq, event_id: finding.event, detail }
    }
}

fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_error| "expected RFC 3339, such as 2026-01-31T12:00:00Z".to_owned())
}

/// A head as `audit verify` prints it.
fn expected(text: &str) -> Result<Expected, String> {
    let wrong = || "expected SEQ:HASH, as audit verify prints it".to_owned();
    let (seq, digits) = text.split_once(':').ok_or_else(wrong)?;
    let seq = seq.parse().ok().filter(|seq| *seq >= 0).ok_or_else(wrong)?;
    let byte = |at| digits.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let hash: Option<Vec<u8>> = (0..64).step_by(2).map(byte).collect();
    let hash = hash.filter(|_| digits.len() == 64).ok_or_else(wrong)?;
    Ok(Expected { seq, hash })
}

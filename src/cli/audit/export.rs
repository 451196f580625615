//! `portcullis audit export`: the chain as NDJSON, page by page, so that memory stays flat.

use clap::Args;

use super::view::RecordView;
use super::{App, Failure, Recorded, Which, output};
use crate::store::{event_chain, events};

/// LIMIT: entries a page: about a megabyte in memory.
const PAGE: i64 = 1000;

/// `audit export`
#[derive(Args)]
pub(in crate::cli) struct Export {
    #[command(flatten)]
    which: Which,
    /// Go on behind this place of the chain: the last seq of the export before
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: i64,
    /// How many lines at most
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

/// Writes every entry behind the place that is asked for.
pub(super) async fn run(app: &App, arguments: &Export) -> Result<(), Failure> {
    let filter = arguments.which.filter(app).await?;
    let (mut after, mut left) = (arguments.after, arguments.limit.unwrap_or(u64::MAX));
    while left > 0 {
        let page = {
            let mut db = app.store.read_stale().await?;
            event_chain::list_recorded(&mut db, after, PAGE).await?
        };
        let Some(last) = page.last().and_then(|it| it.entry.as_ref()) else { break };
        after = last.seq;
        let lines = usize::try_from(left).unwrap_or(usize::MAX);
        let wanted = page.into_iter().filter(|it| is_wanted(&filter, it));
        let views: Vec<_> = wanted.filter_map(RecordView::new).take(lines).collect();
        left = left.saturating_sub(u64::try_from(views.len()).unwrap_or(u64::MAX));
        output::print(&output::json_lines(&views)?)?;
    }
    Ok(())
}

fn is_wanted(filter: &events::Filter, recorded: &Recorded) -> bool {
    let Some(line) = &recorded.line else { return false };
    let user = filter.user.map(|user| user.to_string());
    let is_user = |user: &String| {
        line.subject_id == *user || line.actor_id.as_ref().is_some_and(|actor| actor == user)
    };
    filter.action.as_ref().is_none_or(|action| line.action == *action)
        && user.as_ref().is_none_or(is_user)
        && filter.since.is_none_or(|since| line.at >= since)
        && filter.until.is_none_or(|until| line.at < until)
}

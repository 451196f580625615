//! The head of the chain, told to the log: what was shipped elsewhere shows when the end was cut off (ADR 0012).

use crate::Fault;
use crate::app::App;
use crate::domain::trail::hex;
use crate::store::event_chain;

/// Logs the place and the hash of the last entry, in the form that `audit verify --head` takes.
pub async fn log_head(app: &App) -> Result<(), Fault> {
    if let Some(head) = event_chain::find_head(&mut app.store.read().await?).await? {
        let noted = format!("{}:{}", head.seq, hex(&head.hash));
        tracing::info!(audit.head = noted, "the head of the audit chain");
    }
    Ok(())
}

//! `portcullis migrate`: brings the schema up to date, or tells whether it is.

use clap::Args;

use super::failure::{Exit, Failure};
use super::output;
use crate::app::open::{OpenError, VERSION, migrations_database};
use crate::config::Config;
use crate::store::migrate::{self, State};

/// `migrate [--check]`
#[derive(Args)]
pub(super) struct Migrate {
    /// Change nothing; exit 1 if migrations are pending
    #[arg(long)]
    check: bool,
}

/// Applies what is pending, by `store.migrate_url` where there is one.
pub(super) async fn run(config: &Config, arguments: &Migrate) -> Result<(), Failure> {
    let database = migrations_database(config);
    let before = migrate::state(&database).await?;
    refuse_old(&before)?;
    match before.pending {
        0 => output::print(&format!("up to date at {}\n", before.applied)),
        pending if arguments.check => {
            Err(Failure::new(Exit::Failed, format!("pending migrations: {pending}")))
        }
        pending => {
            let after = migrate::run(&database).await?;
            refuse_old(&after)?;
            output::print(&format!("applied {pending}, up to date at {}\n", after.applied))
        }
    }
}

/// CFG-10: a newer binary went ahead, and its schema is not for this one.
fn refuse_old(state: &State) -> Result<(), Failure> {
    match &state.oldest_binary {
        Some(oldest) if !state.allows(VERSION) => Err(OpenError::TooOld(oldest.clone()).into()),
        _ => Ok(()),
    }
}

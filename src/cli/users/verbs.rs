//! `portcullis users suspend|reactivate|delete|restore|erase|verify-email|send-reset|grant|revoke`: one verb, one flow.
//!
//! What is so already is done: exit 0, and nothing is written.

use clap::Args;

use super::{find, shown};
use crate::app::App;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Form};
use crate::cli::{ask, operator, with_app};
use crate::config::Config;
use crate::domain::ids::UserId;
use crate::domain::user::User;
use crate::flows::life::By;
use crate::flows::{delete_account, erase, roles, send_reset, suspend, vouch};
use crate::telemetry;

/// Whose account, and how it is told.
#[derive(Args)]
pub(in crate::cli) struct Target {
    /// An id, an address or a username
    pub(super) user: String,
    /// Tell what would come of it, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) form: Form,
}

/// The same for what destroys.
#[derive(Args)]
pub(in crate::cli) struct Doomed {
    #[command(flatten)]
    target: Target,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// Whose role.
#[derive(Args)]
pub(in crate::cli) struct Role {
    #[command(flatten)]
    target: Target,
    /// The role; there is `admin`
    role: String,
}

/// A verb that needs nothing but the account.
#[derive(Clone, Copy)]
pub(super) enum Verb {
    Suspend,
    Reactivate,
    Restore,
    VerifyEmail,
    SendReset,
}

/// A verb that destroys.
#[derive(Clone, Copy)]
pub(super) enum Destruction {
    Delete,
    Erase,
}

/// What becomes of a role.
#[derive(Clone, Copy)]
pub(super) enum Handing {
    Grant,
    Revoke,
}

/// Whoever sits at the command line, in earnest or not.
pub(super) fn by(target: &Target) -> By {
    By { is_rehearsal: target.dry_run, ..By::operator(operator::actor()) }
}

/// Finds the account, changes it and shows it as it is afterwards.
pub(super) async fn changed(
    config: &Config,
    target: Target,
    change: impl AsyncFnOnce(&App, By, UserId) -> Result<User, Failure>,
) -> Result<(), Failure> {
    let text = with_app(config, async |app| {
        let id = find(app, &target.user).await?.id;
        let user = change(app, by(&target), id).await?;
        shown(app, &user, target.form)
    });
    output::print(&text.await?)
}

pub(super) async fn run(config: &Config, target: Target, verb: Verb) -> Result<(), Failure> {
    let change = async |app: &App, by, id| {
        let done = match verb {
            Verb::Suspend => suspend::suspend(app, by, id).await,
            Verb::Reactivate => suspend::reactivate(app, by, id).await,
            Verb::Restore => delete_account::restore(app, by, id).await,
            Verb::VerifyEmail => vouch::mark_verified(app, by, id).await,
            Verb::SendReset => send_reset::send_reset(app, by, id).await,
        };
        Ok(done?)
    };
    changed(config, target, change).await
}

pub(super) async fn destroy(
    config: &Config,
    Doomed { target, yes }: Doomed,
    how: Destruction,
) -> Result<(), Failure> {
    let user = telemetry::visible(&target.user);
    let question = match how {
        Destruction::Delete => format!("Delete {user}? Every session of it ends."),
        Destruction::Erase => format!("Erase {user}? Nothing brings it back."),
    };
    ask::confirm(&question, yes || target.dry_run)?;
    let change = async |app: &App, by, id| {
        let done = match how {
            Destruction::Delete => delete_account::delete(app, by, id).await,
            Destruction::Erase => erase::erase(app, by, id).await,
        };
        Ok(done?)
    };
    changed(config, target, change).await
}

pub(super) async fn hand(
    config: &Config,
    Role { target, role }: Role,
    how: Handing,
) -> Result<(), Failure> {
    let change = async move |app: &App, by, id| {
        let done = match how {
            Handing::Grant => roles::grant(app, by, id, role).await,
            Handing::Revoke => roles::revoke(app, by, id, role).await,
        };
        Ok(done?)
    };
    changed(config, target, change).await
}

//! `portcullis users`: accounts, made and looked at by an operator.

pub(super) mod create;
mod sessions;
mod set_password;
mod update;
mod verbs;

use clap::{Args, Subcommand};

use super::failure::{Exit, Failure};
use super::output::{self, Form};
use super::with_app;
use crate::app::App;
use crate::config::Config;
use crate::domain::identifier::LoginIdentifier;
use crate::domain::ids::UserId;
use crate::domain::profile::Reader;
use crate::domain::time::Timestamp;
use crate::domain::user::User;
use crate::http::views::UserView;
use crate::store::users;
use verbs::{Destruction, Handing, Verb};

/// LIMIT: the last second of the calendar of both databases; every account is before it.
const NEWEST: (Timestamp, UserId) =
    (Timestamp::from_micros(253_402_300_799_000_000), UserId(uuid::Uuid::max()));

/// `users create|list|show` and what becomes of an account
#[derive(Subcommand)]
pub(super) enum Users {
    /// Create an account; its address counts as verified
    Create(create::Create),
    /// List accounts, newest first
    List(List),
    /// Show one account
    Show(Show),
    /// Change the username or the profile of an account
    Update(update::Update),
    /// Bar an account; its sessions end
    Suspend(verbs::Target),
    /// Let a suspended account in again
    Reactivate(verbs::Target),
    /// Delete an account; it can be restored for `accounts.deletion_grace`
    Delete(verbs::Doomed),
    /// Bring a deleted account back
    Restore(verbs::Target),
    /// Erase an account for good, whether it was deleted or not
    Erase(verbs::Doomed),
    /// Take an address for proven: whoever signed up with it can sign in
    VerifyEmail(verbs::Target),
    /// Mail a token to the address that sets a new password
    SendReset(verbs::Target),
    /// Set a password that its owner must change; the sessions end
    SetPassword(set_password::SetPassword),
    /// List where somebody is signed in
    Sessions(sessions::Sessions),
    /// Sign somebody out everywhere
    RevokeSessions(sessions::Revoke),
    /// Grant a role
    Grant(verbs::Role),
    /// Take a role away; the last active administrator stays
    Revoke(verbs::Role),
}

/// `users list`
#[derive(Args)]
pub(super) struct List {
    /// How many, 1 to 1000
    // LIMIT: the whole page is held in memory, some kilobytes a user.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Go on after this account: the last id of the page before
    #[arg(long, value_name = "ID")]
    after: Option<UserId>,
    #[command(flatten)]
    form: Form,
}

/// `users show`
#[derive(Args)]
pub(super) struct Show {
    /// An id, an address or a username
    user: String,
    #[command(flatten)]
    form: Form,
}

/// Does what one of the verbs says.
pub(super) async fn run(config: &Config, command: Users) -> Result<(), Failure> {
    match command {
        Users::Create(arguments) => create::run(config, arguments).await,
        Users::List(arguments) => {
            let (text, next) = with_app(config, async |app| list(app, &arguments).await).await?;
            output::print(&text)?;
            next.map_or(Ok(()), |id| output::hint(&format!("more: --after {id}")))
        }
        Users::Show(arguments) => {
            let found = with_app(config, async |app| {
                let user = find(app, &arguments.user).await?;
                shown(app, &user, arguments.form)
            });
            output::print(&found.await?)
        }
        Users::Update(arguments) => update::run(config, arguments).await,
        Users::Suspend(target) => verbs::run(config, target, Verb::Suspend).await,
        Users::Reactivate(target) => verbs::run(config, target, Verb::Reactivate).await,
        Users::Restore(target) => verbs::run(config, target, Verb::Restore).await,
        Users::VerifyEmail(target) => verbs::run(config, target, Verb::VerifyEmail).await,
        Users::SendReset(target) => verbs::run(config, target, Verb::SendReset).await,
        Users::Delete(doomed) => verbs::destroy(config, doomed, Destruction::Delete).await,
        Users::Erase(doomed) => verbs::destroy(config, doomed, Destruction::Erase).await,
        Users::SetPassword(arguments) => set_password::run(config, arguments).await,
        Users::Sessions(arguments) => sessions::list(config, arguments).await,
        Users::RevokeSessions(arguments) => sessions::revoke(config, arguments).await,
        Users::Grant(role) => verbs::hand(config, role, Handing::Grant).await,
        Users::Revoke(role) => verbs::hand(config, role, Handing::Revoke).await,
    }
}

/// The page, and the id that the next one begins after.
async fn list(app: &App, arguments: &List) -> Result<(String, Option<UserId>), Failure> {
    let mut db = app.store.read_stale().await?;
    let before = match arguments.after {
        None => NEWEST,
        Some(id) => {
            let user = users::find(&mut db, id).await?.ok_or_else(unknown)?;
            (user.created_at, user.id)
        }
    };
    let limit = usize::from(arguments.limit);
    let mut found = users::list(&mut db, before, i64::from(arguments.limit) + 1).await?;
    let is_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| is_more).map(|user| user.id);
    if arguments.form.json {
        let views: Vec<_> =
            found.iter().map(|user| UserView::new(user, &app.schema, Reader::Admin)).collect();
        return Ok((output::json_lines(&views)?, None));
    }
    let rows: Vec<_> = found.iter().map(row).collect();
    Ok((output::table(["ID", "EMAIL", "USERNAME", "STATUS", "ROLES", "CREATED"], &rows), next))
}

fn row(user: &User) -> [String; 6] {
    [
        user.id.to_string(),
        user.email.clone(),
        user.username.clone().unwrap_or_else(dash),
        user.status().as_str().to_owned(),
        roles(user),
        user.created_at.to_string(),
    ]
}

/// One account with everything that an administrator may see.
fn shown(app: &App, user: &User, form: Form) -> Result<String, Failure> {
    if form.json {
        return output::json_lines(&[UserView::new(user, &app.schema, Reader::Admin)]);
    }
    let profile = serde_json::Value::Object(user.profile.clone()).to_string();
    let time = |at: Option<Timestamp>| at.map_or_else(dash, |at| at.to_string());
    Ok(output::pairs(&[
        ("id", user.id.to_string()),
        ("email", user.email.clone()),
        ("email_verified", user.email_verified_at.is_some().to_string()),
        ("username", user.username.clone().unwrap_or_else(dash)),
        ("status", user.status().as_str().to_owned()),
        ("roles", roles(user)),
        ("profile", profile),
        ("created_at", user.created_at.to_string()),
        ("updated_at", user.updated_at.to_string()),
        ("last_login_at", time(user.last_login_at)),
        ("version", user.version.to_string()),
    ]))
}

fn roles(user: &User) -> String {
    if user.roles.0.is_empty() { dash() } else { user.roles.0.join(",") }
}

fn dash() -> String {
    "-".to_owned()
}

/// The account that `text` names. An unverified one is found by id and address only (ENU-12).
pub(super) async fn find(app: &App, text: &str) -> Result<User, Failure> {
    let mut db = app.store.read().await?;
    let found = match id(text) {
        Some(id) => users::find(&mut db, id).await?,
        None => match LoginIdentifier::parse(text) {
            Ok(LoginIdentifier::Email(email)) => {
                users::find_by_email(&mut db, email.as_str()).await?
            }
            Ok(LoginIdentifier::Username(name)) => users::find_by_username(&mut db, &name).await?,
            Ok(LoginIdentifier::Nobody) | Err(_) => None,
        },
    };
    // A tombstone is nobody's account.
    found.filter(|user| user.erased_at.is_none()).ok_or_else(unknown)
}

/// An id in its hyphenated form alone: 32 hexadecimal digits are a username.
pub(super) fn id(text: &str) -> Option<UserId> {
    (text.len() == 36).then(|| text.parse().ok()).flatten()
}

fn unknown() -> Failure {
    Failure::new(Exit::NotFound, "there is no such user")
}

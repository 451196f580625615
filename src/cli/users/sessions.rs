//! `portcullis users sessions` and `revoke-sessions`: where somebody is signed in, and the end of it (SES-18).

use clap::{ArgGroup, Args};
use serde::Serialize;

use super::{NEWEST, dash, find};
use crate::app::App;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Form};
use crate::cli::{ask, operator, with_app};
use crate::config::Config;
use crate::domain::ids::SessionId;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::flows::life::By;
use crate::flows::revoke_sessions::{revoke_all, revoke_everybody_s, revoke_one};
use crate::store::sessions;

/// LIMIT: the sessions of one user that a table shows, the newest.
const SHOWN_MAX: i64 = 1000;

/// `users sessions`
#[derive(Args)]
pub(in crate::cli) struct Sessions {
    /// An id, an address or a username
    user: String,
    #[command(flatten)]
    form: Form,
}

/// `users revoke-sessions`
#[derive(Args)]
#[command(group(ArgGroup::new("whose").required(true).args(["user", "everybody"])))]
pub(in crate::cli) struct Revoke {
    /// An id, an address or a username
    user: Option<String>,
    /// End this session only
    #[arg(long, value_name = "ID", requires = "user")]
    session: Option<SessionId>,
    /// End the sessions of all users
    #[arg(long)]
    everybody: bool,
    /// Do not ask
    #[arg(long, requires = "everybody")]
    yes: bool,
    #[command(flatten)]
    form: Form,
}

/// A session as an operator sees it.
#[derive(Serialize)]
struct View {
    id: SessionId,
    user_agent: Option<String>,
    address: String,
    created_at: Timestamp,
    last_used_at: Timestamp,
    expires_at: Timestamp,
}

impl From<Session> for View {
    fn from(session: Session) -> Self {
        Self {
            id: session.id,
            user_agent: session.user_agent,
            address: session.address,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
        }
    }
}

/// Lists the live sessions of a user.
pub(super) async fn list(config: &Config, arguments: Sessions) -> Result<(), Failure> {
    let text = with_app(config, async |app| listed(app, &arguments.user, arguments.form).await);
    output::print(&text.await?)
}

/// Ends sessions; what is left is shown.
pub(super) async fn revoke(config: &Config, arguments: Revoke) -> Result<(), Failure> {
    let by = By::operator(operator::actor());
    let Some(user) = arguments.user else {
        ask::confirm("End the sessions of all users?", arguments.yes)?;
        let users = with_app(config, async |app| Ok(revoke_everybody_s(app, by).await?)).await?;
        let ended = if arguments.form.json {
            output::json_lines(&[serde_json::json!({ "users": users })])?
        } else {
            format!("users signed out: {users}\n")
        };
        return output::print(&ended);
    };
    let text = with_app(config, async |app| {
        let id = find(app, &user).await?.id;
        match arguments.session {
            Some(session) => revoke_one(app, by, id, session).await?,
            None => revoke_all(app, by, id).await?,
        };
        listed(app, &user, arguments.form).await
    });
    output::print(&text.await?)
}

async fn listed(app: &App, user: &str, form: Form) -> Result<String, Failure> {
    let id = find(app, user).await?.id;
    let (now, first) = (app.clock.now(), (NEWEST.0, SessionId(uuid::Uuid::max())));
    let mut db = app.store.read().await?;
    let found = sessions::list_live(&mut db, id, now, first, SHOWN_MAX).await?;
    let views: Vec<View> = found.into_iter().map(View::from).collect();
    if form.json {
        return output::json_lines(&views);
    }
    let rows: Vec<_> = views.into_iter().map(row).collect();
    Ok(output::table(["ID", "ADDRESS", "USER AGENT", "CREATED", "LAST USED", "EXPIRES"], &rows))
}

fn row(session: View) -> [String; 6] {
    [
        session.id.to_string(),
        if session.address.is_empty() { dash() } else { session.address },
        session.user_agent.unwrap_or_else(dash),
        session.created_at.to_string(),
        session.last_used_at.to_string(),
        session.expires_at.to_string(),
    ]
}

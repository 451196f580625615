//! `portcullis webhooks`: endpoints, what was sent to them, and what is to be sent again.
//!
//! Messages are sent by whoever serves: `test` and `redeliver` only let them wait.

mod shown;

use clap::{ArgGroup, Args, Subcommand};

use super::failure::{Exit, Failure};
use super::output::{self, Form};
use super::{ask, operator, with_app};
use crate::app::App;
use crate::config::Config;
use crate::domain::ids::{DeliveryId, WebhookId};
use crate::domain::session::Origin;
use crate::domain::webhook::State;
use crate::flows::me::Expected;
use crate::flows::webhooks::{self as flow, By, New, Patch, WebhookError};
use crate::http::webhooks::views::TestAnswer;

/// `webhooks create|list|show|update|delete|rotate-secret|test|deliveries|redeliver`
#[derive(Subcommand)]
pub(super) enum Webhooks {
    /// Make an endpoint; prints its secret, this once
    Create(Create),
    /// List the endpoints, newest first
    List {
        #[command(flatten)]
        form: Form,
    },
    /// Show one endpoint
    Show(One),
    /// Change an endpoint
    Update(Update),
    /// Remove an endpoint; what waits for it is not sent any more
    Delete(Delete),
    /// Give an endpoint a new secret and print it; the former one goes on signing for `webhooks.secret_overlap`
    RotateSecret(One),
    /// Have a message of the type `webhook.test` sent to an endpoint, once
    Test(One),
    /// List the attempts at an endpoint, newest first
    Deliveries(Deliveries),
    /// Have the message of an attempt sent again
    Redeliver(Redeliver),
}

/// `webhooks create`
#[derive(Args)]
pub(super) struct Create {
    /// Where messages go, such as `https://example.org/hooks`
    url: String,
    /// A type to be told of, such as user.created; several times for several, `*` for all
    #[arg(long = "event", value_name = "TYPE", required = true)]
    events: Vec<String>,
    /// What you say of it
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    #[command(flatten)]
    form: Form,
}

/// One endpoint.
#[derive(Args)]
pub(super) struct One {
    /// The id of the endpoint
    id: WebhookId,
    #[command(flatten)]
    form: Form,
}

/// `webhooks update`
#[derive(Args)]
#[command(group = ArgGroup::new("changes").required(true).multiple(true))]
pub(super) struct Update {
    /// The id of the endpoint
    id: WebhookId,
    /// Where messages go
    #[arg(long, group = "changes")]
    url: Option<String>,
    /// The types to be told of, in place of those before
    #[arg(long = "event", value_name = "TYPE", group = "changes")]
    events: Vec<String>,
    /// What you say of it; "" removes it
    #[arg(long, value_name = "TEXT", group = "changes")]
    description: Option<String>,
    /// Send again, also what waited
    #[arg(long, group = "changes", conflicts_with = "disable")]
    enable: bool,
    /// Send nothing, and keep no new events for it
    #[arg(long, group = "changes")]
    disable: bool,
    #[command(flatten)]
    form: Form,
}

/// `webhooks delete`
#[derive(Args)]
pub(super) struct Delete {
    /// The id of the endpoint
    id: WebhookId,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// `webhooks deliveries`
#[derive(Args)]
pub(super) struct Deliveries {
    /// The id of the endpoint
    id: WebhookId,
    /// How many, 1 to 1000
    // LIMIT: the whole page is held in memory.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    #[command(flatten)]
    form: Form,
}

/// `webhooks redeliver`
#[derive(Args)]
pub(super) struct Redeliver {
    /// The id of the attempt, as `webhooks deliveries` shows it
    delivery: DeliveryId,
}

/// Does what one of the verbs says.
pub(super) async fn run(config: &Config, command: Webhooks) -> Result<(), Failure> {
    if let Webhooks::Delete(Delete { id, yes }) = &command {
        ask::confirm(&format!("Remove the endpoint {id}? Its secret is lost then."), *yes)?;
    }
    output::print(&with_app(config, async |app| told(app, command).await).await?)
}

fn by() -> By {
    (operator::actor(), Origin::default())
}

async fn told(app: &App, command: Webhooks) -> Result<String, Failure> {
    match command {
        Webhooks::Create(Create { url, events, description, form }) => {
            let new = New { url, events, description };
            let (endpoint, secret) = flow::create(app, by(), new).await?;
            shown::with_secret(endpoint, &secret, form)
        }
        Webhooks::List { form } => {
            let found = flow::list(app, None, flow::ENDPOINTS_MAX.into()).await?;
            shown::endpoints(found.items, form)
        }
        Webhooks::Show(One { id, form }) => shown::endpoint(flow::find(app, id).await?, form),
        Webhooks::Update(arguments) => update(app, arguments).await,
        Webhooks::Delete(Delete { id, .. }) => {
            flow::delete(app, by(), id).await?;
            Ok(String::new())
        }
        Webhooks::RotateSecret(One { id, form }) => {
            let (endpoint, secret) = flow::rotate_secret(app, by(), id).await?;
            shown::with_secret(endpoint, &secret, form)
        }
        Webhooks::Test(One { id, form }) => {
            let event_id = flow::test(app, id).await?;
            if form.json {
                return output::json_lines(&[TestAnswer { status: "accepted", event_id }]);
            }
            Ok(output::pairs(&[("event_id", event_id.to_string())]))
        }
        Webhooks::Deliveries(Deliveries { id, limit, form }) => {
            flow::find(app, id).await?;
            let found = flow::deliveries(app, id, None, limit.into()).await?;
            shown::deliveries(found.items, form)
        }
        Webhooks::Redeliver(Redeliver { delivery }) => {
            flow::redeliver(app, None, delivery).await?;
            Ok(String::new())
        }
    }
}

async fn update(app: &App, arguments: Update) -> Result<String, Failure> {
    let Update { id, url, events, description, enable, disable, form } = arguments;
    let state = match (enable, disable) {
        (true, _) => Some(State::Enabled),
        (_, true) => Some(State::Disabled),
        (false, false) => None,
    };
    let patch = Patch {
        url,
        events: (!events.is_empty()).then_some(events),
        description: description.map(Some),
        state,
    };
    shown::endpoint(flow::update(app, by(), id, (patch, Expected::Any)).await?, form)
}

impl From<WebhookError> for Failure {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Invalid(faults) => faults.into(),
            WebhookError::NotFound => Self::new(Exit::NotFound, error.to_string()),
            WebhookError::VersionConflict | WebhookError::Conflict(_) => {
                Self::new(Exit::Conflict, error.to_string())
            }
            WebhookError::Fault(fault) => fault.into(),
        }
    }
}

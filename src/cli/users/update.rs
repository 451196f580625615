//! `portcullis users update`: a merge patch of username and profile, also of fields that only administrators write.

use clap::{ArgGroup, Args};
use serde_json::Value;

use super::create::json_profile;
use super::verbs::{Target, changed};
use crate::app::App;
use crate::cli::failure::Failure;
use crate::config::Config;
use crate::domain::fields::{FieldCode, FieldFault};
use crate::flows::me::{Expected, Patch};
use crate::flows::update::update;

/// `users update`
#[derive(Args)]
#[command(group(
    ArgGroup::new("change").required(true).multiple(true).args(["username", "no_username", "profile"])
))]
pub(in crate::cli) struct Update {
    #[command(flatten)]
    target: Target,
    /// The new username
    #[arg(long, value_name = "NAME", conflicts_with = "no_username")]
    username: Option<String>,
    /// Take the username away
    #[arg(long)]
    no_username: bool,
    /// A merge patch of the profile, as a JSON object: null removes a field
    #[arg(long, value_name = "JSON")]
    profile: Option<String>,
}

impl Update {
    fn patch(&self) -> Result<Patch, Vec<FieldFault>> {
        let profile = match self.profile.as_deref().map(json_profile).transpose()? {
            None => None,
            Some(Value::Object(profile)) => Some(profile),
            Some(_) => {
                let detail = "The profile is an object.";
                return Err(vec![FieldFault::new("/profile", FieldCode::WrongType, detail)]);
            }
        };
        let username = if self.no_username { Some(None) } else { self.username.clone().map(Some) };
        Ok(Patch { username, profile })
    }
}

/// Patches the account and shows it.
pub(super) async fn run(config: &Config, arguments: Update) -> Result<(), Failure> {
    let patch = arguments.patch()?;
    let change = async |app: &App, by, id| Ok(update(app, by, id, patch, Expected::Any).await?);
    changed(config, arguments.target, change).await
}

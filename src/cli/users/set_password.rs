//! `portcullis users set-password`: break-glass (EML-18). The rules of a password are those of a signup.

use clap::Args;

use super::create::{Given, new_password};
use super::find;
use super::verbs::{Target, changed};
use crate::app::App;
use crate::cli::ask;
use crate::cli::failure::Failure;
use crate::config::Config;
use crate::flows::set_password::set_password;

/// `users set-password`
#[derive(Args)]
pub(in crate::cli) struct SetPassword {
    #[command(flatten)]
    target: Target,
    /// Read the password from the first line of stdin; otherwise the terminal asks for it
    #[arg(long)]
    password_stdin: bool,
}

/// Sets the password until its owner changes it, and shows the account.
pub(super) async fn run(config: &Config, arguments: SetPassword) -> Result<(), Failure> {
    let bytes = ask::new_password(arguments.password_stdin)?;
    let name = arguments.target.user.clone();
    let change = async |app: &App, by, id| {
        let user = find(app, &name).await?;
        let given = Given {
            email: &user.email,
            username: user.username.as_deref(),
            password: &bytes,
            profile: None,
        };
        let password = new_password(app, &given).await?.map_err(|fault| vec![fault])?;
        Ok(set_password(app, by, id, password).await?)
    };
    changed(config, arguments.target, change).await
}

//! The command line: nouns, then verbs; it works on the database directly, also when no server runs.
//!
//! Results go to stdout: tables for people, JSON for programs. What went wrong goes to stderr, one line
//! each, and the exit code says of which kind it was (`failure.rs`). Every change is audited as
//! `cli:<os user>` (CFG-11). A secret is never an argument (CFG-04).

mod ask;
mod audit;
mod configuration;
mod failure;
mod keys;
mod mail;
mod migrate;
mod openapi;
mod operator;
mod output;
mod profile;
mod serve;
#[cfg(test)]
mod tests;
mod users;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use tracing::level_filters::LevelFilter;

use crate::app::App;
use crate::app::open::Means;
use crate::config::{self, Config, LoadOptions};
use crate::telemetry;
use failure::{Exit, Failure};

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 65 bad input data, \
69 a dependency is out, 78 configuration.";

/// The account service: HTTP server and administration in one binary.
#[derive(Parser)]
#[command(name = "portcullis", version, after_help = AFTER_HELP, max_term_width = 100)]
struct Arguments {
    /// The configuration file; otherwise `PORTCULLIS_CONFIG` names it, or ./portcullis.toml is read if it is there
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve HTTP and run the workers, until SIGTERM or SIGINT
    Serve,
    /// Bring the schema of the database up to date
    Migrate(migrate::Migrate),
    /// Create and look at accounts
    #[command(subcommand)]
    Users(users::Users),
    /// Manage the keys that sign tokens
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Send a test mail, and look at what mails say
    #[command(subcommand)]
    Mail(mail::Mail),
    /// Read, verify and export the audit trail
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Look at the user model, and at what a new one would break
    #[command(subcommand)]
    Profile(profile::Profile),
    /// Look at the configuration
    #[command(subcommand)]
    Config(configuration::Configuration),
    /// Print the OpenAPI document
    Openapi(openapi::Openapi),
}

/// Does what the arguments of this process say, and tells how it ended.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Also `--help` and `--version`, which are no failures.
        Err(told) => {
            let code = if told.use_stderr() { Exit::Usage } else { Exit::Done };
            return if told.print().is_ok() { code.into() } else { Exit::Done.into() };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::new(Exit::Failed, format!("no runtime: {error}")).tell(),
    };
    let done = runtime.block_on(dispatch(arguments));
    // What had to end was awaited; a thread that still waits for somebody must not keep the process.
    runtime.shutdown_background();
    match done {
        Ok(()) => Exit::Done.into(),
        Err(failure) => failure.tell(),
    }
}

async fn dispatch(arguments: Arguments) -> Result<(), Failure> {
    let options = || LoadOptions::process(arguments.config.clone());
    match arguments.command {
        Command::Serve => {
            let config = config::load(&options())?;
            telemetry::init(config.telemetry.log_format, config.telemetry.log_level)?;
            Box::pin(serve::serve(&config)).await
        }
        Command::Migrate(migrate) => migrate::run(&quiet(&options())?, &migrate).await,
        Command::Users(users) => Box::pin(users::run(&quiet(&options())?, users)).await,
        Command::Keys(keys) => Box::pin(keys::run(&quiet(&options())?, keys)).await,
        Command::Mail(mail) => Box::pin(mail::run(&quiet(&options())?, mail)).await,
        Command::Audit(audit) => Box::pin(audit::run(&quiet(&options())?, audit)).await,
        Command::Profile(command) => Box::pin(profile::run(&quiet(&options())?, command)).await,
        Command::Config(command) => configuration::run(&options(), command),
        Command::Openapi(openapi) => openapi::run(&openapi),
    }
}

/// The configuration of a command that ends by itself: its log tells only what may matter to an operator.
fn quiet(options: &LoadOptions) -> Result<Config, Failure> {
    let config = config::load(options)?;
    let level = config.telemetry.log_level.min(LevelFilter::WARN);
    telemetry::init(config.telemetry.log_format, level)?;
    Ok(config)
}

/// Opens what `config` names, does `work` with it and closes it, whatever came of it.
async fn with_app<T>(
    config: &Config,
    work: impl AsyncFnOnce(&Arc<App>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let app = Box::pin(App::open(config, Means::system())).await?;
    let done = work(&app).await;
    app.store.close().await;
    done
}

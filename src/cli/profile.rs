//! `portcullis profile`: the schema that counts, and which stored accounts would not fit another one.
//!
//! A check changes nothing, works while the server serves, and prints ids and places, never values.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::failure::{Exit, Failure};
use super::output::{self, Form};
use super::with_app;
use crate::app::open;
use crate::config::Config;
use crate::domain::fields::FieldFault;
use crate::domain::ids::UserId;
use crate::domain::profile::{FieldRule, ProfileSchema, Reader, Writer};
use crate::flows::check_profiles::{Checked, Misfit, check_profiles};

/// `profile show|check`
#[derive(Subcommand)]
pub(super) enum Profile {
    /// Show the fields of the schema that counts; with --json, the schema itself
    Show {
        #[command(flatten)]
        form: Form,
    },
    /// List the accounts that would not fit a schema; exit 65 if there are any
    Check(Check),
}

/// `profile check`
#[derive(Args)]
pub(super) struct Check {
    /// The schema; otherwise the one that counts
    file: Option<PathBuf>,
    #[command(flatten)]
    form: Form,
}

/// Does what one of the verbs says.
pub(super) async fn run(config: &Config, command: Profile) -> Result<(), Failure> {
    match command {
        Profile::Show { form } => {
            let schema = open::profile_schema(config)?;
            output::print(&shown(&schema, form)?)
        }
        Profile::Check(arguments) => check(config, &arguments).await,
    }
}

fn shown(schema: &ProfileSchema, form: Form) -> Result<String, Failure> {
    if form.json {
        return output::json_lines(&[schema.as_json()]);
    }
    let rows: Vec<_> = schema.rules().map(|(name, rule)| row(schema, name, rule)).collect();
    let names = ["FIELD", "TYPE", "WRITE", "READ", "UNIQUE", "SEARCH", "FACET", "CLAIM", "DEFAULT"];
    Ok(output::table(names, &rows))
}

fn row(schema: &ProfileSchema, name: &str, rule: &FieldRule) -> [String; 9] {
    let field = schema.as_json().get("properties").and_then(|fields| fields.get(name));
    let member = |of: &str| field.and_then(|field| field.get(of));
    let flag = |is_set: bool| if is_set { "yes" } else { "-" }.to_owned();
    [
        name.to_owned(),
        match (member("type"), member("format")) {
            (Some(Value::String(of)), Some(Value::String(format))) => format!("{of} ({format})"),
            (Some(Value::String(of)), _) => of.clone(),
            (Some(several), _) => several.to_string(),
            (None, _) => "-".to_owned(),
        },
        if rule.write == Writer::Admin { "admin" } else { "user" }.to_owned(),
        if rule.read == Reader::Admin { "admin" } else { "user" }.to_owned(),
        flag(rule.unique),
        flag(rule.search),
        flag(rule.facet),
        rule.claim.clone().unwrap_or_else(|| "-".to_owned()),
        member("default").map_or_else(|| "-".to_owned(), Value::to_string),
    ]
}

async fn check(config: &Config, arguments: &Check) -> Result<(), Failure> {
    let schema = match &arguments.file {
        None => open::profile_schema(config)?,
        Some(path) => read(path)?,
    };
    let json = arguments.form.json;
    let Checked { accounts, misfits } = with_app(config, async |app| {
        check_profiles(app, &schema, |misfit| output::print(&line(&misfit, json)?)).await
    })
    .await?;
    if misfits > 0 {
        let told = format!("{misfits} of {accounts} accounts do not fit");
        return Err(Failure::new(Exit::Data, told));
    }
    // A program has the exit code.
    if json { Ok(()) } else { output::print(&format!("all {accounts} accounts fit\n")) }
}

fn read(path: &Path) -> Result<ProfileSchema, Failure> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(Exit::Failed, format!("{name}: {error}")))?;
    ProfileSchema::from_json(&text).map_err(|errors| Failure {
        code: Exit::Data,
        lines: errors.iter().map(|error| format!("{name}: {error}")).collect(),
    })
}

#[derive(Serialize)]
struct MisfitView {
    id: UserId,
    errors: Vec<FaultView>,
}

#[derive(Serialize)]
struct FaultView {
    pointer: String,
    code: &'static str,
    detail: String,
}

/// One account: for programs an object on a line, for people a line a fault.
fn line(misfit: &Misfit, json: bool) -> Result<String, Failure> {
    if !json {
        let of = |fault: &FieldFault| {
            let place = crate::telemetry::visible(&fault.pointer);
            format!("{}  {}  {}\n", misfit.id, fault.code.as_str(), place)
        };
        return Ok(misfit.faults.iter().map(of).collect());
    }
    let view = |fault: &FieldFault| FaultView {
        pointer: fault.pointer.clone(),
        code: fault.code.as_str(),
        detail: fault.detail.clone(),
    };
    let errors = misfit.faults.iter().map(view).collect();
    output::json_lines(&[MisfitView { id: misfit.id, errors }])
}

//! `portcullis users create`: the checks of a signup, all faults at once, without its mails and limits.
//!
//! The first administrator is made here and nowhere else (AUZ-06).

use clap::Args;
use serde_json::Value;

use super::shown;
use crate::Fault;
use crate::app::App;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Form};
use crate::cli::{ask, operator, with_app};
use crate::config::Config;
use crate::domain::email::EmailAddress;
use crate::domain::fields::{FieldCode, FieldFault};
use crate::domain::json::{self, JsonFault};
use crate::domain::password::PlainPassword;
use crate::domain::profile::{ProfileSchema, Writer};
use crate::domain::username::{Reserved, Username};
use crate::flows::create_user::{NewAccount, create_user};
use crate::flows::passwords::check_new;

/// `users create`
#[derive(Args)]
pub(in crate::cli) struct Create {
    /// The address
    email: String,
    /// The username
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Read the password from the first line of stdin; otherwise the terminal asks for it
    #[arg(long)]
    password_stdin: bool,
    /// The profile, as a JSON object
    #[arg(long, value_name = "JSON")]
    profile: Option<String>,
    /// Leave the address unverified; a mail is sent to prove it
    #[arg(long)]
    unverified: bool,
    /// Grant the role admin
    #[arg(long)]
    admin: bool,
    #[command(flatten)]
    form: Form,
}

/// Makes the account and shows it.
pub(in crate::cli) async fn run(config: &Config, arguments: Create) -> Result<(), Failure> {
    let password = ask::new_password(arguments.password_stdin)?;
    let made = with_app(config, async |app| {
        let given = Given {
            email: &arguments.email,
            username: arguments.username.as_deref(),
            password: &password,
            profile: arguments.profile.as_deref(),
        };
        let password = new_password(app, &given).await?;
        let mut account = given.check(&Rules::of(app), password)?;
        account.is_verified = !arguments.unverified;
        account.is_admin = arguments.admin;
        let user = create_user(app, account, operator::actor()).await?;
        shown(app, &user, arguments.form)
    });
    output::print(&made.await?)
}

/// What an operator typed.
pub(in crate::cli) struct Given<'a> {
    /// The address.
    pub(in crate::cli) email: &'a str,
    /// The username.
    pub(in crate::cli) username: Option<&'a str>,
    /// The password, perhaps not even text.
    pub(in crate::cli) password: &'a [u8],
    /// The text of the profile.
    pub(in crate::cli) profile: Option<&'a str>,
}

/// What the values are checked against: the same as those of HTTP.
pub(in crate::cli) struct Rules<'a> {
    /// Usernames that nobody gets.
    pub(in crate::cli) reserved: &'a Reserved,
    /// What a profile may hold.
    pub(in crate::cli) schema: &'a ProfileSchema,
}

impl<'a> Rules<'a> {
    fn of(app: &'a App) -> Self {
        Self { reserved: &app.reserved, schema: &app.schema }
    }
}

impl Given<'_> {
    /// The account of a plain, unverified user, or everything that is wrong with the values.
    pub(in crate::cli) fn check(
        &self,
        rules: &Rules<'_>,
        password: Result<PlainPassword, FieldFault>,
    ) -> Result<NewAccount, Vec<FieldFault>> {
        let mut faults = Vec::new();
        let email = EmailAddress::parse(self.email);
        let email = email.map_err(|error| faults.push(error.at("/email"))).ok();
        let username = self.username.map(|text| Username::parse(text, rules.reserved));
        let username = username.transpose().map_err(|error| faults.push(error.at("/username")));
        let password = password.map_err(|fault| faults.push(fault)).ok();
        let profile = profile(self.profile.unwrap_or("{}"), rules.schema);
        let profile = profile.map_err(|found| faults.extend(found)).ok();
        match (email, username, password, profile) {
            (Some(email), Ok(username), Some(password), Some(Value::Object(profile))) => {
                let password = Some(password);
                let (is_verified, is_admin) = (false, false);
                Ok(NewAccount { email, username, password, profile, is_verified, is_admin })
            }
            _ => Err(faults),
        }
    }

    /// The password as HTTP could send it.
    pub(in crate::cli) fn password_text(&self) -> Result<&str, FieldFault> {
        let fault = |detail| FieldFault::new("/password", FieldCode::InvalidFormat, detail);
        let text = std::str::from_utf8(self.password);
        let text = text.or(Err(fault("The password is not UTF-8.")))?;
        // INP-05: no client could send it, so nobody could log in with it.
        if text.contains('\0') {
            return Err(fault("U+0000 is not allowed."));
        }
        Ok(text)
    }

    /// The words that a stranger would try for this person (PWD-09).
    pub(in crate::cli) fn own_words(&self) -> Vec<String> {
        let canonical = EmailAddress::parse(self.email);
        let canonical = canonical.map(|email| email.canonical().as_str().to_owned()).ok();
        let typed = [Some(self.email), self.username].into_iter().flatten().map(str::to_owned);
        typed.chain(canonical).collect()
    }
}

/// The password that was given, or what is wrong with it.
pub(super) async fn new_password(
    app: &App,
    given: &Given<'_>,
) -> Result<Result<PlainPassword, FieldFault>, Fault> {
    let text = match given.password_text() {
        Ok(text) => text,
        Err(fault) => return Ok(Err(fault)),
    };
    let own = given.own_words();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    match check_new(app, text, &own).await {
        Ok(password) => Ok(Ok(password)),
        Err(error) => error.at("/password").map(Err),
    }
}

fn profile(text: &str, schema: &ProfileSchema) -> Result<Value, Vec<FieldFault>> {
    schema.compose(&json_profile(text)?, Writer::Admin, "/profile")
}

/// The text of a profile, or of a patch of one, as HTTP would take it.
pub(super) fn json_profile(text: &str) -> Result<Value, Vec<FieldFault>> {
    // INP-07: a profile stands one level deep in the body of a signup.
    let given = json::parse_to_depth(text.as_bytes(), json::DEPTH_MAX - 1).map_err(not_json)?;
    let nul = json::find_nul(&given);
    if !nul.is_empty() {
        return Err(at(nul, FieldCode::InvalidFormat, "U+0000 is not allowed."));
    }
    Ok(given)
}

fn not_json(fault: JsonFault) -> Vec<FieldFault> {
    match fault {
        JsonFault::NotJson(why) => {
            let detail = format!("The profile is not a JSON text: {why}.");
            vec![FieldFault::new("/profile", FieldCode::InvalidFormat, detail)]
        }
        JsonFault::OutOfRange(pointers) => {
            at(pointers, FieldCode::OutOfRange, "The number is out of range.")
        }
    }
}

fn at(pointers: Vec<String>, code: FieldCode, detail: &str) -> Vec<FieldFault> {
    let fault = |pointer: String| FieldFault::new(format!("/profile{pointer}"), code, detail);
    pointers.into_iter().map(fault).collect()
}

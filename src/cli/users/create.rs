//! `portcullis users create`: the checks of a signup, all faults at once, without its mails and limits.
//!
//! The first administrator is made here and nowhere else (AUZ-06).

use clap::Args;
use serde_json::Value;

use super::shown;
use crate::app::App;
use crate::cli::failure::Failure;
use crate::cli::output::{self, Form};
use crate::cli::{ask, operator, with_app};
use crate::config::Config;
use crate::domain::email::EmailAddress;
use crate::domain::fields::{FieldCode, FieldFault};
use crate::domain::json::{self, JsonFault};
use crate::domain::password::{PasswordPolicy, PlainPassword};
use crate::domain::profile::{ProfileSchema, Writer};
use crate::domain::username::{Reserved, Username};
use crate::flows::create_user::{NewAccount, create_user};

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
        let mut account = given.check(&Rules::of(app))?;
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
    /// What a password must be.
    pub(in crate::cli) passwords: &'a PasswordPolicy,
    /// What a profile may hold.
    pub(in crate::cli) schema: &'a ProfileSchema,
}

impl<'a> Rules<'a> {
    fn of(app: &'a App) -> Self {
        Self { reserved: &app.reserved, passwords: &app.passwords, schema: &app.schema }
    }
}

impl Given<'_> {
    /// The account of a plain, unverified user, or everything that is wrong with the values.
    pub(in crate::cli) fn check(&self, rules: &Rules<'_>) -> Result<NewAccount, Vec<FieldFault>> {
        let mut faults = Vec::new();
        let email = EmailAddress::parse(self.email);
        let email = email.map_err(|error| faults.push(error.at("/email"))).ok();
        let username = self.username.map(|text| Username::parse(text, rules.reserved));
        let username = username.transpose().map_err(|error| faults.push(error.at("/username")));
        let mut own = vec![self.email];
        own.extend(email.as_ref().map(|email| email.canonical().as_str()));
        own.extend(self.username);
        let password = password(self.password, rules.passwords, &own);
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
}

/// A password that may be set, or what is wrong with it.
pub(super) fn password(
    bytes: &[u8],
    policy: &PasswordPolicy,
    own: &[&str],
) -> Result<PlainPassword, FieldFault> {
    let fault = |detail| FieldFault::new("/password", FieldCode::InvalidFormat, detail);
    let text = std::str::from_utf8(bytes).or(Err(fault("The password is not UTF-8.")))?;
    // INP-05: no client could send it, so nobody could log in with it.
    if text.contains('\0') {
        return Err(fault("U+0000 is not allowed."));
    }
    policy.for_setting(text, own).map_err(|error| error.at("/password"))
}

fn profile(text: &str, schema: &ProfileSchema) -> Result<Value, Vec<FieldFault>> {
    // INP-07: a profile stands one level deep in the body of a signup.
    let given = json::parse_to_depth(text.as_bytes(), json::DEPTH_MAX - 1).map_err(not_json)?;
    let nul = json::find_nul(&given);
    if !nul.is_empty() {
        return Err(at(nul, FieldCode::InvalidFormat, "U+0000 is not allowed."));
    }
    schema.compose(&given, Writer::Admin, "/profile")
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

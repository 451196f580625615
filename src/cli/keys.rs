//! `portcullis keys`: the keys that sign tokens, their times, and what an operator may do to them.
//!
//! The rules are the flow's; every change ends with the table as it is now.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use zeroize::Zeroizing;

use super::failure::{Exit, Failure};
use super::output::{self, Form};
use super::{ask, operator, with_app};
use crate::app::App;
use crate::config::Config;
use crate::crypto::keys::PrivateKey;
use crate::domain::keys::{KeyState, SigningAlgorithm, StoredKey};
use crate::domain::time::Timestamp;
use crate::flows::keys;

/// LIMIT: the importer refuses more than 16 KiB; one byte more lets it say so.
const FILE_BYTES_MAX: u64 = 16 * 1024 + 1;

/// `keys list|rotate|import|revoke`
#[derive(Subcommand)]
pub(super) enum Keys {
    /// List every key and its times, newest first
    List {
        #[command(flatten)]
        form: Form,
    },
    /// Let the successor sign once it was announced for `token.key_announce`, and announce another
    Rotate {
        #[command(flatten)]
        form: Form,
    },
    /// Bring the private key of an earlier issuer; it takes the successor's place
    Import(Import),
    /// Take a key out at once: nothing that it signed is accepted any more
    Revoke(Revoke),
}

/// `keys import`
#[derive(Args)]
pub(super) struct Import {
    /// PKCS#8 PEM or a private JWK; `-` reads stdin
    file: PathBuf,
    /// Sign with it at once, not `token.key_announce` later
    #[arg(long)]
    sign_now: bool,
    #[command(flatten)]
    form: Form,
}

/// `keys revoke`
#[derive(Args)]
pub(super) struct Revoke {
    /// The id of the key, as `keys list` shows it
    // A thumbprint may begin with a dash.
    #[arg(allow_hyphen_values = true)]
    kid: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    form: Form,
}

/// Does what one of the verbs says.
pub(super) async fn run(config: &Config, command: Keys) -> Result<(), Failure> {
    let text = match command {
        Keys::List { form } => with_app(config, async |app| listed(app, form).await).await?,
        Keys::Rotate { form } => {
            let changed = with_app(config, async |app| {
                // On a database that never served there is no key yet, and so nothing to follow.
                keys::care(app, operator::actor()).await?;
                keys::rotate(app, operator::actor()).await?;
                listed(app, form).await
            });
            changed.await?
        }
        Keys::Import(arguments) => import(config, arguments).await?,
        Keys::Revoke(Revoke { kid, yes, form }) => {
            let question = format!("Revoke {kid}? Every token that it signed is refused then.");
            ask::confirm(&crate::telemetry::visible(&question), yes)?;
            let changed = with_app(config, async |app| {
                keys::revoke(app, operator::actor(), kid).await?;
                listed(app, form).await
            });
            changed.await?
        }
    };
    output::print(&text)
}

async fn import(config: &Config, arguments: Import) -> Result<String, Failure> {
    let Import { file, sign_now, form } = arguments;
    let name = if file == Path::new("-") { "stdin".to_owned() } else { file.display().to_string() };
    let text = read(&file).map_err(|error| {
        let code = match error.kind() {
            io::ErrorKind::InvalidData => Exit::Data,
            _ => Exit::Failed,
        };
        Failure::new(code, format!("{name}: {error}"))
    })?;
    let key = PrivateKey::import(&text)
        .map_err(|error| Failure::new(Exit::Data, format!("{name} {error}")))?;
    with_app(config, async |app| {
        fits(key.algorithm(), app.settings.algorithm)
            .map_err(|reason| Failure::new(Exit::Data, format!("{name} {reason}")))?;
        keys::import(app, operator::actor(), key, sign_now).await?;
        listed(app, form).await
    })
    .await
}

/// Tells why a key that signs with `own` cannot sign where `wanted` is configured.
pub(super) fn fits(own: SigningAlgorithm, wanted: SigningAlgorithm) -> Result<(), String> {
    if own == wanted {
        Ok(())
    } else {
        Err(format!("is a key for {own}, and token.algorithm is {wanted}"))
    }
}

fn read(file: &Path) -> io::Result<Zeroizing<String>> {
    // Whole at once: a buffer that grows leaves copies of the key behind that nobody wipes.
    let mut text = Zeroizing::new(String::with_capacity(32 * 1024));
    if file == Path::new("-") {
        io::stdin().lock().take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    } else {
        File::open(file)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    }
    Ok(text)
}

/// A key as it is printed: nothing private, and no public part that JWKS does not show better.
#[derive(Serialize)]
struct KeyView {
    kid: String,
    algorithm: SigningAlgorithm,
    state: &'static str,
    announced_at: Timestamp,
    signs_at: Option<Timestamp>,
    retires_at: Option<Timestamp>,
    gone_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

impl KeyView {
    fn new(key: StoredKey, now: Timestamp) -> Self {
        Self {
            state: word(key.state(now)),
            kid: key.kid,
            algorithm: key.algorithm,
            announced_at: key.announced_at,
            signs_at: key.signs_at,
            retires_at: key.retires_at,
            gone_at: key.gone_at,
            revoked_at: key.revoked_at,
        }
    }

    fn row(&self) -> [String; 8] {
        let time = |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| at.to_string());
        [
            self.kid.clone(),
            self.algorithm.to_string(),
            self.state.to_owned(),
            self.announced_at.to_string(),
            time(self.signs_at),
            time(self.retires_at),
            time(self.gone_at),
            time(self.revoked_at),
        ]
    }
}

fn word(state: KeyState) -> &'static str {
    match state {
        KeyState::Announced => "announced",
        KeyState::Signing => "signing",
        KeyState::Retiring => "retiring",
        KeyState::Gone => "gone",
        KeyState::Revoked => "revoked",
    }
}

async fn listed(app: &App, form: Form) -> Result<String, Failure> {
    let (rows, now) = (keys::list(app).await?, app.clock.now());
    let views: Vec<_> = rows.into_iter().map(|row| KeyView::new(row.key, now)).collect();
    if form.json {
        return output::json_lines(&views);
    }
    let names = ["KID", "ALGORITHM", "STATE", "ANNOUNCED", "SIGNS", "RETIRES", "GONE", "REVOKED"];
    Ok(output::table(names, &views.iter().map(KeyView::row).collect::<Vec<_>>()))
}

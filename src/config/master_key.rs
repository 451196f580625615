//! The master key: its shape, its file, and how a development start makes one.
//!
//! Everything that is sealed in the database hangs on it, so a file that appears is whole, and two
//! processes that start at once end up with the same key.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::report::Report;
use super::sections::MasterKeySource;
use crate::domain::master_key::{MasterKey, MasterKeyError};

/// Says what would be right, if `text` is no key.
pub(super) fn judge(text: &SecretString) -> Result<(), &'static str> {
    match MasterKey::from_base64(text.expose_secret()) {
        Ok(_key) => Ok(()),
        Err(MasterKeyError::Example) => {
            Err("is a placeholder; expected 32 random bytes: openssl rand -base64 32")
        }
        Err(_) => Err("expected 32 random bytes in base64: openssl rand -base64 32"),
    }
}

/// Reads the key from its source, or makes it there; the text is base64 of 32 bytes.
pub(super) fn obtain(source: &MasterKeySource) -> Result<SecretString, Report> {
    let (path, is_made) = match source {
        MasterKeySource::Given(secret) => return Ok(secret.clone()),
        MasterKeySource::File(path) => (path, false),
        MasterKeySource::Generate(path) => (path, true),
    };
    let origin = path.display().to_string();
    let report = |error: io::Error| Report::of("master_key_file", &origin, error.to_string());
    if is_made && !path.exists() {
        generate(path).map_err(report)?;
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(report)?);
    let key = SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned());
    judge(&key).map(|()| key).map_err(|expected| Report::of("master_key_file", &origin, expected))
}

/// SECURITY: CFG-01, CFG-12. 0600 in 0700; a linked name never points at half a file, and the link
/// fails where another process was quicker, so that nobody replaces a key that is in use.
fn generate(path: &Path) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let (mut bytes, mut name) = (Zeroizing::new([0; 32]), [0_u8; 8]);
    random(bytes.as_mut_slice())?;
    random(&mut name)?;
    let text = MasterKey::from_bytes(bytes).to_base64();
    let draft = dir.join(format!(".master.key.{:016x}", u64::from_ne_bytes(name)));
    let written = write_new(&draft, text.as_bytes()).and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    match written {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => removed?,
    }
    File::open(dir)?.sync_all()
}

fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// The only random bytes outside `crypto`: they are needed before there is an `App`.
fn random(bytes: &mut [u8]) -> io::Result<()> {
    aws_lc_rs::rand::fill(bytes).or(Err(io::Error::other("no random bytes from the system")))
}

//! The transport for a newcomer's desk: one `.eml` file a mail, whole before it appears.
//!
//! Files are 0600 in a folder that is made with 0700, whatever the umask (CFG-12): they hold live tokens.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Envelope;

/// Writes a mail to `dir`, on the disk when it returns; gives its file.
pub(super) fn put(dir: &Path, envelope: Envelope, raw: &[u8]) -> io::Result<PathBuf> {
    make_folder(dir)?;
    // One name an attempt: a worker that lost its lease may still be writing. What an attempt that died
    // left goes, because it holds a token.
    for earlier in 1..=envelope.attempt {
        remove(&draft(dir, envelope, earlier))?;
    }
    let (written, file) = (draft(dir, envelope, envelope.attempt), finished(dir, envelope));
    let put = write(&written, raw).and_then(|()| fs::rename(&written, &file));
    if let Err(error) = put {
        remove(&written)?;
        return Err(error);
    }
    // The name is durable with its folder; the job ends after it.
    File::open(dir)?.sync_all()?;
    Ok(file)
}

fn draft(dir: &Path, envelope: Envelope, attempt: i64) -> PathBuf {
    dir.join(format!(".{}.{attempt}.tmp", envelope.id))
}

fn finished(dir: &Path, envelope: Envelope) -> PathBuf {
    dir.join(format!("{}.eml", envelope.id))
}

fn make_folder(dir: &Path) -> io::Result<()> {
    // A folder that is there already is the operator's, and may be /tmp.
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    fs::set_permissions(dir, Permissions::from_mode(0o700))
}

fn write(path: &Path, raw: &[u8]) -> io::Result<()> {
    // `create_new` follows no link that somebody left under this name.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(raw)?;
    file.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(_) | Ok(()) => Ok(()),
    }
}

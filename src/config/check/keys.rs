//! The rules of the master key: where it is looked for, and when a missing one is made.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::config::master_key;
use crate::config::reader::Reader;
use crate::config::sections::{Environment, MasterKeySource};

/// Finds the key, and judges it where it is already there.
pub(super) fn source(
    reader: &mut Reader,
    environment: Option<Environment>,
    data_dir: Option<&Path>,
) -> Option<MasterKeySource> {
    let (text, file) = (reader.text("master_key"), reader.text("master_key_file"));
    let (text, mut file) = (text?, file?);
    if text.is_empty() && file.is_empty() {
        let path = data_dir?.join("master.key");
        file = path.display().to_string();
        reader.derive("master_key_file", file.clone(), "data_dir");
        if !path.exists() {
            // SECURITY: CFG-01. Only a development start makes its own.
            return match environment? {
                Environment::Development => Some(MasterKeySource::Generate(path)),
                Environment::Production => reader.fault(
                    "master_key",
                    "missing; production needs 32 random bytes in base64 here or in master_key_file",
                ),
            };
        }
    }
    let secret = reader.secret("master_key").ok()??;
    let is_file = !file.is_empty();
    if let Err(expected) = master_key::judge(&secret) {
        return reader.fault(if is_file { "master_key_file" } else { "master_key" }, expected);
    }
    Some(if is_file {
        MasterKeySource::File(PathBuf::from(file))
    } else {
        MasterKeySource::Given(secret)
    })
}

/// The former keys, each of the right shape.
pub(super) fn previous(reader: &mut Reader) -> Option<Vec<SecretString>> {
    let keys = reader.secrets("previous_master_keys")?;
    // LIMIT: each is tried in turn on what the newest does not open.
    let are_good = keys.len() <= 8 && keys.iter().all(|key| master_key::judge(key).is_ok());
    let expected = "expected at most 8 keys of 32 random bytes each, in base64";
    are_good.then_some(keys).or_else(|| reader.fault("previous_master_keys", expected))
}

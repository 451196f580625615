//! The master key: one for all who start at once, whole, and readable by nobody else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::thread;

use secrecy::ExposeSecret;

use super::{KEY, faults, with, write};
use crate::config::{Config, MasterKeySource};

fn in_folder(dir: &Path) -> Config {
    with([("PORTCULLIS__DATA_DIR", dir.to_str().unwrap())]).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn processes_that_start_at_once_end_up_with_one_key() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let config = in_folder(&dir.path().join("data"));
        assert!(matches!(config.master_key_source, MasterKeySource::Generate(_)));
        let start = std::sync::Barrier::new(8);
        let keys: Vec<String> = thread::scope(|scope| {
            let take = || {
                start.wait();
                config.master_key().unwrap().expose_secret().to_owned()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0] && key.len() == 44));
        let left = fs::read_dir(dir.path().join("data")).unwrap().count();
        assert_eq!(left, 1, "no draft stays behind");
    }
}

#[test]
fn two_folders_get_two_keys_and_a_second_start_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (in_folder(&dir.path().join("a")), in_folder(&dir.path().join("b")));
    let key = one.master_key().unwrap();
    assert_ne!(key.expose_secret(), two.master_key().unwrap().expose_secret());
    let again = in_folder(&dir.path().join("a"));
    assert!(matches!(again.master_key_source, MasterKeySource::File(_)));
    assert_eq!(key.expose_secret(), again.master_key().unwrap().expose_secret());
}

#[test]
fn cfg_12_the_key_is_0600_in_0700_in_this_process() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    in_folder(&data).master_key().unwrap();
    assert_eq!((mode(&data), mode(&data.join("master.key"))), (0o700, 0o600));
}

/// A umask belongs to a process: this test starts itself once more under another one.
#[test]
fn cfg_12_the_key_is_0600_in_0700_under_umask_000() {
    let name = "config::tests::master_key::cfg_12_the_key_is_0600_in_0700_in_this_process";
    let this = std::env::current_exe().unwrap();
    let script = "umask 000; exec \"$0\" --exact \"$1\" --nocapture";
    let out = Command::new("sh").args(["-c", script]).arg(this).arg(name).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn cfg_01_production_without_a_key_does_not_start_and_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let lines = faults([
        ("PORTCULLIS__ENVIRONMENT", "production"),
        ("PORTCULLIS__DATA_DIR", data.to_str().unwrap()),
    ]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("master_key ("), "{lines:?}");
    assert!(!data.exists());
}

#[test]
fn cfg_01_a_short_long_empty_or_garbled_key_is_refused() {
    let bad =
        ["short", "", "\n", &KEY[..40], &format!("{KEY}AAAA"), "!!!!", &format!("{KEY} {KEY}")];
    let dir = tempfile::tempdir().unwrap();
    for text in bad {
        let file = write(dir.path(), "key", text);
        let lines = faults([("PORTCULLIS__MASTER_KEY_FILE", file.to_str().unwrap())]);
        assert_eq!(lines.len(), 1, "{text:?} in a file: {lines:?}");
        assert!(lines[0].starts_with("master_key_file ("), "{lines:?}");
        let lines = faults([("PORTCULLIS__MASTER_KEY", text)]);
        assert_eq!(lines.len(), usize::from(!text.is_empty()), "{text:?}: {lines:?}");
    }
    assert!(faults([("PORTCULLIS__MASTER_KEY", KEY)]).is_empty());
    let unpadded = KEY.trim_end_matches('=');
    assert!(faults([("PORTCULLIS__MASTER_KEY", unpadded)]).is_empty());
}

#[test]
fn cfg_01_a_placeholder_is_no_key_anywhere() {
    let zeros = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let counted = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    for (environment, key) in
        [("production", zeros), ("development", zeros), ("development", counted)]
    {
        for name in ["PORTCULLIS__MASTER_KEY", "PORTCULLIS__PREVIOUS_MASTER_KEYS"] {
            let lines = faults([
                ("PORTCULLIS__ENVIRONMENT", environment),
                ("PORTCULLIS__MASTER_KEY", KEY),
                (name, key),
            ]);
            assert_eq!(lines.len(), 1, "{environment} {name} {key}");
        }
    }
}

#[test]
fn a_named_key_file_that_is_missing_is_a_fault_in_development_too() {
    let lines = faults([("PORTCULLIS__MASTER_KEY_FILE", "/nonexistent/key")]);
    assert_eq!(lines.len(), 1, "{lines:?}");
}

#[test]
fn a_made_key_that_was_damaged_later_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let config = in_folder(dir.path());
    let file = write(dir.path(), "master.key", "torn");
    assert!(config.master_key().is_err());
    assert_eq!(fs::read_to_string(file).unwrap(), "torn");
}

#[test]
fn former_keys_come_from_a_file_one_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "keys", &format!("{KEY}\n\n{KEY}\n"));
    let variable = "PORTCULLIS__PREVIOUS_MASTER_KEYS_FILE";
    let config = with([(variable, file.to_str().unwrap())]).unwrap();
    assert_eq!(config.previous_master_keys.len(), 2);
    let file = write(dir.path(), "keys", &format!("{KEY}\nshort\n"));
    assert_eq!(faults([(variable, file.to_str().unwrap())]).len(), 1);
}

//! What is searched, and what for: each secret as it is, as hex and as base64, whole and in parts.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::support::process::MASTER_KEY;

/// The secrets, each under a name that a failure may print.
#[derive(Default)]
pub(super) struct Needles(Vec<(String, String)>);

impl Needles {
    pub(super) fn of_the_configuration() -> Self {
        let mut needles = Self::default();
        needles.add("master key", MASTER_KEY.as_bytes());
        needles.add("master key", &STANDARD.decode(MASTER_KEY).unwrap());
        needles.add("a token's prefix and its first character", b"pcv_");
        needles.add("a token's prefix and its first character", b"pcr_");
        needles.add("PEM", b"PRIVATE KEY");
        needles
    }

    /// Adds a secret in the forms that it may be stored or printed in.
    pub(super) fn add(&mut self, name: &str, secret: &[u8]) {
        let hex = |digits: fn(&u8) -> String| secret.iter().map(digits).collect::<String>();
        let mut forms = vec![hex(|byte| format!("{byte:02x}")), hex(|byte| format!("{byte:02X}"))];
        // LIMIT: a short one would be found in what is random.
        if secret.len() >= 12 {
            forms.extend([STANDARD_NO_PAD.encode(secret), URL_SAFE_NO_PAD.encode(secret)]);
        }
        forms.extend(std::str::from_utf8(secret).ok().map(str::to_owned));
        self.0.extend(forms.into_iter().map(|form| (name.to_owned(), form)));
    }

    /// Adds an opaque token: whole, what follows its prefix, and the bytes that this stands for.
    pub(super) fn add_token(&mut self, name: &str, token: &str) {
        let (_, body) = token.split_once('_').unwrap();
        self.add(name, token.as_bytes());
        self.add(name, body.as_bytes());
        self.add(name, &URL_SAFE_NO_PAD.decode(body).unwrap());
    }

    /// Adds an access token: whole, and each part but the header, which is the same for all.
    pub(super) fn add_access_token(&mut self, token: &str) {
        self.add("access token", token.as_bytes());
        for part in token.split('.').skip(1) {
            self.add("part of an access token", part.as_bytes());
            self.add("part of an access token", &URL_SAFE_NO_PAD.decode(part).unwrap());
        }
    }

    /// The names of those that are there, with what stands around them.
    pub(super) fn find<'a>(&'a self, haystack: &'a str) -> Vec<(&'a str, String)> {
        let found = self.0.iter().filter_map(|(name, form)| {
            let at = haystack.find(form.as_str())?;
            let before = haystack.get(haystack.floor_char_boundary(at.saturating_sub(120))..at);
            Some((name.as_str(), before.unwrap_or_default().to_owned()))
        });
        found.collect()
    }
}

/// Everything that the service and its commands wrote to stdout and stderr.
pub(super) fn logs(folder: &Path) -> String {
    let is_log = |path: &Path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("std") || name.starts_with("run-")
    };
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let logs: Vec<String> =
        paths.filter(|path| is_log(path)).map(|path| fs::read_to_string(path).unwrap()).collect();
    assert!(logs.len() >= 6, "a start and two commands write two files each");
    logs.concat()
}

//! What a client of a service sees: answers over HTTP, and mails in a folder.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::clients::plain_http;

/// A mail, as far as a test asks.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    /// The name of its file, which is the id of its job.
    pub(crate) file: String,
    /// To whom.
    pub(crate) to: String,
    /// The verification token in it.
    pub(crate) token: Option<String>,
}

impl Mail {
    /// Every mail in a folder.
    pub(crate) fn all_in(folder: &Path) -> Vec<Self> {
        let files = fs::read_dir(folder).into_iter().flatten();
        let paths = files.map(|file| file.unwrap().path());
        let mails = paths.filter(|path| path.extension().is_some_and(|is| is == "eml"));
        mails.map(|path| Self::read(&path)).collect()
    }

    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let to = text.lines().find_map(|line| line.strip_prefix("To: ")).unwrap_or_default();
        let token = text.find("pcv_").and_then(|at| text.get(at..at + 4 + 43));
        Self {
            file: path.file_name().unwrap().to_string_lossy().into_owned(),
            to: to.trim_matches(['<', '>', ' ']).to_owned(),
            token: token.map(str::to_owned),
        }
    }
}

/// Speaks HTTP with one listener.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

/// An answer that arrived whole.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The body; null where it is no JSON.
    pub(crate) body: Value,
    /// The body as it came.
    pub(crate) text: String,
}

impl Client {
    /// A client of the listener at `base`.
    pub(crate) fn new(base: String) -> Self {
        let http = plain_http().timeout(Duration::from_secs(30));
        Self { http: http.build().unwrap(), base }
    }

    /// The same with a connection for each request.
    pub(crate) fn without_keep_alive(&self) -> Self {
        let http = plain_http().timeout(Duration::from_secs(30));
        Self { http: http.pool_max_idle_per_host(0).build().unwrap(), base: self.base.clone() }
    }

    /// Asks for `path`, with an access token.
    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> reqwest::Result<Answer> {
        let request = self.http.get(format!("{}{path}", self.base));
        Self::send(match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
        .await
    }

    /// Posts `body` to `path`.
    pub(crate) async fn post(&self, path: &str, body: Value) -> reqwest::Result<Answer> {
        Self::send(self.http.post(format!("{}{path}", self.base)).json(&body)).await
    }

    /// Sends a request and reads all of its answer.
    async fn send(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or_default(), text })
    }
}

impl Answer {
    /// The text member with this name.
    pub(crate) fn text(&self, name: &str) -> String {
        let found = self.body.get(name).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no {name} in {} {}", self.status, self.text)).to_owned()
    }
}

//! Clients over HTTP. Whatever is answered to them is held against the OpenAPI document and against the headers of
//! the contract, so that every test of the wire tests both.

mod judge;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::judge::Judge;

const WAIT_MAX: Duration = Duration::from_secs(30);

/// Somebody who asks.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    address: SocketAddr,
    judge: Judge,
    token: Option<String>,
}

/// A request that is not sent yet.
pub(crate) struct Ask {
    client: Client,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The headers, their names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body, `null` if it is not JSON.
    pub(crate) body: Value,
    /// The body as it came.
    pub(crate) text: String,
}

/// The one builder of the tests' own clients, which no guard keeps from loopback.
#[expect(clippy::disallowed_methods, reason = "tests call servers on loopback that they started")]
pub(crate) fn plain_http() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy()
}

impl Client {
    pub(super) fn new(address: SocketAddr, public_url: &str, document: &Arc<Value>) -> Self {
        let http = plain_http().timeout(WAIT_MAX);
        let http = http.redirect(reqwest::redirect::Policy::none()).user_agent("it/1");
        let judge = Judge {
            document: Arc::clone(document),
            public_url: public_url.to_owned(),
            may_fail: false,
            may_be_older: false,
        };
        Self { http: http.build().unwrap(), address, judge, token: None }
    }

    /// The same with this access token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same; a 5xx is an answer to it as good as any.
    pub(crate) fn expecting_faults(&self) -> Self {
        let judge = Judge { may_fail: true, ..self.judge.clone() };
        Self { judge, ..self.clone() }
    }

    /// The same; profiles may be older than the schema that the document shows.
    pub(crate) fn expecting_older_profiles(&self) -> Self {
        let judge = Judge { may_be_older: true, ..self.judge.clone() };
        Self { judge, ..self.clone() }
    }

    /// Asks for something.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path).send().await
    }

    /// Asks for the head of something.
    pub(crate) async fn head(&self, path: &str) -> Answer {
        self.ask("HEAD", path).send().await
    }

    /// Sends JSON.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask("POST", path).json(&body).send().await
    }

    /// Sends a merge patch of what has this entity tag.
    pub(crate) async fn patch(&self, path: &str, if_match: &str, body: Value) -> Answer {
        self.ask("PATCH", path).header("if-match", if_match).json(&body).send().await
    }

    /// Removes something.
    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path).send().await
    }

    /// All pages of a list, by `Link` and by `next_cursor` alike: this member of each item.
    pub(crate) async fn pages(&self, first: &str, member: &str) -> Vec<Vec<String>> {
        let (mut pages, mut next) = (Vec::new(), Some(first.to_owned()));
        while let Some(path) = next {
            let answer = self.get(&path).await;
            assert_eq!(answer.status, 200);
            pages.push(answer.items(member));
            next = answer.header("link").map(|link| {
                let link = link.strip_prefix(&format!("<{}", self.judge.public_url)).unwrap();
                link.strip_suffix(">; rel=\"next\"").unwrap().to_owned()
            });
            let cursor = answer.body["next_cursor"].as_str();
            assert_eq!(next.as_ref().map(|next| next.split_once("cursor=").unwrap().1), cursor);
        }
        pages
    }

    /// A request that can be changed before it is sent.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Ask {
        let ask = Ask {
            client: self.clone(),
            method: method.parse().unwrap(),
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Vec::new(),
        };
        match &self.token {
            Some(token) => ask.header("authorization", &format!("Bearer {token}")),
            None => ask,
        }
    }
}

impl Ask {
    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    /// Sends this as JSON.
    pub(crate) fn json(self, body: &Value) -> Self {
        self.json_text(body.to_string())
    }

    /// Sends these bytes and says that they are JSON.
    pub(crate) fn json_text(self, body: impl Into<Vec<u8>>) -> Self {
        self.header("content-type", "application/json").bytes(body)
    }

    /// Sends these bytes and says nothing of them.
    pub(crate) fn bytes(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it and looks at the answer.
    pub(crate) async fn send(self) -> Answer {
        let Self { client, method, path, headers, body } = self;
        let url = format!("http://{}{path}", client.address);
        let request = client.http.request(method.clone(), url).headers(headers);
        let request = if body.is_empty() { request } else { request.body(body) };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.as_str().to_owned(), text(value)));
        let headers = headers.collect();
        let answer = Answer::new(status, headers, &response.bytes().await.unwrap());
        client.judge.judge(method.as_str(), &path, &answer);
        answer
    }
}

impl Answer {
    fn new(status: u16, headers: Vec<(String, String)>, bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        Self { status, headers, body: serde_json::from_str(&text).unwrap_or_default(), text }
    }

    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The status, and the code if it is a problem.
    pub(crate) fn outcome(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }

    /// The faults as `place code`, in their order.
    pub(crate) fn faults(&self) -> Vec<String> {
        let errors = self.body["errors"].as_array().cloned().unwrap_or_default();
        let place = |error: &Value| match error.get("pointer").or(error.get("parameter")) {
            Some(place) => {
                format!("{} {}", place.as_str().unwrap(), error["code"].as_str().unwrap())
            }
            None => panic!("no place: {error}"),
        };
        errors.iter().map(place).collect()
    }

    /// This member of each item of a page.
    #[track_caller]
    pub(crate) fn items(&self, member: &str) -> Vec<String> {
        let items = self.body["items"].as_array().unwrap().iter();
        items.map(|item| item[member].as_str().unwrap().to_owned()).collect()
    }

    /// A member of the body that is a text.
    #[track_caller]
    pub(crate) fn text_of(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_else(|| panic!("no {name}: {self:?}")).to_owned()
    }

    /// The names of the members, in the order of the alphabet.
    pub(crate) fn members(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.body.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// What is the same however often it is asked: everything but the date.
    pub(crate) fn lasting(&self) -> (u16, Vec<(String, String)>, String) {
        let mut headers = self.headers.clone();
        headers.retain(|(name, _)| name != "date");
        headers.sort();
        (self.status, headers, self.text.clone())
    }
}

/// Somebody who writes bytes.
pub(crate) struct Raw {
    address: SocketAddr,
    judge: Judge,
}

/// What came back for bytes.
#[derive(Clone, Debug)]
pub(crate) struct RawAnswer {
    /// The answer.
    pub(crate) answer: Answer,
    /// Whether the service closed the connection afterwards.
    pub(crate) is_closed: bool,
}

impl Raw {
    pub(super) fn new(address: SocketAddr, public_url: &str, document: &Arc<Value>) -> Self {
        Self { address, judge: Client::new(address, public_url, document).judge }
    }

    /// The `Host` of the service.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Sends bytes on a new connection and reads one answer. A bare status line of the parser is not judged.
    pub(crate) async fn send(&self, bytes: impl AsRef<[u8]>) -> RawAnswer {
        let bytes = bytes.as_ref();
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        // The service may have answered and closed before everything is written.
        drop(socket.write_all(bytes).await);
        let line = String::from_utf8_lossy(bytes.split(|byte| *byte == b'\n').next().unwrap());
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let answer = read_answer(&mut socket, method == "HEAD").await;
        let is_bare = answer.header("x-request-id").is_none();
        if is_bare {
            assert!(matches!(answer.status, 400 | 408 | 431), "{answer:?}");
            assert_eq!(answer.text, "");
        } else {
            self.judge.judge(method, target, &answer);
        }
        if !is_bare && answer.header("connection") != Some("close") {
            return RawAnswer { answer, is_closed: false };
        }
        let mut piece = [0; 1];
        let rest = tokio::time::timeout(Duration::from_secs(5), socket.read(&mut piece)).await;
        RawAnswer { answer, is_closed: matches!(rest, Ok(Ok(0) | Err(_))) }
    }
}

async fn read_answer(socket: &mut TcpStream, is_head: bool) -> Answer {
    let mut bytes = Vec::new();
    loop {
        if let Some(answer) = complete(&bytes, is_head) {
            return answer;
        }
        let mut piece = [0; 8192];
        let read = tokio::time::timeout(WAIT_MAX, socket.read(&mut piece)).await;
        match read.expect("an answer in time") {
            Ok(0) | Err(_) => panic!("closed after {:?}", String::from_utf8_lossy(&bytes)),
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
        }
    }
}

fn complete(bytes: &[u8], is_head: bool) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers: Vec<_> =
        headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let answer = Answer::new(status, headers, &bytes[end + 4..]);
    let length = answer.header("content-length").map_or(0, |text| text.parse().unwrap());
    (bytes.len() - end - 4 >= if is_head { 0 } else { length }).then_some(answer)
}

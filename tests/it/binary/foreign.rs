//! Programs of other hands take our tokens: the example `orders`, `PyJWT` and jose, by JWKS address, issuer and audience
//! alone; and they go on while keys rotate.
//!
//! `PyJWT` is looked for where `TEST_PYTHON` says, jose where `TEST_NODE_MODULES` says. What is not there is skipped with
//! a line, or fails where `REQUIRE_BACKENDS` is set.

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{PASSWORD, Tokens, refresh, register};
use crate::support::database::TestDatabase;
use crate::support::process::{Client, Companion, Service, free_address};
use crate::support::schemas::SchemaFile;

const ANN: &str = "ann@example.org";

/// What the verifiers of this repository and of others allow a clock to be off.
const LEEWAY: Duration = Duration::from_secs(5);

/// A verifier asks for keys again because of an unknown one, but not sooner after its last question.
const ASKS_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The small service of somebody else, running.
struct Orders {
    client: Client,
    _process: Companion,
}

impl Orders {
    async fn beside(service: &Service) -> Self {
        let address = free_address();
        let mut command = Command::new(built_example());
        command.env_clear().env("ORDERS_LISTEN", address.to_string());
        command.env("PORTCULLIS_ISSUER", service.url());
        let process = Companion::start(&mut command);
        let orders = Self { client: Client::new(format!("http://{address}")), _process: process };
        let began = Instant::now();
        while orders.client.get("/orders", None).await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "orders does not answer");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        orders
    }

    async fn status(&self, token: Option<&str>) -> u16 {
        self.client.get("/orders", token).await.unwrap().status
    }
}

/// Builds the example, or finds it built: with the features of a whole test run, because those are built already.
fn built_example() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--workspace", "--all-features", "--example", "orders", "--locked"]);
    cargo.args(["--quiet", "--message-format=json-render-diagnostics"]);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit());
    let built = cargo.output().unwrap();
    assert!(built.status.success(), "the example does not build");
    let lines = String::from_utf8(built.stdout).unwrap();
    let messages = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut executables = messages.filter(|message| message["target"]["name"] == "orders");
    executables.find_map(|message| message["executable"].as_str().map(PathBuf::from)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_takes_a_token_until_it_has_expired() {
    let database = TestDatabase::sqlite().await;
    let plan =
        json!({ "enum": ["free", "paid"], "default": "free", "x-portcullis": { "claim": "plan" } });
    let schema = SchemaFile::of(json!({ "plan": plan }));
    let service = Service::on(&database).with("TOKEN__ACCESS_LIFETIME", "2s");
    let service = service.with("PROFILE__SCHEMA", &schema.text()).started().await;
    let orders = Orders::beside(&service).await;
    let tokens = register(&service, ANN).await;
    let issued = Instant::now();

    assert_eq!(orders.status(None).await, 401);
    assert_eq!(orders.status(Some("garbage")).await, 401);
    let answer = orders.client.get("/orders", Some(&tokens.access)).await.unwrap();
    assert_eq!((answer.status, answer.body["orders"][0]["id"].as_i64()), (200, Some(1001)));
    assert_eq!(answer.body["plan"], "free", "a claim that the operator declared");
    let me = Tokens::of(&refresh(&service.client(), &tokens.refresh).await.unwrap());
    let me = service.client().get("/v1/me", Some(&me.access)).await.unwrap();
    assert_eq!(answer.text("sub"), me.text("id"));

    // Whole seconds: a token of two lives for up to three.
    tokio::time::sleep_until((issued + Duration::from_secs(3) + LEEWAY).into()).await;
    assert_eq!(orders.status(Some(&tokens.access)).await, 401);
    // Our own calls allow no leeway at all.
    let me = service.client().get("/v1/me", Some(&tokens.access)).await.unwrap();
    assert_eq!((me.status, &*me.text("code")), (401, "access_token_invalid"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_rotate_and_caching_verifiers_take_every_token() {
    let database = TestDatabase::sqlite().await;
    let mut service = Service::on(&database).with("TOKEN__KEY_ANNOUNCE", "1s").started().await;
    let orders = Orders::beside(&service).await;
    let mut tokens = register(&service, ANN).await;
    assert_eq!(orders.status(Some(&tokens.access)).await, 200);
    let asked = Instant::now();
    let mut kids = vec![kid(&tokens.access)];

    // The first new key stood in the set that orders has cached; the second was announced after that, and orders has
    // to ask for it.
    for is_known in [true, false] {
        let before = tokens.access.clone();
        let rotated = service.run(&["keys", "rotate"], None);
        assert_eq!(rotated.code, Some(0), "{}", rotated.stderr);
        tokio::time::sleep(Duration::from_millis(1100)).await;
        // An instance reads the keys again at its start, else within 30 s.
        service.restart().await;
        tokens = Tokens::of(&refresh(&service.client(), &tokens.refresh).await.unwrap());
        kids.push(kid(&tokens.access));
        if !is_known {
            tokio::time::sleep_until((asked + ASKS_AGAIN_AFTER).into()).await;
        }
        assert_eq!(orders.status(Some(&tokens.access)).await, 200, "signed by the new key");
        assert_eq!(orders.status(Some(&before)).await, 200, "signed by the former key");
        assert_eq!(service.client().get("/v1/me", Some(&before)).await.unwrap().status, 200);
    }
    kids.sort();
    kids.dedup();
    assert_eq!(kids.len(), 3, "each rotation signs with another key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verifiers_of_other_hands_take_es256() {
    others_take("ES256").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verifiers_of_other_hands_take_eddsa() {
    others_take("EdDSA").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verifiers_of_other_hands_take_rs256() {
    others_take("RS256").await;
}

async fn others_take(algorithm: &str) {
    let database = TestDatabase::sqlite().await;
    let service = Service::on(&database).with("TOKEN__ALGORITHM", algorithm);
    let service = service.with("TOKEN__AUDIENCES", "portcullis,billing").started().await;
    let orders = Orders::beside(&service).await;
    let own = register(&service, ANN).await.access;
    assert_eq!(header(&own)["alg"], algorithm);
    let login = json!({ "identifier": ANN, "password": PASSWORD, "audience": "billing" });
    let foreign = Tokens::of(&service.client().post("/v1/login", login).await.unwrap()).access;
    let me = service.client().get("/v1/me", Some(&own)).await.unwrap().text("id");
    let (head, signature) = own.rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());

    assert_eq!(orders.status(Some(&own)).await, 200);
    assert_eq!(orders.status(Some(&foreign)).await, 401, "for another audience");
    for (name, mut program) in others() {
        let jwks = format!("{}/.well-known/jwks.json", service.url());
        program.args([&*jwks, &service.url(), "portcullis"]);
        let said = ask(program, &[&own, &foreign, &forged, &own]);
        let [first, second, third, fourth] = &said[..] else { panic!("{name}: {said:?}") };
        assert_eq!((first, fourth), (&format!("taken {me}"), first), "{name}");
        assert!(second.starts_with("refused"), "{name}, another audience: {second}");
        assert!(third.starts_with("refused"), "{name}, a forged signature: {third}");
    }
}

/// The programs that are there.
fn others() -> Vec<(&'static str, Command)> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/binary");
    let mut programs = Vec::new();
    if let Some(python) = path_in("TEST_PYTHON", "PyJWT") {
        let mut program = Command::new(python);
        program.arg(scripts.join("verify.py"));
        programs.push(("PyJWT", program));
    }
    if let Some(modules) = path_in("TEST_NODE_MODULES", "jose") {
        let mut program = Command::new("node");
        program.arg(scripts.join("verify.mjs")).env("TEST_NODE_MODULES", modules);
        programs.push(("jose", program));
    }
    programs
}

#[expect(clippy::print_stderr, reason = "a skipped part says so")]
fn path_in(variable: &str, what: &str) -> Option<OsString> {
    let found = env::var_os(variable).filter(|path| Path::new(path).exists());
    if found.is_none() {
        let is = |name: &str, value: &str| env::var_os(name).is_some_and(|found| found == value);
        let must = is("REQUIRE_BACKENDS", "1") || is("CI", "true");
        assert!(!must, "{variable} names no {what}, and REQUIRE_BACKENDS=1 or CI=true is set");
        eprintln!("skipped: {what} ({variable} names nothing)");
    }
    found
}

/// What a program says to each token.
fn ask(mut program: Command, tokens: &[&String]) -> Vec<String> {
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = program.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for token in tokens {
        writeln!(stdin, "{token}").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "ended with {}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn header(token: &str) -> Value {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    let head = token.split('.').next().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap()
}

fn kid(token: &str) -> String {
    header(token)["kid"].as_str().unwrap().to_owned()
}

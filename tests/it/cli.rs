//! The binary as an operator meets it: arguments, stdin and files in; stdout, stderr and an exit code out.
//!
//! Each test has a folder of its own with an embedded database, and an empty environment.

mod audit;
mod installation;
mod invitations;
mod keys;
mod mail;
mod profile;
mod prompt;
mod users;
mod webhooks;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

const PASSWORD: &str = "violet-otter-picnic-9";
/// A known key, so that nothing but the commands makes files.
const MASTER_KEY: &str = "q2X0mJtq8V0v3nM1o9y7bK5dRw4cL6sZ8hT1gFpE2uA=";

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    fn is(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.err.is_empty(), code == 0, "{self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        self
    }

    fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A folder with a database, and the commands that run there.
struct House {
    folder: TempDir,
}

impl House {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("PORTCULLIS__MASTER_KEY", MASTER_KEY).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        ended(&mut self.command(arguments), b"")
    }

    fn run_with(&self, arguments: &[&str], stdin: &[u8]) -> Ended {
        ended(self.command(arguments).stdin(Stdio::piped()), stdin)
    }

    fn run_in(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
        ended(self.command(arguments).envs(variables.iter().copied()), b"")
    }

    fn create(&self, arguments: &[&str]) -> Ended {
        let all = [&["users", "create", "--password-stdin"], arguments].concat();
        self.run_with(&all, format!("{PASSWORD}\n").as_bytes())
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn database(&self) -> SqliteConnection {
        let path = self.folder.path().join("data/portcullis.db");
        SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap()
    }
}

fn ended(command: &mut Command, stdin: &[u8]) -> Ended {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    if let Some(mut pipe) = child.stdin.take() {
        // Who refuses before reading closes the pipe, and that is right.
        match pipe.write_all(stdin) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => panic!("{error}"),
            _ => {}
        }
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended {
        code: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

#[test]
fn help_and_version_are_results_and_a_wrong_word_is_usage() {
    let house = House::new();
    assert_eq!(house.run(&["--version"]).is(0).out, "portcullis 0.1.0\n");
    assert!(house.run(&["--help"]).is(0).out.contains("Exit codes: 0 done"));
    assert!(house.run(&["users", "create", "--help"]).is(0).out.contains("--password-stdin"));
    for wrong in [&[][..], &["srve"], &["users"], &["users", "list", "--limit", "0"]] {
        house.run(wrong).is(2);
    }
    // SECURITY: CFG-04. A password is never an argument.
    house.run(&["users", "create", "ann@example.org", "--password", PASSWORD]).is(2);
    house.run(&["users", "create", "ann@example.org", PASSWORD]).is(2);
    assert!(!house.folder.path().join("data").exists(), "nothing was made");
}

#[tokio::test]
async fn auz_06_the_first_administrator_comes_from_the_command_line() {
    let house = House::new();
    let profile = r#"{"preferences":{"x":"\u001b[2J\u202e"}}"#;
    let arguments = ["Ann@Example.org", "--username", "Ann", "--profile", profile, "--admin"];
    let made = house.create(&[&arguments[..], &["--json"]].concat()).is(0).json();
    let members: Vec<_> = made[0].as_object().unwrap().keys().map(String::as_str).collect();
    let mut contract = [
        "id",
        "email",
        "email_verified",
        "username",
        "status",
        "roles",
        "profile",
        "created_at",
        "updated_at",
        "last_login_at",
        "version",
    ];
    contract.sort_unstable();
    assert_eq!(members, contract);
    assert_eq!(made[0]["roles"], serde_json::json!(["admin"]));
    assert_eq!((&made[0]["status"], &made[0]["version"]), (&"active".into(), &1.into()));
    assert_eq!(made[0]["profile"]["preferences"]["x"], "\u{1b}[2J\u{202e}");

    let id = made[0]["id"].as_str().unwrap();
    for user in [id, "ann@EXAMPLE.org", "aNN"] {
        assert_eq!(house.run(&["users", "show", user, "--json"]).is(0).json(), made);
    }
    let shown = house.run(&["users", "show", id]).is(0).out;
    assert!(shown.starts_with(&format!("id              {id}\n")), "{shown}");
    assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown}");

    let events: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT action, actor_kind, actor_id FROM events WHERE outcome = 'success' ORDER BY id",
    )
    .fetch_all(&mut house.database().await)
    .await
    .unwrap();
    let actions: Vec<_> = events.iter().map(|event| event.0.as_str()).collect();
    assert_eq!(actions, ["user.created", "role.granted"]);
    assert!(events.iter().all(|event| event.1 == "cli" && !event.2.is_empty()), "{events:?}");
}

#[test]
fn a_taken_address_or_name_is_a_conflict_and_an_unknown_user_is_not_found() {
    let house = House::new();
    house.create(&["ann@example.org", "--username", "ann"]).is(0);
    let again = house.create(&["ANN@example.org"]).is(4);
    assert_eq!(again.err, "the e-mail address is taken\n");
    let again = house.create(&["bob@example.org", "--username", "ANN"]).is(4);
    assert_eq!(again.err, "the username is taken\n");
    let nobody = uuid::Uuid::max().to_string();
    for user in ["bob", "bob@example.org", &nobody, "", "\u{1b}", &"a".repeat(300)] {
        assert_eq!(house.run(&["users", "show", user]).is(3).err, "there is no such user\n");
    }
    house.run(&["users", "list", "--after", &nobody]).is(3);
    house.run(&["users", "list", "--after", "ann"]).is(2);

    let bob = house.create(&["bob@example.org", "--unverified", "--json"]).is(0).json();
    assert_eq!(
        (&bob[0]["status"], &bob[0]["roles"]),
        (&"unverified".into(), &serde_json::json!([]))
    );
}

#[test]
fn all_faults_of_an_account_are_told_at_once_and_nothing_is_quoted() {
    let house = House::new();
    let wrong = house.run_with(
        &[
            "users",
            "create",
            "--password-stdin",
            "ann",
            "--username",
            "a",
            "--profile",
            "{\"no\":1}",
        ],
        b"hidden-word",
    );
    let wrong = wrong.is(65);
    let pointers: Vec<_> = wrong.err.lines().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(pointers, ["/email", "/username", "/password", "/profile/no"]);
    assert!(!wrong.err.contains("hidden-word") && wrong.out.is_empty(), "{wrong:?}");
    for profile in ["{", "[]", "{\"bio\":\"\\u0000\"}", "{\"bio\":\"a\",\"bio\":\"b\"}"] {
        house.create(&["ann@example.org", "--profile", profile]).is(65);
    }
    for password in [&b""[..], b"\n", b"violet-otter-\0-picnic", b"violet-otter-\xff-picnic"] {
        let arguments = ["users", "create", "--password-stdin", "ann@example.org"];
        let refused = house.run_with(&arguments, password).is(65);
        assert!(refused.err.starts_with("/password: "), "{refused:?}");
    }
    assert!(house.run(&["users", "list", "--json"]).is(0).out.is_empty());
}

#[test]
fn cfg_11_nobody_is_asked_where_there_is_no_terminal() {
    let house = House::new();
    let refused = house.run(&["users", "create", "ann@example.org"]).is(2);
    assert!(refused.err.contains("--password-stdin"), "{refused:?}");
    assert!(house.run(&["keys", "revoke", "x"]).is(2).err.contains("--yes"));
    // A stdin that is closed altogether is no terminal either, and an empty password with the flag.
    let closed = |arguments: &str| {
        let line = format!("exec {} {arguments} <&-", env!("CARGO_BIN_EXE_portcullis"));
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &line]).current_dir(house.folder.path()).env_clear();
        ended(shell.stdin(Stdio::null()), b"")
    };
    closed("users create ann@example.org").is(2);
    closed("users create ann@example.org --password-stdin").is(65);
    closed("keys revoke x").is(2);
    closed("keys import -").is(65);
    closed("users list").is(0);
}

#[test]
fn a_list_is_paged_newest_first() {
    let house = House::new();
    for name in ["ann", "bob", "cid"] {
        house.create(&[&format!("{name}@example.org"), "--username", name]).is(0);
    }
    let all = house.run(&["users", "list"]).is(0).out;
    let lines: Vec<Vec<_>> = all.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ID", "EMAIL", "USERNAME", "STATUS", "ROLES", "CREATED"]);
    let names: Vec<_> = lines[1..].iter().map(|line| line[2]).collect();
    assert_eq!(names, ["cid", "bob", "ann"]);

    let page = house.run(&["users", "list", "--limit", "2"]);
    let bob = lines[2][0];
    assert_eq!((page.code, page.err), (0, format!("more: --after {bob}\n")));
    let rest = house.run(&["users", "list", "--limit", "2", "--after", bob, "--json"]).is(0);
    let rest = rest.json();
    assert_eq!((rest.len(), &rest[0]["username"]), (1, &"ann".into()));
}

#[test]
fn a_reader_who_has_seen_enough_is_no_failure_and_a_full_disk_is_one() {
    let house = House::new();
    house.create(&["ann@example.org"]).is(0);
    for command in [&["openapi"][..], &["users", "list"], &["config", "show"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = house.command(command);
        let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{command:?}");
    }
    if Path::new("/dev/full").exists() {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = house.command(&["users", "list"]);
        let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stderr.starts_with(b"stdout: "), "{output:?}");
    }
}

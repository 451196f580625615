//! What becomes of an account at the command line: each verb, its exit codes, and what the trail says of it.

use serde_json::{Value, json};

use super::{Ended, House};

impl House {
    fn user(&self, arguments: &[&str]) -> Ended {
        self.run(&[&["users"], arguments].concat())
    }

    /// The one account that a verb shows.
    fn shown(&self, arguments: &[&str]) -> Value {
        let mut shown = self.user(&[arguments, &["--json"]].concat()).is(0).json();
        assert_eq!(shown.len(), 1);
        shown.remove(0)
    }

    fn made(&self, name: &str, arguments: &[&str]) -> String {
        let email = format!("{name}@example.org");
        let all = [&[email.as_str(), "--username", name, "--json"], arguments].concat();
        self.create(&all).is(0).json()[0]["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn cfg_11_each_verb_takes_an_id_an_address_or_a_username_and_is_audited() {
    let house = House::new();
    let id = house.made("ann", &[]);
    house.made("root1", &["--admin"]);
    for (verb, status) in [
        (&["suspend", "ann"][..], "suspended"),
        (&["suspend", "ann"], "suspended"),
        (&["reactivate", "ANN@example.org"], "active"),
        (&["verify-email", &id], "active"),
        (&["grant", "ann", "admin"], "active"),
        (&["revoke", &id, "admin"], "active"),
        (&["delete", "ann", "--yes"], "deleted"),
        (&["restore", "ann"], "active"),
        (&["erase", "ann@example.org", "--yes"], "deleted"),
    ] {
        let shown = house.shown(verb);
        assert_eq!((&shown["status"], &shown["id"]), (&json!(status), &json!(id)), "{verb:?}");
    }
    // A tombstone is nobody's account.
    for verb in
        ["show", "suspend", "reactivate", "restore", "verify-email", "send-reset", "sessions"]
    {
        for user in [id.as_str(), "ann", "ann@example.org"] {
            assert_eq!(house.user(&[verb, user]).is(3).err, "there is no such user\n", "{verb}");
        }
    }
    assert!(!house.user(&["list"]).is(0).out.contains(&id));
    let text = format!(
        "SELECT action, actor_kind, actor_id FROM events WHERE subject_id = '{id}' ORDER BY id"
    );
    let events: Vec<(String, String, Option<String>)> =
        sqlx::query_as(&*text.leak()).fetch_all(&mut house.database().await).await.unwrap();
    let actions: Vec<_> = events.iter().map(|event| event.0.as_str()).collect();
    assert_eq!(
        actions,
        [
            "user.created",
            "user.suspended",
            "user.reactivated",
            "role.granted",
            "role.revoked",
            "user.deleted",
            "user.restored",
            "user.erased",
        ]
    );
    assert!(events.iter().all(|event| event.1 == "cli" && event.2.is_some()), "{events:?}");
}

#[test]
fn cfg_11_what_destroys_asks_and_without_a_terminal_needs_yes() {
    let house = House::new();
    house.made("ann", &[]);
    for verb in [&["delete", "ann"][..], &["erase", "ann"], &["revoke-sessions", "--everybody"]] {
        assert!(house.user(verb).is(2).err.contains("--yes"), "{verb:?}");
    }
    assert!(house.user(&["set-password", "ann"]).is(2).err.contains("--password-stdin"));
    assert_eq!(house.shown(&["show", "ann"])["status"], "active");
    // What changes nothing needs no answer.
    assert_eq!(house.shown(&["delete", "ann", "--dry-run"])["status"], "deleted");
    assert_eq!(house.shown(&["erase", "ann", "--dry-run"])["username"], Value::Null);
    assert_eq!(house.shown(&["suspend", "ann", "--dry-run"])["status"], "suspended");
    assert_eq!(house.shown(&["grant", "ann", "admin", "--dry-run"])["roles"], json!(["admin"]));
    let update = ["update", "ann", "--no-username", "--dry-run"];
    assert_eq!(house.shown(&update)["username"], Value::Null);
    let shown = house.shown(&["show", "ann"]);
    assert_eq!((&shown["status"], &shown["version"]), (&json!("active"), &json!(1)));
}

#[test]
fn auz_09_the_last_administrator_is_a_conflict_and_an_unknown_role_is_not_found() {
    let house = House::new();
    house.made("boss", &["--admin"]);
    house.made("ann", &[]);
    for verb in [
        &["suspend", "boss"][..],
        &["delete", "boss", "--yes"],
        &["erase", "boss", "--yes"],
        &["revoke", "boss", "admin"],
        &["suspend", "boss", "--dry-run"],
    ] {
        let refused = house.user(verb).is(4);
        assert_eq!(refused.err, "the last active administrator stays\n", "{verb:?}");
    }
    for verb in [&["grant", "ann", "root"][..], &["revoke", "ann", "root"]] {
        assert_eq!(house.user(verb).is(3).err, "there is no such role\n");
    }
    house.user(&["grant", "nobody", "admin"]).is(3);
    house.user(&["grant", "ann"]).is(2);
    house.user(&["grant", "ann", "admin"]).is(0);
    house.user(&["suspend", "boss"]).is(0);
    house.user(&["suspend", "ann"]).is(4);
}

#[test]
fn what_contradicts_the_state_is_a_conflict() {
    let house = House::new();
    house.made("ann", &[]);
    assert_eq!(house.user(&["restore", "ann"]).is(4).err, "the account is not deleted\n");
    house.user(&["delete", "ann", "--yes"]).is(0);
    house.user(&["delete", "ann", "--yes"]).is(0);
    for verb in ["suspend", "reactivate", "verify-email", "send-reset"] {
        assert_eq!(house.user(&[verb, "ann"]).is(4).err, "the account is deleted\n", "{verb}");
    }
    // Its name and its address stay held, and it is found by both.
    house.create(&["ann@example.org"]).is(4);
    house.create(&["other@example.org", "--username", "Ann"]).is(4);
    let short = [("PORTCULLIS__ACCOUNTS__DELETION_GRACE", "1s")];
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let late = house.run_in(&short, &["users", "restore", "ann"]).is(4);
    assert_eq!(late.err, "the time for a restoration has passed\n");
    house.user(&["restore", "ann"]).is(0);
    house.user(&["suspend", "ann"]).is(0);
    assert_eq!(house.user(&["send-reset", "ann"]).is(4).err, "the account is suspended\n");
}

#[test]
fn an_update_is_a_merge_patch_also_of_what_only_administrators_write() {
    let house = House::new();
    let schema = json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            "bio": { "type": "string", "maxLength": 20 },
            "nick": { "type": "string", "maxLength": 20 },
            "plan": { "enum": ["free", "paid"], "x-portcullis": { "write": "admin" } },
        },
    });
    let file = house.write("schema.json", &schema.to_string());
    let run = |arguments: &[&str]| {
        house.run_in(&[("PORTCULLIS__PROFILE__SCHEMA", &file)], &[&["users"], arguments].concat())
    };
    house.made("ann", &[]);
    house.made("ben", &[]);
    let patch = r#"{"bio":"x","nick":"y","plan":"paid"}"#;
    let shown = &run(&["update", "ann", "--username", "Anna", "--profile", patch, "--json"])
        .is(0)
        .json()[0];
    assert_eq!(shown["username"], "Anna");
    assert_eq!(shown["profile"], json!({ "bio": "x", "nick": "y", "plan": "paid" }));
    let shown = &run(&["update", "anna", "--profile", r#"{"bio":null}"#, "--json"]).is(0).json()[0];
    assert_eq!(shown["profile"], json!({ "nick": "y", "plan": "paid" }));
    assert_eq!(shown["version"], 3);
    let wrong =
        run(&["update", "anna", "--username", "a b", "--profile", r#"{"plan":"x","no":1}"#]).is(65);
    let pointers: Vec<_> = wrong.err.lines().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(pointers, ["/profile/no", "/profile/plan", "/username"]);
    for profile in ["{", "[]", "1", r#"{"bio":"\u0000"}"#, r#"{"bio":"a","bio":"b"}"#] {
        run(&["update", "anna", "--profile", profile]).is(65);
    }
    assert_eq!(run(&["update", "anna", "--username", "BEN"]).is(4).err, "the username is taken\n");
    run(&["update", "anna", "--no-username", "--username", "x"]).is(2);
    run(&["update", "anna"]).is(2);
    run(&["update", "nobody", "--no-username"]).is(3);
    run(&["update", "anna", "--no-username"]).is(0);
    run(&["show", "anna"]).is(3);
}

#[tokio::test]
async fn eml_18_a_password_comes_by_stdin_is_judged_and_must_be_changed() {
    let house = House::new();
    let id = house.made("ann", &[]);
    let set = |password: &str| {
        let arguments = ["users", "set-password", "ann", "--password-stdin"];
        house.run_with(&arguments, format!("{password}\n").as_bytes())
    };
    for bad in ["short", "ann@example.org", "password1234", ""] {
        let refused = set(bad).is(65);
        assert!(refused.err.starts_with("/password: "), "{refused:?}");
        assert!(bad.is_empty() || !refused.err.contains(bad), "{refused:?}");
    }
    let mut database = house.database().await;
    let must_change = "SELECT must_change FROM password_credentials";
    let before: bool = sqlx::query_scalar(must_change).fetch_one(&mut database).await.unwrap();
    set("Kessel-violett-88-anders").is(0);
    let after: bool = sqlx::query_scalar(must_change).fetch_one(&mut database).await.unwrap();
    assert_eq!((before, after), (false, true));
    let text = format!(
        "SELECT action || ' ' || actor_kind FROM events WHERE subject_id = '{id}' AND action LIKE 'password%'"
    );
    let told: Vec<String> =
        sqlx::query_scalar(&*text.leak()).fetch_all(&mut database).await.unwrap();
    assert_eq!(told, ["password.changed cli"]);
    let mails = "SELECT COUNT(*) FROM jobs WHERE kind = 'mail' AND state = 'waiting'";
    let count: i64 = sqlx::query_scalar(mails).fetch_one(&mut database).await.unwrap();
    assert_eq!(count, 1);
    house.user(&["send-reset", "ann"]).is(0);
    let count: i64 = sqlx::query_scalar(mails).fetch_one(&mut database).await.unwrap();
    assert_eq!(count, 2);
}

#[test]
fn sessions_that_are_not_there_are_an_empty_list() {
    let house = House::new();
    house.made("ann", &[]);
    let listed = house.user(&["sessions", "ann"]).is(0).out;
    assert_eq!(listed.split_whitespace().next(), Some("ID"));
    assert_eq!(house.user(&["sessions", "ann", "--json"]).is(0).out, "");
    house.user(&["revoke-sessions", "ann"]).is(0);
    let nobody = uuid::Uuid::max().to_string();
    house.user(&["revoke-sessions", "ann", "--session", &nobody]).is(3);
    house.user(&["revoke-sessions", "ann", "--everybody"]).is(2);
    house.user(&["revoke-sessions"]).is(2);
    let ended = house.user(&["revoke-sessions", "--everybody", "--yes", "--json"]).is(0).json();
    assert_eq!(ended, [json!({ "users": 0 })]);
}

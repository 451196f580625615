//! `portcullis migrate`, `config` and `openapi`: what belongs to an installation as a whole.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portcullis::http::api;

use super::{House, MASTER_KEY};

#[test]
fn migrate_tells_applies_and_tells_again() {
    let house = House::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
    let all = std::fs::read_dir(folder).unwrap().count();
    let pending = format!("pending migrations: {all}\n");
    assert_eq!(house.run(&["migrate", "--check"]).is(1).err, pending);
    assert!(!house.folder.path().join("data").exists(), "a check makes nothing");
    let never = [("PORTCULLIS__STORE__MIGRATE", "never")];
    let refused = house.run_in(&never, &["users", "list"]).is(78);
    assert!(refused.err.contains("portcullis migrate"), "{refused:?}");
    assert_eq!(house.run(&["migrate"]).is(0).out, format!("applied {all}, up to date at {all}\n"));
    assert_eq!(house.run(&["migrate"]).is(0).out, format!("up to date at {all}\n"));
    assert_eq!(house.run(&["migrate", "--check"]).is(0).out, format!("up to date at {all}\n"));
    house.run_in(&never, &["users", "list"]).is(0);
}

#[tokio::test]
async fn cfg_10_a_database_of_a_newer_binary_is_left_alone() {
    let house = House::new();
    house.run(&["migrate"]).is(0);
    let newer = "INSERT INTO schema_compatibility (migration, oldest_binary) VALUES (9, '99.0.0')";
    sqlx::query(newer).execute(&mut house.database().await).await.unwrap();
    for command in
        [&["migrate"][..], &["migrate", "--check"], &["users", "list"], &["keys", "list"]]
    {
        let refused = house.run(command).is(78);
        assert!(refused.err.contains("99.0.0"), "{refused:?}");
    }
}

#[test]
fn a_database_that_is_out_is_69() {
    let house = House::new();
    let out = [("PORTCULLIS__STORE__URL", "postgres://u:hidden-word@127.0.0.1:1/x")];
    for command in [&["migrate"][..], &["users", "list"], &["keys", "rotate"]] {
        let refused = house.run_in(&out, command).is(69);
        assert!(!refused.err.contains("hidden-word"), "{refused:?}");
    }
}

#[test]
fn cfg_13_another_master_key_is_a_fault_of_the_configuration() {
    let house = House::new();
    house.run(&["keys", "rotate"]).is(0);
    let other = STANDARD
        .encode(std::array::from_fn::<u8, 32, _>(|at| u8::try_from(at * 97 % 251).unwrap()));
    let refused = house.run_in(&[("PORTCULLIS__MASTER_KEY", &other)], &["keys", "list"]).is(78);
    assert!(refused.err.starts_with("master_key: "), "{refused:?}");
    assert!(!refused.err.contains(&other), "{refused:?}");
}

#[test]
fn every_fault_of_a_configuration_is_told_at_once() {
    let house = House::new();
    let file = house.write(
        "bad.toml",
        "[http]\nlisten = \"nowhere\"\n[token]\naccess_lifetime = \"soon\"\nx = 1\n",
    );
    for command in [&["config", "check"][..], &["config", "show"], &["serve"], &["users", "list"]] {
        let refused = house.run(&[command, &["--config", &file]].concat()).is(78);
        assert_eq!(refused.err.lines().count(), 3, "{refused:?}");
        for key in ["http.listen (", "token.access_lifetime (", "token.x ("] {
            assert!(refused.err.contains(key), "{refused:?}");
        }
    }
    house.run_in(&[("PORTCULLIS_CONFIG", &file)], &["config", "check"]).is(78);
    house.run(&["--config", "missing.toml", "config", "check"]).is(78);
    let schema = house.write("schema.json", r#"{"type":"array","additionalProperties":true}"#);
    let schema = [("PORTCULLIS__PROFILE__SCHEMA", schema.as_str())];
    for command in [&["config", "check"], &["users", "list"]] {
        let refused = house.run_in(&schema, command).is(78);
        assert_eq!(refused.err.lines().count(), 2, "{refused:?}");
        assert!(refused.err.lines().all(|line| line.starts_with("profile.schema: #/")));
    }
    assert!(!house.folder.path().join("data").exists(), "nothing was made");
}

#[test]
fn cfg_04_a_good_configuration_is_shown_without_its_secrets() {
    let house = House::new();
    assert_eq!(house.run(&["config", "check"]).is(0).out, "ok\n");
    let shown = house.run(&["config", "show"]).is(0).out;
    assert!(!shown.contains(MASTER_KEY) && shown.contains("master_key = \"***\""), "{shown}");
    assert!(shown.contains("[token]\n") && shown.contains("algorithm = \"ES256\" # default"));
    // Without a master key one is made at the first start, and not by a look.
    let unset = [("PORTCULLIS__MASTER_KEY", "")];
    assert_eq!(house.run_in(&unset, &["config", "check"]).is(0).out, "ok\n");
    assert!(!house.folder.path().join("data").exists(), "nothing was made");
    let counted = STANDARD.encode(std::array::from_fn::<u8, 32, _>(|at| u8::try_from(at).unwrap()));
    let example = [("PORTCULLIS__MASTER_KEY", counted.as_str())];
    let refused = house.run_in(&example, &["config", "check"]).is(78);
    assert!(refused.err.starts_with("master_key (") && !refused.err.contains(&counted));
}

#[test]
fn the_document_is_printed_and_compared_byte_for_byte() {
    let house = House::new();
    let printed = house.run(&["openapi"]).is(0).out;
    assert_eq!(printed, api::generated_document().unwrap());
    let file = house.write("openapi.json", &printed);
    assert_eq!(house.run(&["openapi", "--check", &file]).is(0).out, "");
    house.write("openapi.json", &printed.replacen("portcullis", "porticullis", 1));
    let stale = house.run(&["openapi", "--check", &file]).is(1);
    assert!(stale.err.contains(&format!("portcullis openapi > {file}")), "{stale:?}");
    house.run(&["openapi", "--check", "missing.json"]).is(1);
}

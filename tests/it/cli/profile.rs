//! `portcullis profile` and what the user model does to `users create`: tables, NDJSON, exit codes, no values.

use serde_json::{Value, json};
use sqlx::SqliteConnection;

use super::House;

const UNIQUE: &str = r#"{"type":"object","additionalProperties":false,"properties":{
    "phone":{"type":"string","format":"e164","x-portcullis":{"unique":true,"claim":"phone"}},
    "plan":{"enum":["free","paid"],"default":"free","x-portcullis":{"write":"admin","facet":true}},
    "note":{"type":"string","x-portcullis":{"write":"admin","read":"admin","search":true}}}}"#;

/// Copies the one account until there are `count`, each with the bio `short`, three of them with a longer one.
async fn fill(database: &mut SqliteConnection, count: i64) {
    let copy = "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
        INSERT INTO users (id, email, email_canonical, email_verified_at, profile, created_at, updated_at, version)
        SELECT randomblob(16), 'p' || i || '@example.org', 'p' || i || '@example.org', created_at,
               json_object('bio', CASE WHEN i % 333 = 0 THEN 'much too secret' ELSE 'short' END),
               created_at, created_at, 1
        FROM users, n";
    let done = sqlx::query(copy).bind(count).execute(database).await.unwrap();
    assert_eq!(done.rows_affected(), 999);
}

#[tokio::test]
async fn three_of_a_thousand_accounts_that_would_not_fit_are_named() {
    let house = House::new();
    house.create(&["p1@example.org"]).is(0);
    fill(&mut house.database().await, 1000).await;
    let new = house.write(
        "new.json",
        r#"{"type":"object","additionalProperties":false,"properties":{"bio":{"type":"string","maxLength":5}}}"#,
    );
    let ended = house.run(&["profile", "check", &new, "--json"]).is(65);
    assert_eq!(ended.err, "3 of 1000 accounts do not fit\n");
    let lines = ended.json();
    assert_eq!(lines.len(), 3);
    for line in &lines {
        let id: uuid::Uuid = line["id"].as_str().unwrap().parse().unwrap();
        let bio: (String,) = sqlx::query_as("SELECT profile ->> 'bio' FROM users WHERE id = $1")
            .bind(id)
            .fetch_one(&mut house.database().await)
            .await
            .unwrap();
        assert_eq!(bio.0, "much too secret");
        let members: Vec<_> = line.as_object().unwrap().keys().collect();
        assert_eq!(members, ["errors", "id"]);
        let fault = &line["errors"][0];
        assert_eq!(
            (&fault["pointer"], &fault["code"]),
            (&json!("/profile/bio"), &json!("too_long"))
        );
    }
    assert!(!ended.out.contains("secret"), "{}", ended.out);
    let told = house.run(&["profile", "check", &new]).is(65);
    assert_eq!(told.out.lines().count(), 3, "{told:?}");
    assert!(told.out.lines().all(|line| line.ends_with("  too_long  /profile/bio")), "{told:?}");
    assert!(!told.out.contains("secret"), "{told:?}");

    // What counts now fits.
    assert_eq!(house.run(&["profile", "check"]).is(0).out, "all 1000 accounts fit\n");
    assert_eq!(house.run(&["profile", "check", "--json"]).is(0).out, "");
}

#[test]
fn a_schema_that_is_none_is_told_with_pointers() {
    let house = House::new();
    let bad = house.write(
        "bad.json",
        r#"{"type":"object","additionalProperties":false,"properties":{
        "a":{"x-portcullis":{"claim":"sub"}},"b":{"type":"text"}}}"#,
    );
    let refused = house.run(&["profile", "check", &bad]).is(65);
    for place in ["#/properties/a/x-portcullis/claim: ", "#/properties/b/type: "] {
        assert!(refused.err.contains(place), "{refused:?}");
    }
    house.run(&["profile", "check", "missing.json"]).is(1);
    let configured = [("PORTCULLIS__PROFILE__SCHEMA", bad.as_str())];
    for command in [&["profile", "show"][..], &["profile", "check"], &["users", "list"], &["serve"]]
    {
        let refused = house.run_in(&configured, command).is(78);
        assert!(
            refused.err.contains("profile.schema: #/properties/a/x-portcullis/claim"),
            "{refused:?}"
        );
    }
}

#[test]
fn the_schema_that_counts_is_shown_with_its_rules() {
    let house = House::new();
    let file = house.write("profile.json", UNIQUE);
    let own = [("PORTCULLIS__PROFILE__SCHEMA", file.as_str())];
    let shown = house.run_in(&own, &["profile", "show"]).is(0).out;
    let rows: Vec<Vec<_>> = shown
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(
        rows[0],
        ["FIELD", "TYPE", "WRITE", "READ", "UNIQUE", "SEARCH", "FACET", "CLAIM", "DEFAULT"]
    );
    assert_eq!(rows[1], ["note", "string", "admin", "admin", "-", "yes", "-", "-", "-"]);
    assert_eq!(rows[2], ["phone", "string (e164)", "user", "user", "yes", "-", "-", "phone", "-"]);
    assert_eq!(rows[3], ["plan", "-", "admin", "user", "-", "-", "yes", "-", "\"free\""]);
    let json = house.run_in(&own, &["profile", "show", "--json"]).is(0).json();
    assert_eq!(json, [serde_json::from_str::<Value>(UNIQUE).unwrap()]);
    assert!(
        house.run(&["profile", "show"]).is(0).out.contains("preferences"),
        "ours without a file"
    );
    assert!(!house.folder.path().join("data").exists(), "nothing was made");
}

#[test]
fn a_unique_value_that_somebody_has_is_a_conflict() {
    let house = House::new();
    let file = house.write("portcullis.toml", "[profile]\nschema = \"profile.json\"\n");
    house.write("profile.json", UNIQUE);
    assert!(file.ends_with("portcullis.toml"));
    let all = r#"{"phone":"+4930111","plan":"paid","note":"vip"}"#;
    let made = house.create(&["ann@example.org", "--profile", all, "--json"]).is(0).json();
    assert_eq!(made[0]["profile"], json!({ "phone": "+4930111", "plan": "paid", "note": "vip" }));
    for more in [&[][..], &["--unverified"]] {
        let arguments = ["ben@example.org", "--profile", r#"{"phone":"+4930111"}"#];
        let taken = house.create(&[&arguments[..], more].concat()).is(4);
        assert_eq!(taken.err, "/profile/phone: Somebody else has this value.\n");
    }
    let ben = house.create(&["ben@example.org", "--profile", r#"{"phone":"+4930222"}"#, "--json"]);
    assert_eq!(ben.is(0).json()[0]["profile"], json!({ "phone": "+4930222", "plan": "free" }));
    assert_eq!(house.run(&["profile", "check"]).is(0).out, "all 2 accounts fit\n");
}

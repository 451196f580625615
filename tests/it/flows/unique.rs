//! What no two accounts share: taken at the proof of the mailbox, moved by a patch, held by one of many.

use std::sync::Arc;

use portcullis::app::App;
use portcullis::domain::email::EmailAddress;
use portcullis::domain::event::Actor;
use portcullis::domain::session::{Origin, SignedIn};
use portcullis::domain::user::User;
use portcullis::flows::create_user::{CreateError, NewAccount, create_user};
use portcullis::flows::me::{Expected, Patch, PatchError, patch};
use portcullis::flows::tokens::Tokens;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use crate::support::app::{Person, TestApp, verify};
use crate::support::rows::object;
use crate::support::schemas::SchemaFile;

fn shop() -> SchemaFile {
    SchemaFile::of(json!({
        "phone": { "type": "string", "x-portcullis": { "unique": true } },
        "badge": { "x-portcullis": { "unique": true } },
        "bio": { "type": "string" },
    }))
}

fn person(email: &str, profile: Value) -> Person {
    Person { profile: object(profile), ..Person::new(email) }
}

async fn profile(app: &TestApp, tokens: &Tokens) -> Map<String, Value> {
    app.authenticate(&tokens.access_token).await.unwrap().user.profile
}

/// The pointers of the values that could not be had.
pub(super) async fn try_patch(
    app: &App,
    who: &SignedIn,
    profile: Value,
) -> Result<User, Vec<String>> {
    let change = Patch { username: None, profile: Some(object(profile)) };
    match patch(app, who, change, Expected::Any, Origin::default()).await {
        Ok(user) => Ok(user),
        Err(PatchError::Taken(taken)) => {
            Err(taken.faults().into_iter().map(|fault| fault.pointer).collect())
        }
        Err(other) => panic!("{other}"),
    }
}

fn account(email: &str, profile: Value, is_verified: bool) -> NewAccount {
    NewAccount {
        email: EmailAddress::parse(email).unwrap(),
        username: None,
        password: None,
        profile: object(profile),
        is_verified,
        is_admin: false,
    }
}

const HELD: &str = "SELECT COUNT(*) FROM unique_values WHERE field <> '/username'";

on_every_backend! {
    async fn enu_12_a_unique_value_is_taken_at_the_verification_and_not_before(db: TestDatabase) {
        let schema = shop();
        let app = TestApp::start_with(db, &[("PROFILE__SCHEMA", &schema.text())]).await;
        let ann = person("ann@example.org", json!({ "phone": "1", "badge": 7, "bio": "Ann" }));
        let ann = ann.named("same");
        let ben = person("ben@example.org", json!({ "phone": "1", "badge": 8 })).named("SAME");
        let cem = person("cem@example.org", json!({ "phone": "1", "badge": 7 }));
        let mut tokens = Vec::new();
        for someone in [&ann, &ben, &cem] {
            app.sign_up(someone).await.unwrap();
            tokens.push(app.tokens_mailed_to(&someone.email).await.pop().unwrap());
        }
        assert_eq!(app.database.count(HELD).await, 0, "a wish reserves nothing");

        let of_ben = app.verify(&ben, &tokens[1]).await.unwrap();
        assert_eq!(of_ben.dropped.pointers(), [] as [&str; 0]);
        let of_ann = app.verify(&ann, &tokens[0]).await.unwrap();
        assert_eq!(of_ann.dropped.pointers(), ["/profile/phone", "/username"]);
        assert_eq!(profile(&app, &of_ann.tokens).await, object(json!({ "badge": 7, "bio": "Ann" })));
        let of_cem = app.verify(&cem, &tokens[2]).await.unwrap();
        assert_eq!(of_cem.dropped.pointers(), ["/profile/badge", "/profile/phone"]);
        assert_eq!(profile(&app, &of_cem.tokens).await, Map::new());
        let dan = person("dan@example.org", json!({ "phone": "1" }));
        app.sign_up(&dan).await.unwrap();
        assert_eq!(app.database.count(HELD).await, 3);
        app.assert_invariants().await;
    }

    async fn values_are_compared_as_text_after_nfc_else_exactly(db: TestDatabase) {
        let schema = shop();
        let app = TestApp::start_with(db, &[("PROFILE__SCHEMA", &schema.text())]).await;
        // Each of a line is one value; no two lines share one.
        let lines = [
            vec![json!("Zo\u{eb}"), json!("Zoe\u{308}")],
            vec![json!("zo\u{eb}")],
            vec![json!("Zo\u{eb} ")],
            vec![json!("\u{212b}"), json!("\u{c5}"), json!("A\u{30a}")],
            vec![json!(7), json!(7.0), json!(70e-1)],
            vec![json!(-7)],
            vec![json!(7.5)],
            vec![json!(0), json!(-0.0)],
            vec![json!(true)],
            vec![json!(["a", 1]), json!(["a", 1.0])],
            vec![json!([1, "a"])],
            vec![json!({ "b": 1, "aa": [{ "d": 1, "c": 2 }] }), json!({ "aa": [{ "c": 2, "d": 1 }], "b": 1 })],
            vec![json!("x".repeat(5000))],
            vec![json!(format!("{}y", "x".repeat(4999)))],
            vec![json!("x".repeat(1024))],
            vec![json!("é".repeat(3000)), json!("e\u{301}".repeat(3000))],
            vec![json!("")],
        ];
        for (n, line) in lines.iter().enumerate() {
            for (m, value) in line.iter().enumerate() {
                let email = format!("p{n}-{m}@example.org");
                let made = create_user(&app.app, account(&email, json!({ "badge": value }), true), Actor::System).await;
                match made {
                    Ok(_) => assert_eq!(m, 0, "{value} is another value than {}", line[0]),
                    Err(CreateError::Taken(taken)) => {
                        assert_eq!(taken.to_string(), "a value is taken: /profile/badge");
                        assert_ne!(m, 0, "{value} is a value of its own");
                    }
                    Err(other) => panic!("{value}: {other}"),
                }
            }
        }
        assert_eq!(usize::try_from(app.database.count(HELD).await).unwrap(), lines.len());
        app.assert_invariants().await;
    }

    async fn an_account_made_by_an_operator_takes_its_values_or_is_not_made(db: TestDatabase) {
        let schema = shop();
        let app = TestApp::start_with(db, &[("PROFILE__SCHEMA", &schema.text())]).await;
        let create = |account| create_user(&app.app, account, Actor::System);
        create(account("ann@example.org", json!({ "phone": "1", "badge": 1 }), true)).await.unwrap();
        for is_verified in [true, false] {
            let refused = create(account("ben@example.org", json!({ "phone": "1", "badge": 1 }), is_verified)).await;
            let Err(CreateError::Taken(taken)) = refused else { panic!("{refused:?}") };
            assert_eq!(taken.to_string(), "a value is taken: /profile/badge, /profile/phone");
        }
        assert_eq!(app.database.count("SELECT COUNT(*) FROM users").await, 1);
        // Not verified, not held.
        for email in ["ben@example.org", "cem@example.org"] {
            create(account(email, json!({ "phone": "2" }), false)).await.unwrap();
        }
        assert_eq!(app.database.count(HELD).await, 2);
        app.assert_invariants().await;
    }

    async fn a_patch_moves_values_and_frees_the_old_ones(db: TestDatabase) {
        let schema = shop();
        let app = TestApp::start_with(db, &[("PROFILE__SCHEMA", &schema.text())]).await;
        let ann = app.register(&person("ann@example.org", json!({ "phone": "1", "badge": 1 }))).await;
        let ben = app.register(&person("ben@example.org", json!({ "phone": "2", "badge": 2 }))).await;
        let ann = app.authenticate(&ann.access_token).await.unwrap();
        let ben = app.authenticate(&ben.access_token).await.unwrap();
        let taken = try_patch(&app.app, &ben, json!({ "phone": "1", "badge": 1, "bio": "x" })).await;
        assert_eq!(taken.unwrap_err(), ["/profile/badge", "/profile/phone"]);
        let taken = try_patch(&app.app, &ben, json!({ "phone": "1", "badge": 3 })).await;
        assert_eq!(taken.unwrap_err(), ["/profile/phone"]);
        // Nothing of a refused patch stays: neither value was given up, and the new badge was not taken.
        try_patch(&app.app, &ann, json!({ "badge": 3 })).await.unwrap();
        let taken = try_patch(&app.app, &ann, json!({ "phone": "2" })).await;
        assert_eq!(taken.unwrap_err(), ["/profile/phone"]);
        try_patch(&app.app, &ben, json!({ "badge": 1, "phone": null })).await.unwrap();
        try_patch(&app.app, &ann, json!({ "phone": "2" })).await.unwrap();
        // One's own value in another spelling is no conflict, and neither is the same one again.
        try_patch(&app.app, &ann, json!({ "phone": "e\u{301}" })).await.unwrap();
        let user = try_patch(&app.app, &ann, json!({ "phone": "\u{e9}", "bio": "x" })).await.unwrap();
        assert_eq!(user.profile["phone"], "\u{e9}", "shown as typed");
        assert_eq!(try_patch(&app.app, &ann, json!({ "phone": "\u{e9}" })).await.unwrap().version, user.version);
        assert_eq!(app.database.count(HELD).await, 3);
        app.assert_invariants().await;
    }

    async fn t_05_fifty_proofs_for_one_value_at_two_instances_give_it_to_one(db: TestDatabase) {
        let schema = shop();
        let written = [("PROFILE__SCHEMA", schema.text())];
        let written: Vec<_> = written.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let app = TestApp::start_with(db, &written).await;
        let other = app.another(&written).await;
        portcullis::flows::keys::read(&other).await.unwrap();
        let mut people = Vec::new();
        for n in 0..50 {
            // A second field in common with some, so that changes meet in two places.
            let wish = json!({ "phone": "+49301", "badge": n % 5 });
            let someone = person(&format!("p{n}@example.org"), wish);
            app.sign_up(&someone).await.unwrap();
            let token = app.tokens_mailed_to(&someone.email).await.pop().unwrap();
            people.push((someone, token));
        }
        let mut racers = JoinSet::new();
        for (n, (someone, token)) in people.into_iter().enumerate() {
            let instance = Arc::clone(if n % 2 == 0 { &app.app } else { &other });
            racers.spawn(async move { verify(&instance, &someone, &token).await });
        }
        let answers: Vec<_> = racers.join_all().await.into_iter().map(Result::unwrap).collect();
        let keep = |field: &str| {
            answers.iter().filter(|answer| !answer.dropped.pointers().iter().any(|it| it == field)).count()
        };
        assert_eq!((answers.len(), keep("/profile/phone"), keep("/profile/badge")), (50, 1, 5));
        let with_phone = app.database.count(
            ("SELECT COUNT(*) FROM users WHERE email_verified_at IS NOT NULL AND json_extract(profile, '$.phone') IS NOT NULL",
             "SELECT COUNT(*) FROM users WHERE email_verified_at IS NOT NULL AND profile ? 'phone'"),
        );
        assert_eq!(with_phone.await, 1);
        assert_eq!(app.database.count("SELECT COUNT(*) FROM sessions").await, 50);
        assert_eq!(app.database.count(HELD).await, 6);
        app.assert_invariants().await;
    }

    async fn t_05_changes_that_swap_values_all_end(db: TestDatabase) {
        let schema = shop();
        let app = TestApp::start_with(db, &[("PROFILE__SCHEMA", &schema.text())]).await;
        let mut people = Vec::new();
        for n in 0..4 {
            let tokens = app.register(&person(&format!("p{n}@example.org"), json!({ "phone": n.to_string() }))).await;
            people.push(app.authenticate(&tokens.access_token).await.unwrap());
        }
        for round in 0..6 {
            let mut racers = JoinSet::new();
            for (n, who) in people.iter().cloned().enumerate() {
                let instance = Arc::clone(&app.app);
                // Everybody wants what their neighbour has: nobody, or all but one, can have it.
                let wish = format!("{}", (n + round) % 4);
                racers.spawn(async move { try_patch(&instance, &who, json!({ "phone": wish })).await.is_ok() });
            }
            racers.join_all().await;
            assert_eq!(app.database.count(HELD).await, 4);
        }
        app.assert_invariants().await;
    }
}

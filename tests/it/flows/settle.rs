//! A schema that changes under stored accounts: who would not fit, who holds what, and that nobody is stopped.

use std::sync::Arc;
use std::time::Duration;

use portcullis::Fault;
use portcullis::app::App;
use portcullis::domain::event::Actor;
use portcullis::domain::ids::UserId;
use portcullis::domain::profile::ProfileSchema;
use portcullis::flows::check_profiles::{Checked, Misfit, check_profiles};
use portcullis::flows::create_user::{NewAccount, create_user};
use portcullis::flows::settle_values::{Settled, settle_values};
use portcullis::store::{credentials, users};
use serde_json::{Value, json};

use crate::support::app::{Person, TestApp};
use crate::support::rows::{hash, object, verified_user};
use crate::support::schemas::SchemaFile;

fn schema(properties: &Value, required: &Value) -> ProfileSchema {
    let whole = json!({
        "type": "object", "additionalProperties": false, "properties": properties, "required": required,
    });
    ProfileSchema::from_json(&whole.to_string()).unwrap()
}

async fn check(app: &App, schema: &ProfileSchema) -> (Checked, Vec<Misfit>) {
    let mut misfits = Vec::new();
    let checked = check_profiles(app, schema, |misfit| {
        misfits.push(misfit);
        Ok::<_, Fault>(())
    });
    (checked.await.unwrap(), misfits)
}

fn shown(misfits: &[Misfit]) -> Vec<(UserId, Vec<String>)> {
    let faults = |misfit: &Misfit| {
        misfit.faults.iter().map(|f| format!("{} {}", f.pointer, f.code.as_str())).collect()
    };
    misfits.iter().map(|misfit| (misfit.id, faults(misfit))).collect()
}

async fn create(app: &App, email: &str, profile: Value, is_verified: bool) -> UserId {
    let account = NewAccount {
        email: portcullis::domain::email::EmailAddress::parse(email).unwrap(),
        username: None,
        password: None,
        profile: object(profile),
        is_verified,
        is_admin: false,
    };
    create_user(app, account, Actor::System).await.unwrap().id
}

/// Inserts this many accounts at once; each `every`th profile is `other`.
async fn fill(app: &App, count: u128, (every, other): (u128, Value), usual: Value) {
    let input = (count, every, object(other), object(usual));
    let filled = app.store.write(input, |tx, (count, every, other, usual)| {
        Box::pin(async move {
            for n in 1..=*count {
                let profile = if n % every == 0 { other } else { usual };
                let user = users::NewUser { profile: profile.clone(), ..verified_user(n) };
                users::insert(tx, &user).await?;
                credentials::set(tx, user.id, &hash("x"), user.created_at).await?;
            }
            Ok::<_, Fault>(())
        })
    });
    filled.await.unwrap();
}

fn unique_phone() -> Value {
    json!({ "phone": { "type": "string", "x-portcullis": { "unique": true } }, "bio": { "type": "string" } })
}

fn plain_phone() -> Value {
    json!({ "phone": { "type": "string" }, "bio": { "type": "string" } })
}

const HELD: &str = "SELECT COUNT(*) FROM unique_values WHERE field = '/profile/phone'";

on_every_backend! {
    async fn three_of_a_thousand_accounts_that_would_not_fit_are_named(db: TestDatabase) {
        let app = TestApp::start(db).await;
        fill(&app.app, 1000, (333, json!({ "display_name": "Secretly long" })), json!({ "display_name": "Ann" })).await;
        let new = schema(&json!({ "display_name": { "type": "string", "maxLength": 9 } }), &json!([]));
        let (checked, misfits) = check(&app.app, &new).await;
        assert_eq!(checked, Checked { accounts: 1000, misfits: 3 });
        let long = vec!["/profile/display_name too_long".to_owned()];
        let expected = [333, 666, 999].map(|n| (verified_user(n).id, long.clone()));
        assert_eq!(shown(&misfits), expected);
        assert!(!format!("{misfits:?}").contains("Secretly"), "ids and places, no values");
        // What counts now fits, and nothing was changed by asking.
        assert_eq!(check(&app.app, &app.app.schema).await.0, Checked { accounts: 1000, misfits: 0 });
        assert_eq!(app.database.count("SELECT COUNT(*) FROM users WHERE version = 1").await, 1000);
    }

    async fn a_check_tells_missing_fields_and_values_that_are_shared(db: TestDatabase) {
        let file = SchemaFile::of(plain_phone());
        let app = TestApp::start_with(db, &[("PROFILE__SCHEMA", &file.text())]).await;
        let second = create(&app.app, "a@example.org", json!({ "phone": "1" }), false).await;
        let first = create(&app.app, "b@example.org", json!({ "phone": "e\u{301}" }), true).await;
        app.advance(Duration::from_secs(1));
        let third = create(&app.app, "c@example.org", json!({ "phone": "\u{e9}" }), true).await;
        let none = create(&app.app, "d@example.org", json!({ "bio": "x" }), true).await;
        let wish = create(&app.app, "e@example.org", json!({ "phone": "\u{e9}" }), false).await;
        let (checked, misfits) = check(&app.app, &schema(&unique_phone(), &json!(["phone"]))).await;
        assert_eq!(checked, Checked { accounts: 5, misfits: 2 }, "{second:?} {first:?} {wish:?} fit");
        assert_eq!(shown(&misfits), [
            (third, vec!["/profile/phone taken".to_owned()]),
            (none, vec!["/profile/phone required".to_owned()]),
        ]);
        // Whoever was verified first keeps a value, not whoever came first.
        app.database.execute((
            "UPDATE users SET email_verified_at = 1 WHERE email_canonical = 'c@example.org'",
            "UPDATE users SET email_verified_at = TIMESTAMPTZ 'epoch' WHERE email_canonical = 'c@example.org'",
        )).await;
        let (_, misfits) = check(&app.app, &schema(&unique_phone(), &json!([]))).await;
        assert_eq!(shown(&misfits), [(first, vec!["/profile/phone taken".to_owned()])]);
    }

    async fn a_field_that_becomes_unique_gets_its_holders_and_frees_them_again(db: TestDatabase) {
        let file = SchemaFile::of(plain_phone());
        let written = [("PROFILE__SCHEMA", file.text())];
        let written = written.each_ref().map(|(key, value)| (*key, value.as_str()));
        let app = TestApp::start_with(db, &written).await;
        let mut ann = Person::new("ann@example.org").named("ann");
        ann.profile = object(json!({ "phone": "1" }));
        app.register(&ann).await;
        app.advance(Duration::from_secs(1));
        let ben = Person { profile: ann.profile.clone(), ..Person::new("ben@example.org") };
        app.register(&ben).await;
        create(&app.app, "wish@example.org", json!({ "phone": "2" }), false).await;
        fill(&app.app, 120, (2, json!({ "bio": "x" })), json!({})).await;
        for n in 0..120 {
            create(&app.app, &format!("p{n}@example.org"), json!({ "phone": format!("p{n}") }), true).await;
        }
        let file_of = |properties: Value| {
            file.write(&json!({ "type": "object", "additionalProperties": false, "properties": properties }));
        };
        file_of(unique_phone());
        let app2 = app.another(&written).await;
        // Two instances at once: each value is given once.
        let (one, two) = tokio::join!(settle_values(&app2), settle_values(&app2));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(one.claimed + two.claimed, 121, "{one:?} {two:?}");
        assert_eq!(app.database.count(HELD).await, 121);
        assert_eq!(settle_values(&app2).await.unwrap(), Settled { claimed: 0, released: 0, clashes: 1 });
        let (_, misfits) = check(&app2, &app2.schema).await;
        assert_eq!(misfits.len(), 1, "ben shares what ann holds");

        // By the older schema a value moves on, and is given up; nobody is left holding what they do not show.
        app.database.execute((
            "UPDATE users SET profile = json_set(profile, '$.phone', 'q') WHERE email_canonical = 'p7@example.org'",
            "UPDATE users SET profile = jsonb_set(profile, '{phone}', '\"q\"') WHERE email_canonical = 'p7@example.org'",
        )).await;
        app.database.execute((
            "UPDATE users SET profile = json_set(profile, '$.phone', 'p7') WHERE email_canonical = 'p8@example.org'",
            "UPDATE users SET profile = jsonb_set(profile, '{phone}', '\"p7\"') WHERE email_canonical = 'p8@example.org'",
        )).await;
        settle_values(&app2).await.unwrap();
        settle_values(&app2).await.unwrap();
        let held = app.database.raw().await.texts(
            "SELECT value_canonical FROM unique_values WHERE value_canonical IN ('p7', 'p8', 'q') ORDER BY 1").await;
        assert_eq!(held, ["p7", "q"]);

        file_of(plain_phone());
        let app3 = app.another(&written).await;
        assert_eq!(settle_values(&app3).await.unwrap(), Settled { claimed: 0, released: 121, clashes: 0 });
        assert_eq!(app.database.count("SELECT COUNT(*) FROM unique_values").await, 1, "the username stays");
    }

    async fn new_values_are_unique_before_old_ones_have_their_holders(db: TestDatabase) {
        let file = SchemaFile::of(plain_phone());
        let written = [("PROFILE__SCHEMA", file.text())];
        let written = written.each_ref().map(|(key, value)| (*key, value.as_str()));
        let app = TestApp::start_with(db, &written).await;
        for email in ["ann@example.org", "ben@example.org"] {
            let person = Person { profile: object(json!({ "phone": "1" })), ..Person::new(email) };
            app.register(&person).await;
        }
        file.write(&json!({ "type": "object", "additionalProperties": false, "properties": unique_phone() }));
        let app2 = Arc::clone(&app.another(&written).await);
        portcullis::flows::keys::read(&app2).await.unwrap();
        settle_values(&app2).await.unwrap();
        // Who lost the clash goes on, and may change all else; the value is free once its holder leaves it.
        let of = async |email: &str| {
            let tokens = crate::support::app::log_in(&app2, email, &Person::new(email).password).await.unwrap();
            portcullis::flows::authenticate::authenticate(&app2, &tokens.access_token).await.unwrap()
        };
        let (ann, ben) = (of("ann@example.org").await, of("ben@example.org").await);
        let patch = super::unique::try_patch;
        assert_eq!(patch(&app2, &ben, json!({ "bio": "x" })).await.unwrap().profile["phone"], "1");
        assert_eq!(patch(&app2, &ben, json!({ "phone": "2" })).await.unwrap().profile["phone"], "2");
        assert_eq!(patch(&app2, &ben, json!({ "phone": "1" })).await.unwrap_err(), ["/profile/phone"]);
        patch(&app2, &ann, json!({ "phone": null })).await.unwrap();
        patch(&app2, &ben, json!({ "phone": "1" })).await.unwrap();
        assert_eq!(app.database.count(HELD).await, 1);
        app.assert_invariants().await;
    }
}

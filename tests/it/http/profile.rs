//! The operator's own user model over the wire: fields, faults and their places, defaults, and what a token tells.

use portcullis::store::users;
use serde_json::{Map, Value, json};

use super::{PASSWORD, part};
use crate::support::clients::{Answer, Client};
use crate::support::database::TestDatabase;
use crate::support::rows::object;
use crate::support::schemas::SchemaFile;
use crate::support::serve::Served;

async fn with_schema(db: TestDatabase, schema: &SchemaFile) -> Served {
    Served::start_with(db, &[("PROFILE__SCHEMA", &schema.text())]).await
}

fn signup(email: &str, profile: &Value) -> Value {
    json!({ "email": email, "password": PASSWORD, "profile": profile })
}

/// Signs somebody up and verifies them, over the wire; what the verification answered.
async fn verified(served: &Served, email: &str, profile: Value) -> Answer {
    let answer = served.anyone().post("/v1/signup", signup(email, &profile)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    verify(served, email).await
}

async fn verify(served: &Served, email: &str) -> Answer {
    let token = served.app.tokens_mailed_to(email).await.pop().unwrap();
    let proof = json!({ "token": token, "password": PASSWORD });
    let answer = served.anyone().post("/v1/email/verify", proof).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

fn user(served: &Served, answer: &Answer) -> Client {
    served.bearer(&answer.text_of("access_token"))
}

/// Puts a profile in the place of the only user's, as an earlier schema may have allowed it.
async fn store(served: &Served, profile: &Value) {
    let stored = served.app.app.store.write(object(profile.clone()), |tx, profile| {
        Box::pin(async move {
            let user = users::find_by_email(tx, "ann@example.org").await?.unwrap();
            users::update_shown(tx, &user, user.username.as_deref(), profile, user.updated_at).await
        })
    });
    assert!(stored.await.unwrap());
}

async fn patch(who: &Client, profile: Value) -> Answer {
    who.patch("/v1/me", "*", json!({ "profile": profile })).await
}

on_every_backend! {
    async fn the_table_of_rfc_7396_holds_inside_a_profile(db: TestDatabase) {
        let schema = SchemaFile::of(json!({ "free": {}, "other": {} }));
        let served = with_schema(db, &schema).await;
        let ann = user(&served, &verified(&served, "ann@example.org", json!({})).await);
        for (target, change, expected) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!(["a","b"]), json!(["c","d"]), json!(["c","d"])),
            (json!({"a":"b"}), json!(["c"]), json!(["c"])),
            (json!({"a":"foo"}), json!(null), json!(null)),
            (json!({"a":"foo"}), json!("bar"), json!("bar")),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1,2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
            // Ours: nulls inside an array are values, and so is a null that a scalar gives way to.
            (json!("x"), json!([null, {"a": null}]), json!([null, {"a": null}])),
            (json!(0), json!({}), json!({})),
        ] {
            store(&served, &json!({ "free": target, "other": [target] })).await;
            let answer = patch(&ann, json!({ "free": change })).await;
            let mut whole = json!({ "free": expected, "other": [target] });
            if change.is_null() {
                whole.as_object_mut().unwrap().remove("free");
            }
            assert_eq!(answer.body["profile"], whole, "{target} and {change}");
            assert_eq!(ann.get("/v1/me").await.body, answer.body);
        }
    }

    async fn faults_point_into_the_body(db: TestDatabase) {
        let schema = SchemaFile::of(json!({
            "address": { "type": "object", "required": ["city"], "additionalProperties": false,
                "properties": { "city": { "type": "string", "minLength": 1 }, "zip/code": { "type": "string" } } },
            "tags": { "type": "array", "maxItems": 3, "items": { "type": "string", "maxLength": 3 } },
            "plan": { "enum": ["free", "paid"], "default": "free", "x-portcullis": { "write": "admin" } },
        }));
        let served = with_schema(db, &schema).await;
        let ann = user(&served, &verified(&served, "ann@example.org", json!({ "tags": ["a"] })).await);
        let before = ann.get("/v1/me").await.body;
        assert_eq!(before["profile"], json!({ "tags": ["a"], "plan": "free" }), "defaults are filled in at signup");
        for (profile, at_signup, at_patch) in [
            (json!({ "address": {} }), "/profile/address/city required", ""),
            (json!({ "address": { "city": "" } }), "/profile/address/city too_short", ""),
            (json!({ "address": { "city": "x", "no": 1 } }), "/profile/address/no unknown_member", ""),
            (json!({ "address": { "city": "x", "zip/code": 1 } }), "/profile/address/zip~1code wrong_type", ""),
            (json!({ "address": "x" }), "/profile/address wrong_type", ""),
            (json!({ "tags": ["ok", "long", 1] }), "/profile/tags/1 too_long,/profile/tags/2 wrong_type", ""),
            (json!({ "tags": ["a", "b", "c", "d"] }), "/profile/tags too_long", ""),
            (json!({ "no": { "deep": 1 } }), "/profile/no unknown_member", ""),
            (json!({ "plan": "free" }), "/profile/plan read_only", ""),
            (json!({ "plan": null }), "/profile/plan not_allowed,/profile/plan read_only", "/profile/plan read_only"),
            (json!({ "no": null }), "/profile/no unknown_member", ""),
            (json!({ "plan": "gold", "tags": 1 }),
                "/profile/plan not_allowed,/profile/plan read_only,/profile/tags wrong_type", ""),
        ] {
            let sorted = |answer: &Answer| {
                let mut faults = answer.faults();
                faults.sort();
                faults.join(",")
            };
            let answer = served.anyone().post("/v1/signup", signup("ben@example.org", &profile)).await;
            assert_eq!((answer.outcome(), sorted(&answer).as_str()), ((422, "validation_failed"), at_signup), "{profile}");
            let answer = patch(&ann, profile.clone()).await;
            let at_patch = if at_patch.is_empty() { at_signup } else { at_patch };
            assert_eq!((answer.outcome(), sorted(&answer).as_str()), ((422, "validation_failed"), at_patch), "{profile}");
        }
        for (body, place) in [
            (json!({ "profile": null }), "/profile wrong_type"),
            (json!({ "profile": { "address": { "city": "x" } }, "roles": ["admin"] }), "/roles unknown_member"),
        ] {
            assert_eq!(ann.patch("/v1/me", "*", body).await.faults(), [place]);
        }
        assert_eq!(ann.get("/v1/me").await.body, before);
    }

    async fn an_account_that_no_longer_fits_goes_on(db: TestDatabase) {
        let schema = SchemaFile::of(json!({
            "nick": { "type": "string", "maxLength": 5, "x-portcullis": { "claim": "nick" } },
            "bio": { "type": "string", "maxLength": 5 },
            "plan": { "enum": ["free"], "x-portcullis": { "write": "admin" } },
        }));
        let served = with_schema(db, &schema).await;
        let ann = user(&served, &verified(&served, "ann@example.org", json!({ "nick": "ann" })).await);
        let ann = ann.expecting_older_profiles();
        store(&served, &json!({ "nick": "too long", "bio": "too long", "plan": "gold", "gone": 1 })).await;

        let shown = json!({ "nick": "too long", "bio": "too long", "plan": "gold" });
        assert_eq!(ann.get("/v1/me").await.body["profile"], shown);
        let login = json!({ "identifier": "ann@example.org", "password": PASSWORD });
        let answer = served.anyone().post("/v1/login", login).await;
        assert_eq!(answer.status, 200);
        let claims = part(&answer.text_of("access_token"), 1);
        assert_eq!(claims.get("nick"), None, "what does not fit is not told to others");

        assert_eq!(ann.patch("/v1/me", "*", json!({ "username": "Ann" })).await.status, 200);
        assert_eq!(patch(&ann, json!({ "bio": "longer" })).await.faults(), ["/profile/bio too_long"]);
        assert_eq!(patch(&ann, json!({ "gone": null })).await.faults(), ["/profile/gone unknown_member"]);
        let answer = patch(&ann, json!({ "bio": "short" })).await;
        assert_eq!(answer.body["profile"], json!({ "nick": "too long", "bio": "short", "plan": "gold" }));
        let answer = patch(&ann, json!({ "nick": null })).await;
        assert_eq!(answer.body["profile"], json!({ "bio": "short", "plan": "gold" }));
    }

    async fn a_declared_field_goes_into_the_token_and_follows_its_value(db: TestDatabase) {
        let schema = SchemaFile::of(json!({
            "plan": { "enum": ["free", "paid"], "default": "free", "x-portcullis": { "write": "admin", "claim": "tier" } },
            "nick": { "type": "string", "maxLength": 9, "x-portcullis": { "claim": "https://example.org/nick", "unique": true } },
            "note": { "type": "string", "default": "vip", "x-portcullis": { "write": "admin", "read": "admin" } },
            "bio": { "type": "string" },
        }));
        let served = with_schema(db, &schema).await;
        let extra = |answer: &Answer| -> Map<String, Value> {
            let known = portcullis_verify::Claims::RESERVED;
            let claims = object(part(&answer.text_of("access_token"), 1));
            claims.into_iter().filter(|(name, _)| !known.contains(&name.as_str())).collect()
        };
        let mallory = json!({ "nick": "ann" });
        assert_eq!(served.anyone().post("/v1/signup", signup("mallory@example.org", &mallory)).await.status, 202);
        let answer = verified(&served, "ann@example.org", json!({ "nick": "ann", "bio": "x" })).await;
        assert_eq!(extra(&answer), object(json!({ "tier": "free", "https://example.org/nick": "ann" })));
        let ann = user(&served, &answer);
        assert_eq!(patch(&ann, json!({ "nick": null })).await.status, 200);
        let refreshed = json!({ "refresh_token": answer.text_of("refresh_token") });
        let answer = served.anyone().post("/v1/token/refresh", refreshed).await;
        assert_eq!(extra(&answer), object(json!({ "tier": "free" })), "absent, never null");
        assert_eq!(patch(&ann, json!({ "nick": "ann" })).await.status, 200);
        let login = json!({ "identifier": "ann@example.org", "password": PASSWORD });
        let answer = served.anyone().post("/v1/login", login).await;
        assert_eq!(extra(&answer), object(json!({ "tier": "free", "https://example.org/nick": "ann" })));
        // What was dropped is in no token either.
        let answer = verify(&served, "mallory@example.org").await;
        assert_eq!(answer.body["dropped"], json!(["/profile/nick"]));
        assert_eq!(extra(&answer), object(json!({ "tier": "free" })));
    }
}

on_every_backend! {
    async fn inp_12_an_operator_reserves_usernames_and_nobody_loses_theirs(db: TestDatabase) {
        let served = Served::start(db).await;
        let ann = crate::support::app::Person::new("ann@example.org").named("AcmeShop");
        let ann = served.user(&served.app.register(&ann).await);
        assert_eq!(ann.patch("/v1/me", "*", json!({ "username": "acme-desk" })).await.status, 200);
        let later = served.another_with(&[("ACCOUNTS__RESERVED_USERNAMES", "Acme-Desk,acmeshop")]).await;
        for name in ["acmeshop", "Acme.Shop", "acmesh0p", "ACME_DESK", "acrne-desk", "acme-desk"] {
            let body = json!({ "email": "ben@example.org", "password": PASSWORD, "username": name });
            let answer = later.anyone().post("/v1/signup", body).await;
            assert_eq!(answer.faults(), ["/username username_reserved"], "{name}");
        }
        let token = served.app.log_in(&crate::support::app::Person::new("ann@example.org")).await.unwrap();
        let ann = later.user(&token);
        let answer = ann.patch("/v1/me", "*", json!({ "username": "AcmeShop" })).await;
        assert_eq!(answer.faults(), ["/username username_reserved"]);
        // What somebody has stays theirs, and does not bar other changes.
        let answer = ann.patch("/v1/me", "*", json!({ "username": "acme-desk", "profile": { "bio": "x" } })).await;
        assert_eq!((answer.status, &answer.body["username"]), (200, &json!("acme-desk")));
    }
}

#[tokio::test]
async fn the_schema_of_an_installation_is_in_its_document() {
    let schema = SchemaFile::of(json!({
        "country": { "enum": ["DE", "FR"], "title": "Country", "x-portcullis": { "facet": true } },
    }));
    let served = with_schema(TestDatabase::sqlite().await, &schema).await;
    let document = served.anyone().get("/openapi.json").await.body;
    let own: Value =
        serde_json::from_str(&std::fs::read_to_string(schema.path()).unwrap()).unwrap();
    assert_eq!(document["components"]["schemas"]["Profile"], own);
    let user = &document["components"]["schemas"]["User"]["properties"]["profile"];
    assert!(user.to_string().contains("#/components/schemas/Profile"), "{user}");
    let signup = &document["components"]["schemas"]["SignupBody"]["properties"]["profile"];
    assert!(signup.to_string().contains("#/components/schemas/Profile"), "{signup}");
}

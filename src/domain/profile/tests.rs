//! The default schema field by field, what no schema may say, and who sees and writes what.

use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

fn default() -> ProfileSchema {
    ProfileSchema::default_schema().unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn schema(properties: Value) -> Result<ProfileSchema, Vec<SchemaError>> {
    let mut whole = json!({ "type": "object", "additionalProperties": false });
    whole["properties"] = properties;
    ProfileSchema::from_json(&whole.to_string())
}

fn codes(
    schema: &ProfileSchema,
    profile: impl std::borrow::Borrow<Value>,
) -> Vec<(String, FieldCode)> {
    let found = schema.validate(profile.borrow(), "/profile");
    found.into_iter().map(|fault| (fault.pointer, fault.code)).collect()
}

fn refused(text: &str) -> Vec<(String, String)> {
    let errors = ProfileSchema::from_json(text).err().unwrap_or_default();
    errors.into_iter().map(|error| (error.pointer, error.detail)).collect()
}

#[test]
fn the_default_schema_has_the_fields_of_the_contract() {
    let schema = default();
    let names: Vec<&str> = schema.rules().map(|(name, _)| name).collect();
    let expected = "avatar_url bio birth_date display_name family_name given_name locale phone \
                    preferences timezone";
    assert_eq!(names.join(" "), expected);
    for (name, rule) in schema.rules() {
        let search = name.ends_with("_name");
        let facet = name == "locale";
        assert_eq!(*rule, FieldRule { search, facet, ..FieldRule::default() }, "{name}");
        let field = &schema.as_json()["properties"][name];
        assert!(field["title"].is_string() && field["description"].is_string(), "{name}");
    }
}

#[test]
fn a_full_profile_fits_the_default_schema() {
    let full = json!({
        "display_name": "😀".repeat(100), "given_name": "Ann-Zoé O’Hara", "family_name": "",
        "phone": "+4930123456", "avatar_url": format!("https://example.org/{}", "a".repeat(480)),
        "bio": "one\ntwo\tthree", "birth_date": "2000-02-29", "locale": "de-CH-1901",
        "timezone": "Europe/Zurich", "preferences": { "theme": "dark", "a": { "b": { "c": {} } } },
    });
    assert_eq!(codes(&default(), full), []);
    assert_eq!(codes(&default(), json!({})), []);
}

#[test]
fn each_field_of_the_default_schema_has_its_limits() {
    use FieldCode::{InvalidFormat, TooLong, UnknownMember, WrongType};
    let cases = [
        ("display_name", json!("é".repeat(101)), TooLong),
        ("given_name", json!("x".repeat(101)), TooLong),
        ("family_name", json!("x".repeat(101)), TooLong),
        ("display_name", json!("Ann\nAdmin"), InvalidFormat),
        ("display_name", json!("\u{202e}nnA"), InvalidFormat),
        ("display_name", json!(7), WrongType),
        ("display_name", json!(null), WrongType),
        ("phone", json!("030 123456"), InvalidFormat),
        ("avatar_url", json!("http://example.org/a.png"), InvalidFormat),
        ("avatar_url", json!("javascript:alert(1)"), InvalidFormat),
        ("avatar_url", json!("https://ann@example.org/"), InvalidFormat),
        ("avatar_url", json!("https://example.org/a b"), InvalidFormat),
        ("avatar_url", json!("https:///a"), InvalidFormat),
        ("avatar_url", json!(format!("https://example.org/{}", "a".repeat(481))), TooLong),
        ("bio", json!("é".repeat(1001)), TooLong),
        ("birth_date", json!("2001-02-29"), InvalidFormat),
        ("birth_date", json!("31.12.1990"), InvalidFormat),
        ("birth_date", json!("1990-12-31T00:00:00Z"), InvalidFormat),
        ("locale", json!("en_GB"), InvalidFormat),
        ("timezone", json!("Mars/Olympus"), InvalidFormat),
        ("preferences", json!([]), WrongType),
        ("nickname", json!("x"), UnknownMember),
        ("__proto__", json!({}), UnknownMember),
        ("a/b~", json!(1), UnknownMember),
    ];
    for (name, value, code) in cases {
        let found = default().validate(&json!({ name: value.clone() }), "/profile");
        assert!(!found.is_empty(), "{name} {value}");
        for fault in found {
            assert_eq!(
                (fault.pointer, fault.code),
                (json::join("/profile", name), code),
                "{value}"
            );
        }
    }
    assert_eq!(codes(&default(), json!(null)), [("/profile".to_owned(), WrongType)]);
    assert_eq!(codes(&default(), json!([])), [("/profile".to_owned(), WrongType)]);
}

#[test]
fn inp_15_preferences_are_bounded_in_bytes_depth_and_members() {
    let of = |preferences: Value| codes(&default(), json!({ "preferences": preferences }));
    let too_long = [("/profile/preferences".to_owned(), FieldCode::TooLong)];
    let text = |bytes: usize| json!({ "a": "x".repeat(bytes - r#"{"a":""}"#.len()) });
    assert_eq!(of(text(8192)), []);
    assert_eq!(of(text(8193)), too_long);
    assert_eq!(of(json!({ "a": [{ "b": [] }] })), []);
    assert_eq!(of(json!({ "a": [{ "b": [[]] }] })), too_long);
    let many = |count: usize| (0..count).map(|n| (n.to_string(), json!(0))).collect::<Map<_, _>>();
    assert_eq!(of(json!({ "a": many(49), "b": [many(49)] })), []);
    assert_eq!(of(json!({ "a": many(49), "b": [many(50)] })), too_long);
    let deep = (0..100).fold(json!({}), |inner, _| json!({ "a": inner }));
    assert_eq!(of(deep), too_long);
    let found = of(Value::Object(many(10_000)));
    assert_eq!(found, [too_long.clone(), too_long].concat(), "bytes and members");
}

#[test]
fn all_faults_come_at_once_with_pointers_and_without_values() {
    let schema = schema(json!({
        "country": { "enum": ["DE", "FR"] },
        "age": { "type": "integer", "minimum": 18, "maximum": 150 },
        "code": { "type": "string", "minLength": 3, "pattern": "^[a-z]+$" },
        "tags": { "type": "array", "items": { "type": "string" }, "maxItems": 2, "uniqueItems": true },
        "address": { "type": "object", "required": ["city"], "additionalProperties": false,
                     "properties": { "city": { "type": "string" } } },
        "names": { "type": "object", "propertyNames": { "maxLength": 3 } },
        "either": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
    }))
    .unwrap();
    let found = schema.validate(
        &json!({
            "country": "secret1", "age": 7_654_321, "code": "S3", "tags": [1, "secret2", "secret2"],
            "address": { "secretzip": "secret3" }, "names": { "secret4": 1 }, "either": 1_234_567,
        }),
        "/profile",
    );
    let shown: Vec<String> =
        found.iter().map(|f| format!("{} {}", f.pointer, f.code.as_str())).collect();
    assert_eq!(
        shown,
        [
            "/profile/address/city required",
            "/profile/address/secretzip unknown_member",
            "/profile/age out_of_range",
            "/profile/code too_short",
            "/profile/code invalid_format",
            "/profile/country not_allowed",
            "/profile/either not_allowed",
            "/profile/names not_allowed",
            "/profile/tags too_long",
            "/profile/tags not_allowed",
            "/profile/tags/0 wrong_type",
        ]
    );
    for fault in &found {
        let detail = &fault.detail;
        let quotes = ["secret", "S3", "7654321", "1234567"].iter().any(|v| detail.contains(v));
        assert!(!quotes && detail.ends_with('.'), "{detail}");
        assert!(detail.starts_with(char::is_uppercase) || detail.starts_with('"'), "{detail}");
    }
}

#[test]
fn faults_are_no_more_than_a_reader_takes_in() {
    let many: Map<_, _> = (0..5000).map(|n| (format!("x{n}"), json!(0))).collect();
    assert_eq!(default().validate(&Value::Object(many), "/profile").len(), 100);
}

#[test]
fn inp_19_patterns_match_in_linear_time() {
    let compiled = |pattern: &str| schema(json!({ "a": { "type": "string", "pattern": pattern } }));
    let schema = compiled("(a+)+$").unwrap();
    let text = "a".repeat(60_000) + "!";
    let started = Instant::now();
    let found = codes(&schema, json!({ "a": text }));
    assert!(started.elapsed() < Duration::from_millis(20), "{:?}", started.elapsed());
    assert_eq!(found, [("/profile/a".to_owned(), FieldCode::InvalidFormat)]);
    for pattern in ["(a)\\1", "(?=a)b", "(?<!a)b", "(", "((a{1000}){1000}){1000}"] {
        let errors = compiled(pattern).unwrap_err();
        assert_eq!(errors[0].pointer, "/properties/a/pattern", "{pattern}: {errors:?}");
    }
}

#[test]
fn inp_19_references_stay_in_the_file() {
    for uri in ["https://canary.example/x", "other.json", "file:///etc/passwd", "/x", "//x", ""] {
        let errors =
            schema(json!({ "a": { "items": [{ "$ref": uri }] }, "b": { "$dynamicRef": uri } }));
        let pointers: Vec<String> = errors.unwrap_err().into_iter().map(|e| e.pointer).collect();
        assert!(pointers.contains(&"/properties/a/items/0/$ref".to_owned()), "{uri} {pointers:?}");
        assert!(pointers.contains(&"/properties/b/$dynamicRef".to_owned()), "{uri} {pointers:?}");
    }
    assert!(schema(json!({ "a": { "$id": "https://canary.example/x" } })).is_err());
    assert!(schema(json!({ "a": { "$ref": "#/$defs/missing" } })).is_err());
    let tree = schema(json!({ "a": { "type": "object", "properties": {
        "up": { "$ref": "#/properties/a" }, "$ref": { "const": { "$ref": "https://data.example" } } } } }));
    let tree = tree.unwrap();
    assert_eq!(codes(&tree, json!({ "a": { "up": { "up": { "up": {} } } } })), []);
    let found = codes(&tree, json!({ "a": { "up": { "up": 1 } } }));
    assert_eq!(found, [("/profile/a/up/up".to_owned(), FieldCode::WrongType)]);
}

#[test]
fn inp_19_a_reference_to_itself_ends() {
    for loops in [
        json!({ "a": { "$ref": "#/properties/a" } }),
        json!({ "a": { "$ref": "#/properties/b" }, "b": { "allOf": [{ "$ref": "#/properties/a" }] } }),
    ] {
        if let Ok(schema) = schema(loops) {
            drop(schema.validate(&json!({ "a": 1, "b": 2 }), "/profile"));
        }
    }
}

#[test]
fn a_schema_must_be_closed_and_ours() {
    let pointers = |text: &str| refused(text).into_iter().map(|(at, _)| at).collect::<Vec<_>>();
    assert_eq!(pointers("{}"), ["/additionalProperties", "/type"]);
    assert_eq!(pointers("[]"), ["", "/additionalProperties", "/type"]);
    assert_eq!(pointers("{"), [""]);
    assert_eq!(pointers(r#"{"type":"object","type":"object"}"#), [""]);
    assert_eq!(pointers(&" ".repeat(64 * 1024 + 1)), [""]);
    assert_eq!(pointers(&"[".repeat(60_000)), [""]);
    let closed = r#""type":"object","additionalProperties":false"#;
    assert_eq!(pointers(&format!("{{{closed}}}")), [] as [&str; 0]);
    let old = r#""$schema":"http://json-schema.org/draft-07/schema#""#;
    assert_eq!(pointers(&format!("{{{closed},{old}}}")), ["/$schema"]);
    assert_eq!(
        pointers(&format!(r#"{{{closed},"patternProperties":{{}}}}"#)),
        ["/patternProperties"]
    );
    assert_eq!(
        pointers(&format!(r#"{{{closed},"properties":{{"a/b":{{"type":"text"}}}}}}"#)),
        ["/properties/a~1b/type"]
    );
}

#[test]
fn all_faults_of_a_schema_come_at_once() {
    let errors = schema(json!({
        "a": { "x-portcullis": { "write": "me", "unique": 1, "claim": "", "color": "red" } },
        "b": { "x-portcullis": [] },
        "c": { "properties": { "d": { "x-portcullis": {} } } },
        "e": { "maxLength": "long", "x-maxBytes": -1, "x-maxDepth": "4", "x-maxMembers": 1.5 },
    }))
    .unwrap_err();
    let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/properties/a/x-portcullis/claim",
            "/properties/a/x-portcullis/color",
            "/properties/a/x-portcullis/unique",
            "/properties/a/x-portcullis/write",
            "/properties/b/x-portcullis",
            "/properties/c/properties/d/x-portcullis",
            "/properties/e/maxLength",
            "/properties/e/x-maxBytes",
            "/properties/e/x-maxDepth",
            "/properties/e/x-maxMembers",
        ]
    );
    assert_eq!(
        errors[0].to_string(),
        "#/properties/a/x-portcullis/claim: must be the name of a claim"
    );
    assert!(schema(json!({ "a": { "format": "fancy" } })).is_err(), "a format that nobody checks");
    let unfit = schema(json!({ "a": { "type": "string", "default": 1 } })).unwrap_err();
    assert_eq!(unfit[0].pointer, "/properties/a/default");
}

fn shop() -> ProfileSchema {
    schema(json!({
        "nick": { "type": "string", "maxLength": 9, "x-portcullis": { "unique": true, "claim": "nick" } },
        "plan": { "enum": ["free", "paid"], "default": "free", "x-portcullis": { "write": "admin" } },
        "note": { "type": "string", "x-portcullis": { "write": "admin", "read": "admin" } },
    }))
    .unwrap()
}

#[test]
fn auz_02_fields_of_administrators_never_bind_for_users() {
    let shop = shop();
    let patch = json!({ "nick": "ann", "plan": null, "note": "x", "roles": null, "__proto__": 1 });
    let found = shop.check_writable(&patch, Writer::User, "/profile");
    let shown: Vec<String> =
        found.iter().map(|f| format!("{} {}", f.pointer, f.code.as_str())).collect();
    let unknown = ["/profile/__proto__ unknown_member", "/profile/roles unknown_member"];
    assert_eq!(
        shown,
        [unknown[0], "/profile/note read_only", "/profile/plan read_only", unknown[1],]
    );
    assert_eq!(shop.check_writable(&patch, Writer::Admin, "/profile").len(), 2);
    let refused = shop.compose(&json!({ "plan": "paid" }), Writer::User, "/profile").unwrap_err();
    assert_eq!(refused[0].code, FieldCode::ReadOnly);
    let refused =
        shop.patched(&json!({}), &json!({ "x": 1 }), Writer::User, "/profile").unwrap_err();
    assert_eq!(refused.len(), 1, "a fault found twice is told once: {refused:?}");
}

#[test]
fn a_new_profile_has_the_defaults() {
    let shop = shop();
    let made = shop.compose(&json!({ "nick": "ann" }), Writer::User, "/profile");
    assert_eq!(made, Ok(json!({ "nick": "ann", "plan": "free" })));
    let made = shop.compose(&json!({ "plan": "paid" }), Writer::Admin, "/profile");
    assert_eq!(made, Ok(json!({ "plan": "paid" })));
    let found = shop.compose(&json!({ "nick": null }), Writer::User, "/profile").unwrap_err();
    assert_eq!(found[0].code, FieldCode::WrongType);
}

#[test]
fn a_patch_counts_by_its_result() {
    let shop = shop();
    let stored = json!({ "nick": "ann", "plan": "paid", "note": "vip" });
    let patched = |patch: Value| shop.patched(&stored, &patch, Writer::User, "/profile");
    assert_eq!(patched(json!({ "nick": null })), Ok(json!({ "plan": "paid", "note": "vip" })));
    assert_eq!(patched(json!({})), Ok(stored.clone()));
    assert_eq!(patched(json!({ "nick": 1 })).unwrap_err()[0].pointer, "/profile/nick");
    for patch in [json!(null), json!([]), json!("x")] {
        let found = patched(patch).unwrap_err();
        assert_eq!((found[0].pointer.as_str(), found[0].code), ("/profile", FieldCode::WrongType));
    }
}

/// A schema that became stricter than the profiles that are stored.
fn stricter() -> ProfileSchema {
    let whole = json!({
        "type": "object", "additionalProperties": false, "required": ["nick"],
        "properties": {
            "nick": { "type": "string", "maxLength": 3 },
            "bio": { "type": "string", "maxLength": 3 },
            "address": { "type": "object", "required": ["city"],
                         "properties": { "zip": { "maxLength": 3 } } },
            "country": { "enum": ["DE", "FR"] },
        },
        "dependentRequired": { "country": ["address"] },
    });
    ProfileSchema::from_json(&whole.to_string()).unwrap()
}

#[test]
fn a_patch_answers_for_what_it_names_and_for_what_it_breaks() {
    let stored = json!({ "bio": "long", "address": { "zip": "12345" }, "gone": 1 });
    let patched = |patch: Value| {
        let result = stricter().patched(&stored, &patch, Writer::User, "/profile");
        let shown = |f: &FieldFault| format!("{} {}", f.pointer, f.code.as_str());
        result.map_err(|found| found.iter().map(shown).collect::<Vec<_>>())
    };
    // `nick` is missing, `bio` too long, `address` without a city, `gone` declared no more: none of it by these.
    let fine = json!({ "bio": "long", "address": { "zip": "12345" }, "gone": 1, "country": "DE" });
    assert_eq!(patched(json!({ "country": "DE" })), Ok(fine));
    assert_eq!(patched(json!({})), Ok(stored.clone()));
    assert!(patched(json!({ "bio": "abc" })).is_ok(), "one fault mended, the others stay");
    assert!(patched(json!({ "bio": null, "nick": "ann" })).is_ok());
    // What it names counts whole.
    assert_eq!(patched(json!({ "bio": "longer" })), Err(vec!["/profile/bio too_long".to_owned()]));
    assert_eq!(patched(json!({ "bio": "long" })), Err(vec!["/profile/bio too_long".to_owned()]));
    assert_eq!(patched(json!({ "nick": null })), Err(vec!["/profile/nick required".to_owned()]));
    let half = patched(json!({ "address": { "zip": "1" } }));
    assert_eq!(half, Err(vec!["/profile/address/city required".to_owned()]));
    assert!(patched(json!({ "address": { "zip": "1", "city": "x" } })).is_ok());
    // What it breaks elsewhere counts too.
    let broken = patched(json!({ "address": null, "country": "FR" }));
    assert_eq!(broken, Err(vec!["/profile/address required".to_owned()]));
    // AUZ-02: not even the removal of what nobody declares.
    assert_eq!(
        patched(json!({ "gone": null })),
        Err(vec!["/profile/gone unknown_member".to_owned()])
    );
}

#[test]
fn an_operator_clears_away_what_an_earlier_schema_declared() {
    let (stored, whole) = (json!({ "nick": "ann", "gone": 1 }), json!({ "nick": "ann" }));
    let by = |by, patch: Value| stricter().patched(&stored, &patch, by, "/profile");
    assert_eq!(by(Writer::Admin, json!({ "gone": null })), Ok(whole));
    for patch in [json!({ "gone": 2 }), json!({ "never": null })] {
        let found = by(Writer::Admin, patch).unwrap_err();
        assert_eq!((found.len(), found[0].code), (1, FieldCode::UnknownMember));
    }
    assert!(by(Writer::User, json!({ "gone": null })).is_err());
}

#[test]
fn users_see_what_they_may() {
    let stored = json!({ "nick": "ann", "plan": "paid", "note": "vip", "dropped": 1 });
    assert_eq!(shop().visible(&stored, Reader::User), json!({ "nick": "ann", "plan": "paid" }));
    assert_eq!(shop().visible(&stored, Reader::Admin), stored);
    assert_eq!(shop().visible(&json!(null), Reader::Admin), json!({}));
    let rule = FieldRule { unique: true, claim: Some("nick".to_owned()), ..FieldRule::default() };
    assert_eq!(shop().rule("nick"), Some(&rule));
}

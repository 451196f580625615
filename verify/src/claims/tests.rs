//! Reading and writing of claims; the table of wrong types is in `verify/tests.rs`.

use serde_json::json;

use super::*;
use crate::testing;

fn read(value: &Value) -> Result<Claims, InvalidClaim> {
    Claims::from_json(value.to_string().as_bytes())
}

#[test]
fn claims_are_written_as_they_are_read() {
    let written = testing::claims();
    assert_eq!(serde_json::to_value(read(&written).unwrap()).unwrap(), written);
}

#[test]
fn what_a_service_account_lacks_is_left_out_and_never_null() {
    let mut written = testing::claims();
    for name in ["sid", "roles", "auth_time", "amr", "email", "email_verified", "locale"] {
        written.as_object_mut().unwrap().remove(name);
    }
    let claims = read(&written).unwrap();
    assert_eq!((claims.sid.as_ref(), claims.roles.as_ref()), (None, None));
    assert_eq!(serde_json::to_value(&claims).unwrap(), written);
    assert!(!claims.has_role("admin"));
}

#[test]
fn jwt_07_an_optional_claim_of_the_wrong_type_is_invalid_and_not_absent() {
    for name in ["sid", "roles", "auth_time", "amr", "email", "email_verified"] {
        for wrong in [json!(null), json!({}), json!(-1), json!([1]), json!("")] {
            let claims = testing::claims_with(name, wrong);
            assert_eq!(read(&claims), Err(InvalidClaim(name)));
        }
    }
    assert_eq!(read(&testing::claims_with("roles", json!("admin"))), Err(InvalidClaim("roles")));
    assert_eq!(
        read(&testing::claims_with("email_verified", json!("true"))),
        Err(InvalidClaim("email_verified"))
    );
    assert!(read(&testing::claims_with("roles", json!([]))).is_ok());
}

#[test]
fn jwt_17_a_profile_claim_cannot_write_a_second_sub() {
    let mut claims = read(&testing::claims()).unwrap();
    for name in Claims::RESERVED {
        claims.extra.insert(name.into(), json!("mallory"));
    }
    let text = serde_json::to_string(&claims).unwrap();
    assert!(!text.contains("mallory"));
    assert_eq!(read(&testing::claims()), Claims::from_json(text.as_bytes()));
}

#[test]
fn roles_and_scopes_match_whole_words() {
    let mut claims = read(&testing::claims()).unwrap();
    claims.scope = "account orders:read".into();
    assert!(claims.has_role("clerk") && !claims.has_role("cler") && !claims.has_role("Clerk"));
    assert!(
        claims.has_scope("orders:read") && !claims.has_scope("orders") && !claims.has_scope("")
    );
}

#[test]
fn debug_shows_no_personal_data() {
    let text = format!("{:?}", read(&testing::claims()).unwrap());
    assert!(text.contains("t-1"));
    assert!(!text.contains("ann@example.org") && !text.contains("locale"));
}

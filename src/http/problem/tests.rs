//! Problems on the wire.

use std::collections::HashSet;

use actix_web::body::MessageBody;

use super::*;

fn body(problem: &Problem) -> String {
    let answer = problem.answer("https://id.example.org", "r-1", 2);
    String::from_utf8(answer.into_body().try_into_bytes().unwrap().to_vec()).unwrap()
}

fn header(problem: &Problem, name: &str) -> Option<String> {
    let answer = problem.answer("https://id.example.org", "r-1", 2);
    answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
}

#[test]
fn a_problem_has_the_members_of_the_contract_in_order() {
    let problem = Problem::new(Kind::EmailNotVerified).with_next(Next::VerifyEmail);
    assert_eq!(
        body(&problem),
        r#"{"type":"https://id.example.org/problems/email_not_verified","title":"The e-mail address is not verified","status":403,"code":"email_not_verified","detail":"Verify the e-mail address first.","request_id":"r-1","next":["verify_email"]}"#
    );
    assert_eq!(header(&problem, "content-type").unwrap(), MEDIA_TYPE);
}

#[test]
fn faults_are_sorted_and_a_query_fault_has_a_parameter() {
    let problem = Problem::validation(vec![
        FieldFault::new("/b", FieldCode::TooLong, "x"),
        FieldFault::new("/a", FieldCode::Required, "y"),
    ])
    .with_parameter_faults(vec![FieldFault::new("limit", FieldCode::OutOfRange, "z")]);
    assert!(body(&problem).contains(
        r#""errors":[{"pointer":"/a","code":"required","detail":"y"},{"pointer":"/b","code":"too_long","detail":"x"},{"parameter":"limit","code":"out_of_range","detail":"z"}]"#
    ));
}

#[test]
fn jwt_19_only_a_bad_access_token_has_an_error_in_its_challenge() {
    for kind in Kind::ALL {
        let challenge = header(&Problem::new(*kind), "www-authenticate");
        let wanted = match (kind.row().status, *kind) {
            (401, Kind::AccessTokenInvalid) => {
                Some(r#"Bearer realm="portcullis", error="invalid_token""#.to_owned())
            }
            (401, _) => Some(r#"Bearer realm="portcullis""#.to_owned()),
            _ => None,
        };
        assert_eq!(challenge, wanted, "{}", kind.code());
    }
}

#[test]
fn a_fault_tells_nothing_but_when_to_come_back() {
    let secret = "SELECT * FROM users";
    for (fault, status, pause) in [
        (Fault::internal(secret), 500, None),
        (Fault::unavailable(secret), 503, Some("2")),
        (Fault::overloaded(secret), 503, Some("2")),
    ] {
        let problem = Problem::from(fault);
        assert_eq!(problem.kind().row().status, status);
        assert!(!body(&problem).contains("SELECT"));
        assert_eq!(header(&problem, "retry-after").as_deref(), pause);
        assert_eq!(problem.fault().unwrap().chain(), secret);
    }
    assert_eq!(header(&Problem::retry(Kind::Overloaded, 60), "retry-after").unwrap(), "3");
    assert_eq!(header(&Problem::retry(Kind::TooManyAttempts, 60), "retry-after").unwrap(), "60");
}

#[test]
fn codes_are_unique_and_the_table_is_sorted_by_status() {
    let codes: HashSet<_> = Kind::ALL.iter().map(|kind| kind.code()).collect();
    assert_eq!(codes.len(), Kind::ALL.len());
    assert!(Kind::ALL.is_sorted_by_key(|kind| kind.row().status));
    for kind in Kind::ALL {
        assert_eq!(Kind::by_code(kind.code()), Some(*kind));
        assert_eq!(Problem::new(*kind).status_code().as_u16(), kind.row().status);
    }
}

#[test]
fn every_code_of_the_contract_is_in_the_table() {
    let contract = "malformed_request cursor_invalid authentication_required access_token_invalid \
        invalid_credentials refresh_token_invalid refresh_token_reused email_not_verified \
        reauthentication_required permission_denied signup_closed https_required not_found \
        method_not_allowed request_timeout username_taken email_taken value_taken last_admin \
        state_conflict idempotency_in_progress version_conflict body_too_large \
        media_type_unsupported host_unknown validation_failed token_invalid \
        idempotency_key_reused if_match_required too_many_attempts headers_too_large internal \
        overloaded unavailable";
    for code in contract.split_whitespace() {
        assert!(Kind::by_code(code).is_some(), "{code}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a switch of the test run, not of the service")]
fn errors_md_is_generated_from_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ERRORS.md");
    if std::env::var("UPDATE").is_ok() {
        std::fs::write(path, pages::markdown()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), pages::markdown(), "UPDATE=1 rewrites it");
}

#[test]
fn a_page_says_what_to_do_and_escapes_its_text() {
    let page = pages::html(Kind::AuthenticationRequired);
    assert!(page.contains("<code>Authorization: Bearer</code>"));
    assert!(page.contains("<code>authentication_required</code>, status 401"));
    for kind in Kind::ALL {
        assert_eq!(pages::html(*kind).matches("<code>").count(), {
            1 + kind.row().doc.matches('`').count() / 2
        });
    }
}

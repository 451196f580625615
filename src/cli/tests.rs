//! The parts of the command line that need no process: texts, names, checks, exit codes.

use clap::CommandFactory;

use super::failure::{Exit, Failure};
use super::users::create::{Given, Rules};
use super::{Arguments, ask, keys, operator, output, users};
use crate::Fault;
use crate::app::front::BindError;
use crate::app::open::OpenError;
use crate::config::{self, LoadOptions};
use crate::domain::fields::{FieldCode, FieldFault};
use crate::domain::keys::SigningAlgorithm;
use crate::domain::password::PasswordPolicy;
use crate::domain::profile::ProfileSchema;
use crate::domain::username::Reserved;
use crate::flows::create_user::{CreateError, NewAccount};
use crate::flows::keys::KeysError;
use crate::flows::unique::Taken;

const GOOD: &[u8] = b"violet-otter-picnic-9";

#[test]
fn the_arguments_fit_together() {
    Arguments::command().debug_assert();
}

#[test]
fn cfg_11_each_cause_has_its_exit_code() {
    let io = |kind| std::io::Error::from(kind);
    let bind = BindError {
        key: "http.listen",
        address: ([127, 0, 0, 1], 80).into(),
        source: io(std::io::ErrorKind::AddrInUse),
    };
    let report = config::load(&LoadOptions::only([("PORTCULLIS__X", "1")])).unwrap_err();
    let field = FieldFault::new("/email", FieldCode::Taken, "It is taken.");
    let failures: [(Failure, Exit, u8); 14] = [
        (Fault::internal("x").into(), Exit::Failed, 1),
        (Failure::new(Exit::Usage, "x"), Exit::Usage, 2),
        (KeysError::NotFound.into(), Exit::NotFound, 3),
        (KeysError::Conflict("x").into(), Exit::Conflict, 4),
        (CreateError::EmailTaken.into(), Exit::Conflict, 4),
        (CreateError::Taken(Taken::new(["/username"])).into(), Exit::Conflict, 4),
        (CreateError::Taken(Taken::new(["/profile/x"])).into(), Exit::Conflict, 4),
        (vec![field].into(), Exit::Data, 65),
        (Fault::unavailable("x").into(), Exit::Unavailable, 69),
        (OpenError::Fault(Fault::overloaded("x")).into(), Exit::Unavailable, 69),
        (OpenError::OtherMasterKey(Fault::internal("x")).into(), Exit::Config, 78),
        (OpenError::Pending(2).into(), Exit::Config, 78),
        (bind.into(), Exit::Config, 78),
        (report.into(), Exit::Config, 78),
    ];
    for (failure, code, number) in failures {
        assert_eq!((failure.code, failure.code as u8), (code, number), "{failure:?}");
        assert_eq!(failure.lines.len(), 1, "{failure:?}");
    }
    assert_eq!(Failure::of_stdout(&io(std::io::ErrorKind::StorageFull)).code, Exit::Failed);
    let gone = Failure::of_stdout(&io(std::io::ErrorKind::BrokenPipe));
    assert_eq!(gone, Failure { code: Exit::Done, lines: Vec::new() });
}

#[test]
fn pwd_06_only_the_end_of_the_line_is_cut() {
    let cases: [(&[u8], &[u8]); 9] = [
        (b"", b""),
        (b"\n", b""),
        (b" a b \n", b" a b "),
        (b"a\r\n", b"a"),
        (b"a\r\r\n", b"a\r"),
        (b"a\r", b"a\r"),
        (b"a", b"a"),
        (b"a\nb\n", b"a"),
        (b"\xff\x00\n", b"\xff\x00"),
    ];
    for (input, expected) in cases {
        assert_eq!(ask::line(&mut &*input).unwrap().as_slice(), expected, "{input:?}");
    }
    let endless = vec![b'a'; 1 << 20];
    assert_eq!(ask::line(&mut &*endless).unwrap().len(), 4096 * 4 + 2);
}

#[test]
fn a_user_of_the_system_has_a_name_or_a_number() {
    let passwd =
        "root:x:0:0:root:/root:/bin/sh\n\n# 7\n:x:8:8::/:/bin/sh\nann:x:1000:1000::/home/ann:\n";
    let cases = [(0, "root"), (1000, "ann"), (7, "7"), (8, "8"), (100, "100")];
    for (uid, name) in cases {
        assert_eq!(operator::name(passwd, uid), name);
    }
}

#[test]
fn a_table_has_its_names_and_no_text_breaks_out_of_its_cell() {
    let evil = "a\u{1b}[2J\nb\u{202e}\u{9b}é".to_owned();
    let shown = output::table(["NAME", "X"], &[[evil, "1".into()], ["b".into(), "2".into()]]);
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["NAME", "X"]);
    assert_eq!(lines[1], "a\\u{1b}[2J\\nb\\u{202e}\\u{9b}é  1");
    assert_eq!((lines.len(), shown.ends_with("2\n")), (3, true));
    assert_eq!(output::table(["A", "B"], &[]), "A  B\n");
    assert_eq!(output::pairs(&[("id", "1".into()), ("name", "\t".into())]), "id    1\nname  \\t\n");
}

#[test]
fn ndjson_is_one_object_a_line_and_nothing_in_it_moves_a_cursor() {
    let lines = output::json_lines(&["a\n\u{1b}", "\u{202e}\u{9b}é"]).unwrap();
    assert_eq!(lines, "\"a\\n\\u001b\"\n\"\\u202e\\u009bé\"\n");
    let back: String = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
    assert_eq!(back, "\u{202e}\u{9b}é");
    assert_eq!(output::json_lines::<u8>(&[]).unwrap(), "");
}

#[test]
fn an_id_has_its_hyphens() {
    assert!(users::id("0192f0c1-2345-7abc-8def-0123456789ab").is_some());
    for text in ["0192f0c123457abc8def0123456789ab", "{0192f0c123457abc8def012345678}", "ann", ""] {
        assert_eq!(users::id(text), None, "{text}");
    }
}

#[test]
fn a_key_signs_with_the_configured_algorithm_or_not_at_all() {
    use SigningAlgorithm::{EdDsa, Es256};
    assert_eq!(keys::fits(Es256, Es256), Ok(()));
    let reason = "is a key for EdDSA, and token.algorithm is ES256";
    assert_eq!(keys::fits(EdDsa, Es256), Err(reason.to_owned()));
}

fn check(given: &Given<'_>) -> Result<NewAccount, Vec<(String, FieldCode)>> {
    let passwords = PasswordPolicy {
        min_length: 12,
        max_length: 256,
        strength_min: 6,
        product: "portcullis".into(),
        host: "id.example.org".into(),
    };
    let schema = ProfileSchema::default_schema().unwrap();
    let rules = Rules { reserved: &Reserved::default(), schema: &schema };
    let own = given.own_words();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let password = given
        .password_text()
        .and_then(|text| passwords.for_setting(text, &own).map_err(|error| error.at("/password")));
    let all = given.check(&rules, password);
    all.map_err(|faults| faults.into_iter().map(|fault| (fault.pointer, fault.code)).collect())
}

fn faults(given: &Given<'_>) -> Vec<(String, FieldCode)> {
    check(given).err().unwrap_or_default()
}

fn given<'a>(password: &'a [u8], profile: Option<&'a str>) -> Given<'a> {
    Given { email: "ann@example.org", username: Some("ann"), password, profile }
}

#[test]
fn every_fault_of_an_account_is_told_at_once() {
    let profile = Some(r#"{"phone": 1, "no": 2}"#);
    let wrong = Given { email: "ann", username: Some("admin"), password: b"short", profile };
    let expected = [
        ("/email", FieldCode::InvalidFormat),
        ("/username", FieldCode::UsernameReserved),
        ("/password", FieldCode::PasswordTooShort),
        ("/profile/no", FieldCode::UnknownMember),
        ("/profile/phone", FieldCode::WrongType),
    ];
    let mut found = faults(&wrong);
    found.dedup();
    assert_eq!(found, expected.map(|(pointer, code)| (pointer.to_owned(), code)));
}

#[test]
fn pwd_08_a_password_is_taken_byte_for_byte() {
    for text in ["viole\u{301}t-otter-picnic", "viol\u{e9}t-otter-picnic", "  violet otter pic  "] {
        let account = check(&given(text.as_bytes(), None)).ok().unwrap();
        assert_eq!(account.password.unwrap().expose(), text);
        assert!(!account.is_verified && !account.is_admin);
    }
}

#[test]
fn pwd_09_a_password_is_not_of_ones_own_words_nor_what_http_could_not_send() {
    let own = FieldCode::PasswordTooCommon;
    let cases: [(&[u8], FieldCode); 6] = [
        (b"Ann@Example.Org", own),
        (b"passwordpassword", own),
        (b"aaaaaaaaaaaaaaaa", own),
        (b"", FieldCode::PasswordTooShort),
        (b"violet-otter-\0-picnic", FieldCode::InvalidFormat),
        (b"violet-otter-\xff-picnic", FieldCode::InvalidFormat),
    ];
    for (password, code) in cases {
        assert_eq!(faults(&given(password, None)), [("/password".to_owned(), code)]);
    }
    let long = vec![b'a'; 4096 * 4 + 2];
    assert_eq!(faults(&given(&long, None)), [("/password".to_owned(), FieldCode::PasswordTooLong)]);
}

#[test]
fn inp_05_a_profile_is_one_strict_json_object() {
    let deep = |levels: usize| {
        let (open, close) = ("{\"a\":".repeat(levels), "}".repeat(levels));
        format!("{open}1{close}")
    };
    let cases = [
        ("{", "/profile", FieldCode::InvalidFormat),
        ("", "/profile", FieldCode::InvalidFormat),
        (r#"{"bio":"a","bio":"b"}"#, "/profile", FieldCode::InvalidFormat),
        ("[]", "/profile", FieldCode::WrongType),
        ("null", "/profile", FieldCode::WrongType),
        (r#"{"bio":"a\u0000"}"#, "/profile/bio", FieldCode::InvalidFormat),
        (r#"{"bio":1e999}"#, "/profile/bio", FieldCode::OutOfRange),
        (&deep(15), "/profile/a", FieldCode::UnknownMember),
        (&deep(16), "/profile", FieldCode::InvalidFormat),
    ];
    for (text, pointer, code) in cases {
        let found = faults(&given(GOOD, Some(text)));
        assert!(found.contains(&(pointer.to_owned(), code)), "{text}: {found:?}");
    }
    let account = check(&given(GOOD, Some(r#"{"bio":"b"}"#))).ok().unwrap();
    assert_eq!(serde_json::to_string(&account.profile).unwrap(), r#"{"bio":"b"}"#);
}

//! Which passwords are taken to try, which to set, and what it costs to find out.

use std::time::{Duration, Instant};

use super::*;

const OWN: [&str; 3] = ["Annabel.Lee@example.org", "annabel.lee@example.org", "annabel99"];

fn policy() -> PasswordPolicy {
    PasswordPolicy {
        min_length: 12,
        max_length: 256,
        strength_min: 6,
        product: "portcullis".to_owned(),
        host: "accounts.example.org".to_owned(),
    }
}

fn set(text: &str) -> Result<(), FieldCode> {
    match policy().for_setting(text, &OWN) {
        Ok(password) => {
            assert_eq!(password.expose(), text, "nothing is changed");
            Ok(())
        }
        Err(error) => {
            assert!(text.is_empty() || !error.to_string().contains(text), "{error}");
            Err(error.at("/password").code)
        }
    }
}

#[test]
fn pwd_04_twelve_code_points_are_enough() {
    assert_eq!(set("fj4kd0sl2pqw"), Ok(()));
    assert_eq!(set("fj4kd0sl2pq"), Err(FieldCode::PasswordTooShort));
    assert_eq!(set("😀🎺🦊🌵🚲🍉🎲🧦🪁🥝🐙🔭"), Ok(()));
    assert_eq!(set("😀🎺🦊🌵🚲🍉🎲🧦🪁🥝🐙"), Err(FieldCode::PasswordTooShort));
    assert_eq!(set(""), Err(FieldCode::PasswordTooShort));
}

#[test]
fn pwd_05_256_code_points_are_taken_and_257_are_refused() {
    let phrase = "gravel 🦊 umbrella tin; ".repeat(12);
    let of = |count| phrase.chars().take(count).collect::<String>();
    assert_eq!(set(&of(64)), Ok(()));
    assert_eq!(set(&of(256)), Ok(()));
    assert_eq!(set(&of(257)), Err(FieldCode::PasswordTooLong));
    assert!(policy().for_trying(&of(256)).is_ok());
    for text in [of(257), "é".repeat(257), "x".repeat(1_000_000), "😀".repeat(250_000)] {
        let started = Instant::now();
        let refused = policy().for_trying(&text).map(|_| ());
        assert_eq!(refused, Err(PasswordError::TooLong(256)));
        assert!(started.elapsed() < Duration::from_millis(20));
    }
    assert!(policy().for_trying(&"😀".repeat(256)).is_ok(), "code points, not bytes");
}

#[test]
fn pwd_06_and_08_nothing_is_trimmed_folded_or_normalised() {
    for text in [
        "  gravel umbrella  ",
        "Gravel\tUmbrella\n",
        "gravel umbr\u{e9}lla",
        "gravel umbre\u{301}lla",
    ] {
        assert_eq!(policy().for_trying(text).unwrap().expose(), text);
        assert_eq!(set(text), Ok(()));
    }
}

#[test]
fn pwd_07_there_are_no_rules_of_composition() {
    for text in
        ["gravel umbrella tin", "gravelumbrellatin", "紙飛行機は雨の日に飛ばない", "8305 1174 9627"]
    {
        assert_eq!(set(text), Ok(()), "{text}");
    }
}

#[test]
fn pwd_09_what_is_guessed_soon_is_refused() {
    let cases = [
        "passwordpassword",
        "PASSWORD1234",
        "123456789012",
        "qwertyuiop[]",
        "qwertyuiopas",
        "aaaaaaaaaaaa",
        "😀😀😀😀😀😀😀😀😀😀😀😀",
        "abcdefghijklm",
        "P@$$w0rdP@$$w0rd",
        "abcabcabcabc",
        "iloveyouiloveyou",
        "            ",
        "111111111111111111111",
        "\u{301}".repeat(80).as_str(),
        "!@#$%^&*()_+",
        "drowssapdrowssap",
        "correcthorsebatterystaple1"[..7].repeat(2).as_str(),
    ]
    .map(str::to_owned);
    for text in cases {
        assert_eq!(set(&text), Err(FieldCode::PasswordTooCommon), "{text}");
    }
}

#[test]
fn pwd_09_own_words_are_refused_in_any_case() {
    let cases = [
        "annabel.lee@example.org",
        "ANNABEL.LEE@EXAMPLE.ORG",
        "Annabel.Lee@example.org1",
        "accounts.example.org",
        "Accounts.Example.ORG",
        "portcullisportcullis",
        "Portcullis123",
        "annabel99annabel99",
        "99lebannaannabel99",
    ];
    for text in cases {
        assert_eq!(set(text), Err(FieldCode::PasswordTooCommon), "{text}");
    }
    let long = format!("{}@{}.example.org", "k7w".repeat(20), "q5".repeat(60));
    let refused = policy().for_setting(&long.to_uppercase(), &[&long]).map(|_| ());
    assert!(
        matches!(refused, Err(PasswordError::TooCommon(_))),
        "also beyond the estimate's reach"
    );
    let local = "ne4kd0sl2pqw7";
    let refused = policy().for_setting(local, &[&format!("{local}@example.org")]).map(|_| ());
    assert!(matches!(refused, Err(PasswordError::TooCommon(_))), "the local part, however strong");
}

#[test]
fn pwd_09_the_refusal_says_why_and_never_quotes() {
    let error = policy().for_setting("qwertyuiopqwertyuiop", &OWN).unwrap_err();
    let fault = error.at("/password");
    assert_eq!((fault.pointer.as_str(), fault.code), ("/password", FieldCode::PasswordTooCommon));
    assert!(fault.detail.len() > 60 && !fault.detail.contains("qwertyuiop"), "{}", fault.detail);
}

#[test]
fn pwd_09_more_guesses_can_be_demanded_and_never_fewer() {
    let at = |strength_min, text: &str| {
        let policy = PasswordPolicy { strength_min, ..policy() };
        policy.for_setting(text, &[]).map(|_| ()).map_err(|error| error.to_string())
    };
    let strengths = ["sunny-harbor9", "gravel umbrella", "gravel umbrella tin"].map(|text| {
        let refused: Vec<_> =
            (6..=16).filter_map(|n| at(n, text).err().map(|why| (n, why))).collect();
        assert!(
            refused.iter().all(|(_, why)| why.len() > 60 && !why.contains(text)),
            "{refused:?}"
        );
        refused.first().map(|(n, _)| *n)
    });
    assert_eq!(strengths, [Some(12), Some(9), Some(14)], "the first power of ten that is too much");
    assert!(at(0, "passwordpassword").is_err(), "the floor stays, whatever is configured");
}

#[test]
fn pwd_13_a_hostile_password_costs_no_more_than_a_honest_one() {
    let mut fibonacci = ("a".to_owned(), "ab".to_owned());
    while fibonacci.1.len() < 256 {
        fibonacci = (fibonacci.1.clone(), format!("{}{}", fibonacci.1, fibonacci.0));
    }
    let hostile = [
        "4@8({[<369!1|70$5+%2".repeat(13),
        "4@8({[<369!1|70$5+%2aeiost".repeat(10),
        "0123456789@$!+".repeat(19),
        "p4$$w0rd".repeat(32),
        "1234567890".repeat(26),
        "1/1/19 2-2-2001 3.3.99".repeat(12),
        format!("{}b", "a".repeat(255)),
        "aab".repeat(86),
        "annabel.lee@example.org".repeat(12),
        "ﷺé".repeat(128),
        "\n".repeat(255) + "x",
        fibonacci.1,
    ];
    assert_eq!(set("gravel umbrella tin"), Ok(())); // The word lists are built once.
    let signs = "({[<1!|7$5+@4690".repeat(16);
    let shorter = [12, 14, 16, 20, 24, 32, 40, 48].map(|n| signs.chars().take(n).collect());
    for text in hostile.into_iter().chain(shorter) {
        let text: String = text.chars().take(256).collect();
        // Other work on the machine makes it slower, never faster.
        let is_cheap = (0..20).any(|_| {
            let started = Instant::now();
            drop(policy().for_setting(&text, &OWN));
            started.elapsed() < Duration::from_millis(20)
        });
        assert!(is_cheap, "{text}");
    }
}

#[test]
fn debug_shows_no_password() {
    let password = policy().for_trying("gravel umbrella tin").unwrap();
    assert_eq!(format!("{password:?}"), "***");
}

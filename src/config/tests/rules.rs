//! The edge of each rule: the last value that passes and the first that does not.

use super::{faults, with};
use crate::config::{Environment, StoreUrl};

/// Each value alone, and whether it passes.
fn edges(variable: &str, cases: &[(&str, bool)]) {
    for (value, passes) in cases {
        let lines = faults([(variable, value)]);
        assert_eq!(lines.is_empty(), *passes, "{variable}={value}: {lines:?}");
    }
}

/// Stays in development, so that nothing but the key in question can be wrong.
fn edges_in_development(variable: &str, cases: &[(&str, bool)]) {
    for (value, passes) in cases {
        let lines = faults([("PORTCULLIS__ENVIRONMENT", "development"), (variable, value)]);
        assert_eq!(lines.is_empty(), *passes, "{variable}={value}: {lines:?}");
    }
}

#[test]
fn public_url_is_an_origin_exactly_as_it_is_compared() {
    let longest = format!("http://{}.org", "a.".repeat(44) + "a");
    assert_eq!(longest.len(), 100);
    edges_in_development(
        "PORTCULLIS__PUBLIC_URL",
        &[
            ("https://id.example.org", true),
            ("http://[::1]:8080", true),
            (&longest, true),
            (&longest.replacen("a.", "aa.", 1), false),
            ("https://id.example.org/", false),
            ("https://id.example.org/auth", false),
            ("https://id.example.org:443", false),
            ("https://Id.example.org", false),
            ("HTTPS://id.example.org", false),
            ("https://user@id.example.org", false),
            ("https://id.example.org?x", false),
            ("ftp://id.example.org", false),
            ("id.example.org", false),
            ("https://bücher.example", false),
        ],
    );
}

#[test]
fn ui_url_may_have_a_path() {
    edges(
        "PORTCULLIS__UI_URL",
        &[
            ("https://example.org/account", true),
            ("https://example.org/", false),
            ("https://example.org/#", false),
            ("https://example.org/?next=", false),
            ("javascript://example.org", false),
            ("https://example.org/a b", false),
        ],
    );
}

#[test]
fn cfg_06_the_environment_is_production_beyond_loopback() {
    let unset = |variable, value| with([(variable, value), ("PORTCULLIS__MASTER_KEY", super::KEY)]);
    let production = [
        ("PORTCULLIS__PUBLIC_URL", "https://127.0.0.1"),
        ("PORTCULLIS__PUBLIC_URL", "http://id.example.org"),
        ("PORTCULLIS__PUBLIC_URL", "http://localhost.example.org"),
        ("PORTCULLIS__HTTP__LISTEN", "0.0.0.0:8080"),
        ("PORTCULLIS__HTTP__LISTEN", "[::]:8080"),
        ("PORTCULLIS__ADMIN__LISTEN", "192.0.2.1:8081"),
    ];
    for (variable, value) in production {
        let config = unset(variable, value).unwrap();
        assert_eq!(config.environment, Environment::Production, "{variable}={value}");
        assert_eq!(config.http.drain_delay.as_secs(), 5);
    }
    let development = [
        ("PORTCULLIS__PUBLIC_URL", "http://localhost:8080"),
        ("PORTCULLIS__PUBLIC_URL", "http://portcullis.localhost"),
        ("PORTCULLIS__HTTP__LISTEN", "127.8.0.1:80"),
        ("PORTCULLIS__HTTP__LISTEN", "[::1]:8080"),
    ];
    for (variable, value) in development {
        let config = unset(variable, value).unwrap();
        assert_eq!(config.environment, Environment::Development, "{variable}={value}");
    }
    let named = [
        ("PORTCULLIS__ENVIRONMENT", "development"),
        ("PORTCULLIS__PUBLIC_URL", "https://id.example.org"),
    ];
    let config = with(named).unwrap();
    assert_eq!(config.environment, Environment::Development);
    assert_eq!(config.http.allowed_hosts, ["id.example.org", "localhost", "127.0.0.1", "[::1]"]);
    edges("PORTCULLIS__ENVIRONMENT", &[("staging", false), ("development", true)]);
}

#[test]
fn the_usual_port_is_left_out_of_the_derived_public_url() {
    let config = with([("PORTCULLIS__HTTP__LISTEN", "127.0.0.1:80")]).unwrap();
    assert_eq!(config.public_url, "http://127.0.0.1");
}

#[test]
fn http_08_allowed_hosts_are_names_and_production_adds_none() {
    let config = with([
        ("PORTCULLIS__PUBLIC_URL", "https://id.example.org"),
        ("PORTCULLIS__MASTER_KEY", super::KEY),
    ]);
    assert_eq!(config.unwrap().http.allowed_hosts, ["id.example.org"]);
    let config = with([("PORTCULLIS__HTTP__ALLOWED_HOSTS", "ID.example.org,[::1]")]).unwrap();
    assert_eq!(config.http.allowed_hosts, ["id.example.org", "[::1]"]);
    let bad = [("*.example.org", false), ("a.example.org:80", false), ("http://a", false)];
    edges("PORTCULLIS__HTTP__ALLOWED_HOSTS", &bad);
}

#[test]
fn auz_05_the_two_listeners_cannot_share_an_address() {
    let both = |http, admin| {
        let pair = [("PORTCULLIS__HTTP__LISTEN", http), ("PORTCULLIS__ADMIN__LISTEN", admin)];
        faults([pair[0], pair[1], ("PORTCULLIS__ENVIRONMENT", "development")]).len()
    };
    assert_eq!(both("127.0.0.1:8080", "127.0.0.1:8080"), 1);
    assert_eq!(both("0.0.0.0:8080", "127.0.0.1:8080"), 1);
    assert_eq!(both("127.0.0.1:8080", "127.0.0.2:8080"), 0);
    assert_eq!(both("127.0.0.1:0", "127.0.0.1:0"), 0);
}

fn cost(memory: &str, iterations: &str) -> Vec<String> {
    faults([
        ("PORTCULLIS__PASSWORD__MEMORY_KIB", memory),
        ("PORTCULLIS__PASSWORD__ITERATIONS", iterations),
    ])
}

#[test]
fn pwd_01_argon2_is_never_below_an_equal_pair() {
    let pairs = [("47104", "1"), ("19456", "2"), ("12288", "3"), ("9216", "4"), ("7168", "5")];
    for (memory, iterations) in pairs {
        assert!(cost(memory, iterations).is_empty(), "{memory}/{iterations}");
        let less = (memory.parse::<u32>().unwrap() - 1).to_string();
        let lines = cost(&less, iterations);
        assert!(lines[0].starts_with("password.memory_kib ("), "{less}/{iterations}: {lines:?}");
    }
    assert!(cost("1024", "2")[0].contains("PORTCULLIS__PASSWORD__MEMORY_KIB"));
    assert!(cost("1048576", "10").is_empty());
    assert_eq!(cost("1048577", "2").len(), 1);
    assert_eq!(cost("19456", "11").len(), 1);
    edges(
        "PORTCULLIS__PASSWORD__PARALLELISM",
        &[("1", true), ("8", true), ("9", false), ("0", false)],
    );
}

#[test]
fn pwd_04_lengths_have_a_floor_and_64_code_points_always_pass() {
    let low = [("7", false), ("8", true), ("64", true), ("65", false), ("twelve", false)];
    edges("PORTCULLIS__PASSWORD__MIN_LENGTH", &low);
    let high = [("63", false), ("64", true), ("4096", true), ("4097", false)];
    edges("PORTCULLIS__PASSWORD__MAX_LENGTH", &high);
}

#[test]
fn pwd_09_the_floor_of_guesses_cannot_be_lowered() {
    let cases = [("5", false), ("6", true), ("16", true), ("17", false), ("6.5", false)];
    edges("PORTCULLIS__PASSWORD__STRENGTH_MIN", &cases);
}

#[test]
fn pwd_10_the_list_of_stolen_passwords_is_asked_safely() {
    edges("PORTCULLIS__PASSWORD__BREACH_CHECK", &[("off", true), ("on", true), ("yes", false)]);
    let long = format!("https://example.org/{}/", "a".repeat(200));
    let cases = [
        ("https://api.pwnedpasswords.com/range/", true),
        ("https://10.0.0.1:8443/range/", true),
        ("http://127.0.0.1:9/range/", true),
        ("http://localhost/", true),
        ("http://api.pwnedpasswords.com/range/", false),
        ("http://10.0.0.1/range/", false),
        ("https://api.pwnedpasswords.com/range", false),
        ("https://ann:pass@example.org/", false),
        ("https://example.org/?q=/", false),
        ("https://example.org/#/", false),
        ("ftp://127.0.0.1/", false),
        ("example.org/", false),
        (long.as_str(), false),
    ];
    edges("PORTCULLIS__PASSWORD__BREACH_URL", &cases);
}

#[test]
fn whk_05_networks_are_written_exactly() {
    let many = |count| vec!["10.0.0.0/8"; count].join(",");
    let (most, more) = (many(64), many(65));
    let cases = [
        ("10.1.2.3", true),
        ("10.0.0.0/8, fd00::/8,::1", true),
        ("10.1.2.3/8", false),
        ("fd00::1/8", false),
        ("10.0.0.0/33", false),
        ("10.0.0.0/8;127.0.0.1", false),
        ("localhost", false),
        ("*", false),
        (most.as_str(), true),
        (more.as_str(), false),
    ];
    edges("PORTCULLIS__OUTBOUND__ALLOW_NETWORKS", &cases);
    edges("PORTCULLIS__WEBHOOKS__ALLOW_HTTP", &[("true", true), ("false", true), ("1", false)]);
    let nothing = with([]).unwrap();
    assert!(nothing.outbound.allow_networks.is_empty() && !nothing.webhooks.allow_http);
}

#[test]
fn durations_have_a_unit_and_bounds() {
    let life = [
        ("1s", true),
        ("1d", true),
        ("999ms", false),
        ("1500ms", false),
        ("25h", false),
        ("0s", false),
        ("15", false),
        ("m", false),
        ("1.5m", false),
        ("-1m", false),
        ("15 m", false),
        ("15min", false),
        ("99999999999999999999d", false),
        ("18446744073709551615d", false),
    ];
    edges("PORTCULLIS__TOKEN__ACCESS_LIFETIME", &life);
    edges("PORTCULLIS__TOKEN__REFRESH_REUSE_WINDOW", &[("0s", true), ("5m", true), ("6m", false)]);
}

#[test]
fn an_idle_session_ends_before_the_longest_one() {
    edges("PORTCULLIS__TOKEN__SESSION_IDLE", &[("180d", true), ("181d", false)]);
    edges("PORTCULLIS__TOKEN__SESSION_MAX", &[("30d", true), ("29d", false)]);
}

#[test]
fn claims_of_every_token_stay_small() {
    let (longest, longer) = ("a".repeat(64), "a".repeat(65));
    let many = vec!["a"; 17].join(",");
    let names = [(&*longest, true), (&*longer, false), ("a b", false), ("ä", false), (",", false)];
    edges("PORTCULLIS__TOKEN__AUDIENCES", &names);
    edges("PORTCULLIS__TOKEN__AUDIENCES", &[(&many, false), (many.get(2..).unwrap(), true)]);
    let words =
        [(&*longest, true), (&*longer, false), ("a b", true), ("a  b", false), (" a", false)];
    edges("PORTCULLIS__TOKEN__USER_SCOPE", &words);
    assert_eq!(super::with_file("[token]\nuser_scope = \"\"\n", []).unwrap_err().faults().len(), 1);
    let algorithms = [("EdDSA", true), ("RS256", true), ("es256", false), ("HS256", false)];
    edges("PORTCULLIS__TOKEN__ALGORITHM", &algorithms);
}

#[test]
fn a_store_is_sqlite_or_postgresql() {
    edges(
        "PORTCULLIS__STORE__URL",
        &[
            ("sqlite:///var/lib/p.db", true),
            ("postgresql:///portcullis?host=/run/postgresql", true),
            ("sqlite://", false),
            ("sqlite://:memory:", false),
            ("sqlite://a.db?mode=memory", false),
            ("mysql://root@host/db", false),
            ("./portcullis.db", false),
        ],
    );
    let config = with([("PORTCULLIS__STORE__URL", "sqlite://./a.db")]).unwrap();
    assert!(matches!(config.store.url, StoreUrl::Sqlite(path) if path.ends_with("a.db")));
    edges("PORTCULLIS__STORE__MIGRATE_URL", &[("postgres://owner@host/db", false)]);
}

#[test]
fn a_postgresql_on_this_host_keeps_a_core() {
    let cores = std::thread::available_parallelism().unwrap().get();
    let threads = |url| with([("PORTCULLIS__STORE__URL", url)]).unwrap().password.hash_threads;
    let local = [
        "postgres://p@localhost/db",
        "postgres://p@127.0.0.1/db",
        "postgres://p@[::1]/db",
        "postgres:///db",
        "postgres://p@db/db?host=/run/postgresql",
        "postgres://p@%2Frun%2Fpostgresql/db",
    ];
    for url in local {
        assert_eq!(threads(url), (cores - 1).max(1), "{url}");
    }
    assert_eq!(threads("postgres://p@db.example.org/db"), cores);
    edges("PORTCULLIS__PASSWORD__HASH_THREADS", &[("256", true), ("257", false), ("-1", false)]);
}

#[test]
fn modes_are_words_of_a_list() {
    edges(
        "PORTCULLIS__SIGNUP__MODE",
        &[("open", true), ("invite", true), ("closed", true), ("shut", false)],
    );
    let words = [("required", true), ("optional", true), ("never", false)];
    edges("PORTCULLIS__SIGNUP__EMAIL_VERIFICATION", &words);
    edges("PORTCULLIS__LIMITS__ENABLED", &[("true", true), ("false", true), ("no", false)]);
    edges("PORTCULLIS__PASSWORD__RESET_LIFETIME", &[("1h", true), ("61m", false), ("0s", false)]);
    let production = [
        ("PORTCULLIS__ENVIRONMENT", "production"),
        ("PORTCULLIS__MASTER_KEY", "yhGpPW5zVLDMCvJ+YkE1rN3qQ0bSx7fTuAi2hRmZdOw="),
        ("PORTCULLIS__LIMITS__ENABLED", "false"),
    ];
    let report = with(production).unwrap_err();
    assert!(report.faults().iter().any(|fault| fault.key == "limits.enabled"), "{report}");
    edges("PORTCULLIS__MAIL__TRANSPORT", &[("file", true), ("off", true), ("smtp", false)]);
}

#[test]
fn the_sender_is_an_address() {
    let senders = [("Id <id@example.org>", true), ("id@example.org", true), ("nobody", false)];
    edges("PORTCULLIS__MAIL__FROM", &senders);
    edges("PORTCULLIS__MAIL__FROM", &[("a@b.c\r\nBcc: x@y.z", false)]);
}

#[test]
fn a_profile_schema_is_a_file_that_can_be_read() {
    edges("PORTCULLIS__PROFILE__SCHEMA", &[("/nonexistent.json", false), ("/", false)]);
    let this = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    edges("PORTCULLIS__PROFILE__SCHEMA", &[(this, true)]);
}

#[test]
fn what_is_not_utf_8_is_a_fault_instead_of_another_value() {
    edges("PORTCULLIS__MAIL__FROM", &[("\u{fffd}@example.org", false)]);
}

#[test]
fn eml_16_cfg_07_a_mail_server_beyond_this_host_is_reached_by_tls() {
    use crate::config::{MailTransport, SmtpTls};

    let smtp = |url: &str| {
        let config =
            with([("PORTCULLIS__MAIL__TRANSPORT", "smtp"), ("PORTCULLIS__MAIL__URL", url)]);
        match config.unwrap().mail.transport {
            MailTransport::Smtp(smtp) => (smtp.host, smtp.port, smtp.tls),
            MailTransport::File | MailTransport::Off => panic!("{url}"),
        }
    };
    for (url, host, port, tls) in [
        ("smtps://mail.example.org", "mail.example.org", 465, SmtpTls::Implicit),
        ("smtps://mail.example.org:4650/", "mail.example.org", 4650, SmtpTls::Implicit),
        ("smtps://127.0.0.1", "127.0.0.1", 465, SmtpTls::Implicit),
        ("smtp://mail.example.org", "mail.example.org", 587, SmtpTls::StartTls),
        ("smtp://Mail.Example.ORG:25", "mail.example.org", 25, SmtpTls::StartTls),
        ("smtp://192.0.2.1:25", "192.0.2.1", 25, SmtpTls::StartTls),
        ("smtp://localhost.example.org:25", "localhost.example.org", 25, SmtpTls::StartTls),
        ("smtp://[2001:db8::1]:25", "2001:db8::1", 25, SmtpTls::StartTls),
        ("smtp://localhost", "localhost", 25, SmtpTls::Loopback),
        ("smtp://[::1]:2525", "::1", 2525, SmtpTls::Loopback),
        ("smtp://127.0.0.1:2525", "127.0.0.1", 2525, SmtpTls::Loopback),
    ] {
        assert_eq!(smtp(url), (host.to_owned(), port, tls), "{url}");
    }
    edges(
        "PORTCULLIS__MAIL__URL",
        &[
            ("smtps://mail.example.org", true),
            ("smtps://mail.example.org/inbox", false),
            ("smtps://mail.example.org?tls=none", false),
            ("smtp://mail.example.org#x", false),
            ("smtps://", false),
            ("smtps:///x", false),
            ("https://mail.example.org", false),
            ("mail.example.org:587", false),
            ("smtp://mail.example.org:99999", false),
            // A user without a password.
            ("smtps://ann@mail.example.org", false),
        ],
    );
}

#[test]
fn cfg_04_a_mail_password_is_no_part_of_the_url_and_goes_with_a_user() {
    let url = "PORTCULLIS__MAIL__URL";
    let lines = faults([(url, "smtps://ann:canary@mail.example.org")]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("mail.password_file") && !lines[0].contains("canary"), "{lines:?}");
    let password = ("PORTCULLIS__MAIL__PASSWORD", "canary");
    assert_eq!(faults([(url, "smtps://mail.example.org"), password]).len(), 1);
    let config = with([
        ("PORTCULLIS__MAIL__TRANSPORT", "smtp"),
        (url, "smtps://ann%40example.org@mail.example.org"),
        password,
    ])
    .unwrap();
    assert!(!config.show().contains("canary") && !format!("{config:?}").contains("canary"));
    let crate::config::MailTransport::Smtp(smtp) = config.mail.transport else { panic!() };
    assert_eq!(smtp.login.unwrap().0, "ann@example.org");
    let lines = faults([("PORTCULLIS__MAIL__TRANSPORT", "smtp")]);
    assert!(lines[0].starts_with("mail.url"), "{lines:?}");
}

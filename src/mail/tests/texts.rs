//! Every letter in every language, and what an operator can put in its place.

use std::fs;
use std::path::Path;

use super::{settings, verify};
use crate::domain::job::Letter;
use crate::domain::time::Timestamp;
use crate::mail::catalogue::Catalogue;
use crate::mail::letters::{Content, Letters, Rendered};
use crate::mail::{Language, Mailer, SetupError, Transport, samples, words};

const URLS: (&str, &str) = ("https://id.example.org", "https://app.example.org/account");

fn letters() -> Letters {
    Letters::load(None, "id.example.org", URLS).unwrap()
}

fn rendered(language: Language, letter: &Letter) -> Rendered {
    letters().render(language, Content::Letter(letter)).unwrap()
}

/// Page, call and token of the letters that ask for something.
fn action(name: &str) -> Option<(&'static str, &'static str, &'static str)> {
    match name {
        "verify" => Some(("verify", r#"email/verify {"token": "...", "password": "..."}"#, "pcv_")),
        "reset" => Some(("reset", r#"password/reset {"token": "...", "password": "..."}"#, "pcp_")),
        "email_change" => Some((
            "email/confirm",
            r#"email/change/confirm {"token": "...", "password": "..."}"#,
            "pce_",
        )),
        "email_change_requested" => {
            Some(("email/cancel", r#"email/change/cancel {"token": "..."}"#, "pcx_"))
        }
        "invitation" => Some((
            "invitation",
            r#"signup {"email": "...", "password": "...", "invitation": "..."}"#,
            "pci_",
        )),
        _ => None,
    }
}

#[test]
fn every_language_has_every_text_and_no_other() {
    let catalogue = Catalogue::load(None).unwrap();
    let of = |language: Language| {
        let prefix = format!("{}/", language.code());
        let names = catalogue.names().filter_map(|name| name.strip_prefix(&prefix));
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let english = of(Language::English);
    assert_eq!(english.len(), 7 + 14 * 3 + 5);
    for language in Language::ALL {
        assert_eq!(of(language), english, "{language:?}");
    }
}

#[test]
fn ses_14_eml_01_each_letter_has_its_link_whole_on_a_line_and_names_the_call_that_takes_it() {
    for language in Language::ALL {
        for letter in samples::each() {
            let name = samples::name(&letter);
            let Rendered { subject, text, html } = rendered(language, &letter);
            assert!(
                subject.contains("id.example.org") && subject.lines().count() == 1,
                "{subject}"
            );
            assert!(!text.contains("{{") && !text.contains("{%") && !html.contains("{{"), "{text}");
            assert!(html.contains(&format!("<html lang=\"{}\">", language.code())));
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
            let Some((page, call, kind)) = action(name) else {
                assert!(!text.contains("://") && !html.contains("<a "), "{name} has no link");
                assert!(text.lines().all(|line| line.chars().count() <= 72), "{text}");
                continue;
            };
            let link =
                format!("https://app.example.org/account/{page}#token={kind}{}", "A".repeat(43));
            assert_eq!(text.lines().filter(|line| *line == link).count(), 1, "{name}: {text}");
            let call = format!("POST https://id.example.org/v1/{call}");
            assert_eq!(text.lines().filter(|line| *line == call).count(), 1, "{name}: {text}");
            assert_eq!(html.matches("<a href=").count(), 1, "{html}");
            // SES-14: nothing but the fragment holds the token.
            assert_eq!((text.matches(kind).count(), html.matches(kind).count()), (1, 1), "{name}");
        }
    }
}

#[test]
fn no_two_languages_say_the_same() {
    for letter in samples::each() {
        let said = Language::ALL.map(|language| {
            let Rendered { subject, text, .. } = rendered(language, &letter);
            (subject, text)
        });
        for (n, one) in said.iter().enumerate() {
            for other in &said[n + 1..] {
                assert!(one.0 != other.0 && one.1 != other.1, "{}", one.0);
            }
        }
    }
}

#[test]
fn a_sign_in_is_told_with_its_time_place_and_device() {
    let letter = Letter::NewDevice {
        at: Timestamp::from_micros(1_795_000_000_000_000),
        address: "2001:db8::7".into(),
        user_agent: Some("curl/8.5.0".into()),
    };
    let text = rendered(Language::German, &letter).text;
    assert_eq!(
        text,
        "Guten Tag,\n\n\
         Jemand hat sich bei Ihrem Konto bei id.example.org von einem Gerät aus\n\
         angemeldet, das dort noch nicht bekannt war:\n\n\
         - Wann: 18. November 2026, 11:06 Uhr (UTC)\n\
         - Von: 2001:db8::7\n\
         - Mit: curl/8.5.0\n\n\
         Wenn Sie das waren, brauchen Sie nichts zu tun.\n\n\
         Wenn Sie das nicht waren, wählen Sie sofort ein neues Passwort: Das\n\
         beendet alle anderen Sitzungen.\n"
    );
    // What is no address is not shown, whoever wrote it.
    let foreign = Letter::NewDevice {
        at: Timestamp::from_micros(0),
        address: "evil.example".into(),
        user_agent: None,
    };
    let text = rendered(Language::English, &foreign).text;
    assert!(!text.contains("evil") && !text.contains("From:") && !text.contains("With:"), "{text}");
}

#[test]
fn a_deletion_tells_how_long_it_can_be_undone() {
    let told = |grace_s| rendered(Language::Spanish, &Letter::AccountDeleted { grace_s }).text;
    assert!(told(30 * 86_400).contains("en un plazo de 30 días"));
    assert!(told(0).contains("no se puede restaurar") && !told(0).contains("plazo"));
}

#[test]
fn spans_and_dates_are_told_in_words() {
    let letters = letters();
    let span = |language, seconds| letters.span(language, seconds).unwrap();
    let told = [
        (1, "1 second"),
        (90, "90 seconds"),
        (60, "1 minute"),
        (3600, "1 hour"),
        (5400, "90 minutes"),
        (86_400, "24 hours"),
        (90_061, "25 hours"),
        (172_800, "2 days"),
        (2_592_000, "30 days"),
        (0, "0 seconds"),
    ];
    for (seconds, words) in told {
        assert_eq!(span(Language::English, seconds), words);
    }
    for (language, hour, hours, days, date, first) in [
        (
            Language::German,
            "1 Stunde",
            "24 Stunden",
            "30 Tagen",
            "18. März 2027, 00:00 Uhr (UTC)",
            "1. Januar 1970, 00:00 Uhr (UTC)",
        ),
        (
            Language::Spanish,
            "1 hora",
            "24 horas",
            "30 días",
            "18 de marzo de 2027, 00:00 (UTC)",
            "1 de enero de 1970, 00:00 (UTC)",
        ),
        (
            Language::French,
            "1 heure",
            "24 heures",
            "30 jours",
            "18 mars 2027 à 00:00 (UTC)",
            "1er janvier 1970 à 00:00 (UTC)",
        ),
        (
            Language::English,
            "1 hour",
            "24 hours",
            "30 days",
            "18 March 2027, 00:00 UTC",
            "1 January 1970, 00:00 UTC",
        ),
    ] {
        assert_eq!(
            [span(language, 3600), span(language, 86_400), span(language, 2_592_000)],
            [hour, hours, days]
        );
        let at = |seconds: i64| letters.date(language, Timestamp::from_micros(seconds * 1_000_000));
        assert_eq!((at(1_805_328_000).unwrap().trim(), at(0).unwrap().trim()), (date, first));
    }
}

#[test]
fn a_locale_is_taken_by_its_language() {
    for (locale, language) in [
        (Some("de"), Language::German),
        (Some("DE-ch-1901"), Language::German),
        (Some("es-419"), Language::Spanish),
        (Some("fr-Latn-CA"), Language::French),
        (Some("en-GB"), Language::English),
        (Some("den"), Language::English),
        (Some("ja"), Language::English),
        (Some(""), Language::English),
        (None, Language::English),
    ] {
        assert_eq!(Language::of(locale), language, "{locale:?}");
    }
}

#[test]
fn eml_15_what_is_inert_holds_nothing_that_a_mail_program_makes_a_link_of() {
    for (text, shown) in [
        (
            "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101",
            "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101",
        ),
        ("http://evil.example/x?y=1", "http /evil example/x y 1"),
        ("1.2.3 .4 5. a.1 1.b", "1.2.3 4 5 a 1 1 b"),
        ("///a//b/c", "/a /b/c"),
        ("\u{202e}\r\n\0<b>&amp;\u{3002}", "b amp;"),
        ("", ""),
    ] {
        assert_eq!(words::inert(text), shown);
    }
    assert_eq!(words::inert(&"x".repeat(100_000)).len(), 160);
}

#[test]
fn long_lines_are_broken_at_blanks_only() {
    let url = format!("https://example.org/{}", "x".repeat(200));
    assert_eq!(words::fill(&url), url);
    let line = format!("{} {url} {}", "a b".repeat(30), "c".repeat(72));
    for part in words::fill(&line).lines() {
        assert!(part.len() <= 72 || part == url, "{part}");
    }
    assert_eq!(words::fill(&line).replace('\n', " "), line);
    assert_eq!(words::fill(""), "");
}

fn refused(folder: &Path) -> Vec<String> {
    let settings =
        super::Settings { templates: Some(folder.to_owned()), ..settings(Transport::Off) };
    match Mailer::new(&settings) {
        Err(SetupError::Templates(faults)) => faults.iter().map(ToString::to_string).collect(),
        Err(other) => panic!("{other}"),
        Ok(_) => Vec::new(),
    }
}

#[test]
fn a_folder_stands_in_for_the_built_in_texts_value_by_value() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("en.toml", "[verify]\nsubject = 'Ours {{ host }}'\n\n[words]\nhello = 'Ahoy <you>,'\n");
    write("layout.html", "<h1>{{ heading }}</h1><i>{{ hello }}</i><a href=\"{{ link }}\">x</a>");
    // What version control and mounted volumes leave there.
    fs::create_dir(folder.path().join("..data")).unwrap();
    write(".gitignore", "{{");
    assert_eq!(refused(folder.path()), [""; 0]);
    let letters = Letters::load(Some(folder.path()), "id.example.org", URLS).unwrap();
    let mail = verify("ann@example.org");
    let Rendered { subject, text, html } =
        letters.render(Language::English, Content::Letter(&mail.letter)).unwrap();
    assert_eq!(subject, "Ours id.example.org");
    assert!(text.starts_with("Ahoy <you>,\n\nSomebody signed up"), "{text}");
    assert!(
        html.starts_with("<h1>Confirm your e-mail address</h1><i>Ahoy &lt;you&gt;,</i>"),
        "{html}"
    );
    let german = letters.render(Language::German, Content::Letter(&mail.letter)).unwrap();
    assert!(german.text.starts_with("Guten Tag,"), "{}", german.text);
}

#[test]
fn everything_that_is_wrong_with_a_folder_is_told_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    write("README.md", "about");
    write("de.toml", "[verify\n");
    write("en.toml", "x = 1\n[verify]\nsubjet = ''\nsubject = 7\n[greeting]\nbody = ''\n");
    write("es.toml", "[reset]\nbody = '''\none\n{{ link }\n'''\n");
    write("layout.txt", "{{ hello }}\n{% if %}\n");
    let told = refused(folder.path());
    let expected = [
        (at("README.md"), "nobody reads this file; expected en.toml, "),
        (at("de.toml") + ":1", "not TOML: "),
        (at("en.toml") + ":1", "expected a [section]"),
        (at("en.toml") + ":3", "nobody reads verify.subjet"),
        (at("en.toml") + ":4", "expected a text in quotes"),
        (at("en.toml") + ":6", "nobody reads greeting.body"),
        (at("es.toml") + ":4", "syntax error: "),
        (at("layout.txt") + ":2", "syntax error: "),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (place, reason) in expected {
        let start = format!("{place}: {reason}");
        assert!(told.iter().any(|line| line.starts_with(&start)), "{start}: {told:#?}");
    }
}

#[test]
fn what_compiles_but_cannot_be_filled_in_is_found_at_the_start_too() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    write(
        "en.toml",
        "[reset]\nbody = '''\nGo to\n{{ link }}\n'''\n\n[email_changed]\nbody = '''\na\n\n{{ token }}'''\n",
    );
    write("fr.toml", "[words]\ndate = '{{ day }} {{ (\"janvier\" | split)[month - 1] }}'\n");
    let told = refused(folder.path());
    let [reset, changed, date] = &told[..] else { panic!("{told:#?}") };
    assert!(changed.starts_with(&format!("{}:11: undefined value", at("en.toml"))), "{changed}");
    let alone = "expected a paragraph that is {{ link }} alone";
    assert_eq!(*reset, format!("{}:3: {alone}", at("en.toml")));
    assert!(date.starts_with(&format!("{}:2: undefined value", at("fr.toml"))), "{date}");
    let nowhere = refused(&folder.path().join("nowhere"));
    assert!(nowhere[0].contains("No such file"), "{nowhere:?}");
}

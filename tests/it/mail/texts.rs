//! What a stranger's text can do in a mail that really arrives: nothing (EML-14, EML-15).

use std::fs;

use portcullis::domain::job::Letter;
use portcullis::domain::time::Timestamp;
use portcullis::mail::{Language, Mailer};

use super::{envelope, mail, mailer, settings, verify};
use crate::support::smtp::{Mode, Received, Sink};

async fn told(sink: &Sink, user_agent: &str) -> Received {
    let letter = Letter::NewDevice {
        at: Timestamp::from_micros(1_795_000_000_000_000),
        address: "192.0.2.7".into(),
        user_agent: Some(user_agent.to_owned()),
    };
    let mail = mail("ann@example.org", letter);
    mailer(sink).send(envelope(1), Language::English, &mail).await.unwrap();
    sink.mails().pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn eml_14_neither_a_field_nor_a_text_breaks_out_of_its_place() {
    let Some(sink) = Sink::start(Mode::Plain) else { return };
    let harmless = told(&sink, "curl").await;
    let headers = [
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "From",
        "To",
        "Subject",
        "MIME-Version",
        "Content-Type",
    ];
    assert_eq!(harmless.header_names(), headers);
    for (n, attack) in [
        "x\r\n.\r\nMAIL FROM:<eve@example.org>\r\nRCPT TO:<eve@example.org>\r\nDATA\r\n\r\nhello\r\n.\r\n",
        "x\n.\nMAIL FROM:<eve@example.org>",
        "x\r.\rRCPT TO:<eve@example.org>",
        "x\r\nBcc: eve@example.org\r\n\r\n<html>",
        "=?utf-8?q?=0d=0aBcc=3a_eve?=",
        "--00000000000000000000000000000001--\r\n",
        "x\0y\u{2028}Bcc: eve\u{85}z",
    ]
    .into_iter()
    .enumerate()
    {
        let mail = told(&sink, attack).await;
        assert_eq!(sink.mails().len(), n + 2, "one mail became two: {attack:?}");
        assert_eq!(mail.header_names(), headers, "{attack:?}");
        assert_eq!(mail.to(), "ann@example.org");
        let lines = |mail: &Received| mail.text().lines().count();
        assert!(lines(&mail) <= lines(&harmless) + 2, "{}", mail.text());
        assert!(!mail.text().contains("eve@") && !mail.text().lines().any(|line| line == "."));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eml_14_a_line_that_is_a_dot_arrives_as_one() {
    let Some(sink) = Sink::start(Mode::Plain) else { return };
    let folder = tempfile::tempdir().unwrap();
    let text = "[verify]\nsubject = \"\"\"one\ntwo\r\nBcc: eve@example.org\"\"\"\nbody = '''\n.\n\n..x\n\n{{ link }}\n\nend'''\n";
    fs::write(folder.path().join("en.toml"), text).unwrap();
    let mailer = Mailer::new(&settings(sink.settings(), Some(folder.path()))).unwrap();
    mailer.send(envelope(1), Language::English, &verify("ann@example.org")).await.unwrap();
    let mail = sink.mails().pop().unwrap();
    let lines: Vec<_> = mail.text().lines().collect();
    assert!(lines.contains(&".") && lines.contains(&"..x") && lines.contains(&"end"), "{lines:?}");
    assert_eq!(mail.subject(), "one two Bcc: eve@example.org");
    assert_eq!(mail.header("Bcc"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn eml_15_the_text_of_a_stranger_is_inert_and_never_a_link() {
    let Some(sink) = Sink::start(Mode::Plain) else { return };
    let kept = told(&sink, "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Firefox/145.0").await;
    let words: Vec<_> = kept.text().split_whitespace().collect();
    let told_kept = "- With: Mozilla/5.0 (X11; Linux x86_64; rv 145.0) Firefox/145.0 If";
    assert!(words.join(" ").contains(told_kept), "{}", kept.text());
    for attack in [
        "<a href=\"https://evil.example/\">your bank</a>",
        "http://evil.example/login",
        "//evil.example",
        "www.evil.example",
        "evil.example",
        "evil\u{3002}example \u{ff45}vil.example",
        "mailto:eve@evil.example tel:+491234",
        "{{7*191}} {% for x in range(3) %}evil{% endfor %} {{ link }} {#",
        "<script>alert(1)</script> &lt;b&gt; \"onload=x",
        "\u{202e}elpmaxe.live//:sptth",
    ] {
        let mail = told(&sink, attack).await;
        assert!(mail.text().contains("- With: "), "a text part is always there");
        for part in [mail.text(), mail.html()] {
            for sign in [
                "evil.", "://", "www.", "mailto:", "tel:", "href=", "1337", "evilevil", "<script",
                "&lt;", "\u{202e}",
            ] {
                assert!(!part.contains(sign), "{attack:?}: {sign} in {part}");
            }
            assert!(!part.contains("@evil"), "{part}");
        }
    }
}

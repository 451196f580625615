//! One mail and one server: TLS, logins, refusals, broken lines (EML-16, LOG-03).

use std::time::Duration;

use portcullis::mail::{Failure, Handed, Language, MailError, Mailer, Security, SmtpSettings};
use serde_json::json;
use uuid::Uuid;

use super::{TOKEN, envelope, mailer, mailer_of, settings, verify};
use crate::support::smtp::{Certificate, Mode, Sink, Wish};

const PLAIN: Wish =
    Wish { mode: Mode::Plain, certificate: Certificate::Good, login: None, ascii: false };

async fn send(mailer: &Mailer, to: &str) -> Result<Handed, MailError> {
    mailer.send(envelope(1), Language::English, &verify(to)).await
}

async fn failure(mailer: &Mailer, to: &str) -> Failure {
    match send(mailer, to).await {
        Err(MailError::NotSent(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_arrives_in_clear_by_starttls_and_by_tls_with_and_without_a_login() {
    for mode in [Mode::Plain, Mode::StartTls, Mode::Tls] {
        for login in [None, Some(("ann@example.org", "violet:ötter"))] {
            let Some(sink) = Sink::start_as(Wish { mode, login, ..PLAIN }) else { return };
            let mailer = mailer(&sink);
            let mail = verify("Zoe@Bücher.Example");
            let sent = mailer.send(envelope(7), Language::German, &mail).await;
            assert_eq!(sent.unwrap(), Handed::Sent, "{mode:?}");
            let mails = sink.mails();
            let [mail] = &mails[..] else { panic!("{mails:?}") };
            assert_eq!(mail.is_encrypted(), mode != Mode::Plain);
            assert_eq!(mail.login(), login.map(|(user, _)| user));
            assert_eq!(mail.hello(), "id.example.org");
            assert_eq!(
                (mail.from(), mail.to()),
                ("no-reply@example.org", "Zoe@xn--bcher-kva.example")
            );
            assert_eq!(mail.options(), ["BODY=8BITMIME"]);
            let id = format!("<{}@id.example.org>", Uuid::from_u128(7));
            assert_eq!(mail.header("Message-ID"), Some(id.as_str()));
            assert_eq!(mail.subject(), "Bestätigen Sie Ihre E-Mail-Adresse für id.example.org");
            assert_eq!(mail.header("From"), Some("Konten für alle <no-reply@example.org>"));
            assert_eq!(mail.token(), Some(TOKEN));
            assert!(
                mail.raw()
                    .contains(&format!("\r\nhttps://app.example.org/verify#token={TOKEN}\r\n"))
            );
            assert!(mail.text().contains("Jemand hat sich mit dieser E-Mail-Adresse"));
            assert!(mail.html().contains("lang=\"de\"") && mail.html().contains("Bestätigung"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eml_16_a_certificate_that_is_not_good_gets_no_mail() {
    for mode in [Mode::StartTls, Mode::Tls] {
        for certificate in [Certificate::WrongName, Certificate::SelfSigned, Certificate::Expired] {
            let Some(sink) = Sink::start_as(Wish { mode, certificate, ..PLAIN }) else { return };
            let error = send(&mailer(&sink), "ann@example.org").await.unwrap_err();
            assert!(!error.is_final(), "tried again");
            assert!(
                matches!(error, MailError::NotSent(Failure::Tls(_))),
                "{certificate:?}: {error:?}"
            );
            assert!(error.to_string().contains("certificate"), "{error}");
            assert!(sink.mails().is_empty());
        }
        // A good one of an authority that nobody trusts here.
        let Some(sink) = Sink::start(mode) else { return };
        let unknown = SmtpSettings { ca_file: None, ..sink.settings() };
        assert!(matches!(failure(&mailer_of(unknown), "ann@example.org").await, Failure::Tls(_)));
        // The name is the one of the configuration, not the one that answers.
        let by_address = SmtpSettings { host: "127.0.0.1".into(), ..sink.settings() };
        assert!(matches!(
            failure(&mailer_of(by_address), "ann@example.org").await,
            Failure::Tls(_)
        ));
        assert!(sink.mails().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eml_16_cfg_07_there_is_no_fall_back_to_clear_text() {
    let login = Some(("ann", "violet"));
    let Some(sink) = Sink::start_as(Wish { login, ..PLAIN }) else { return };
    // As if somebody between had struck STARTTLS out.
    let starttls = SmtpSettings { security: Security::StartTls, ..sink.settings() };
    let failed = failure(&mailer_of(starttls), "ann@example.org").await;
    assert_eq!(
        failed.to_string(),
        "no verified TLS with the mail server: it does not offer STARTTLS"
    );
    let tls = SmtpSettings { security: Security::Tls, ..sink.settings() };
    let failed = failure(&mailer_of(tls), "ann@example.org").await;
    assert!(matches!(failed, Failure::Tls(_)), "{failed:?}");
    // A name of this host that leads elsewhere.
    let host = "192.0.2.1".to_owned();
    let elsewhere = SmtpSettings { host, ..sink.settings() };
    let failed = failure(&mailer_of(elsewhere), "ann@example.org").await;
    assert!(failed.to_string().contains("no address that may be used"), "{failed}");
    assert!(sink.mails().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_or_missing_is_the_operators_and_no_end_of_a_mail() {
    for mode in [Mode::Plain, Mode::Tls] {
        let login = Some(("ann", "violet"));
        let Some(sink) = Sink::start_as(Wish { mode, login, ..PLAIN }) else { return };
        let wrong = Some(("ann".to_owned(), "canary-password".into()));
        for login in [wrong, None] {
            let settings = SmtpSettings { login, ..sink.settings() };
            let error = send(&mailer_of(settings), "ann@example.org").await.unwrap_err();
            assert!(matches!(error, MailError::NotSent(Failure::Login(_))), "{error:?}");
            assert!(!error.is_final());
            assert!(!format!("{error:?} {error}").contains("canary"));
        }
        assert!(sink.mails().is_empty());
    }
    // A server that knows no logins at all.
    let Some(sink) = Sink::start(Mode::Plain) else { return };
    let login = Some(("ann".to_owned(), "violet".into()));
    let settings = SmtpSettings { login, ..sink.settings() };
    assert!(matches!(failure(&mailer_of(settings), "ann@example.org").await, Failure::Login(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn log_03_what_a_server_says_is_told_by_its_numbers_alone() {
    let Some(sink) = Sink::start(Mode::Plain) else { return };
    let mailer = mailer(&sink);
    sink.behave(&json!({
        "gone@example.org": { "rcpt": "550 5.1.1 <gone@example.org> canary" },
        "full@example.org": { "rcpt": "452 4.2.2 full canary" },
        "odd@example.org": { "rcpt": "550 canary" },
        "spam@example.org": { "data": "554 5.7.1 canary" },
        "busy@example.org": { "data": "451 canary" },
    }));
    for (to, is_final, text) in [
        ("gone@example.org", true, "the mail server refuses it: the recipient, 550 5.1.1"),
        ("full@example.org", false, "the mail server takes it later: the recipient, 452 4.2.2"),
        ("odd@example.org", true, "the mail server refuses it: the recipient, 550"),
        ("spam@example.org", true, "the mail server refuses it: the message, 554 5.7.1"),
        ("busy@example.org", false, "the mail server takes it later: the message, 451"),
    ] {
        let error = send(&mailer, to).await.unwrap_err();
        assert_eq!((error.to_string().as_str(), error.is_final()), (text, is_final));
        assert!(!format!("{error:?}").contains("canary") && !format!("{error:?}").contains('@'));
    }
    for (answer, is_final) in
        [("550 5.7.1 no", true), ("451 4.7.1 no", false), ("530 5.7.0 no", false)]
    {
        sink.behave(&json!({ "*": { "mail": answer } }));
        assert_eq!(send(&mailer, "ann@example.org").await.unwrap_err().is_final(), is_final);
    }
    // What a server says before it heard of a mail gives none up.
    for answer in ["554 5.7.1 nobody from there", "421 4.3.2 closing", "what?"] {
        sink.behave(&json!({ "*": { "greeting": answer } }));
        let error = send(&mailer, "ann@example.org").await.unwrap_err();
        assert!(!error.is_final(), "{answer}");
        assert!(!error.to_string().contains("nobody") && !error.to_string().contains("what"));
    }
    sink.behave(&json!({}));
    send(&mailer, "ann@example.org").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_out_or_hangs_or_drops_is_unreachable_within_the_patience() {
    let Some(sink) = Sink::start(Mode::Plain) else { return };
    let patience = Duration::from_millis(300);
    let mailer = mailer_of(SmtpSettings { patience, ..sink.settings() });
    for trouble in [
        json!({ "*": { "hang": true } }),
        json!({ "*": { "delay_s": 30 } }),
        json!({ "*": { "drop": "rcpt" } }),
        json!({ "*": { "drop": "data" } }),
    ] {
        sink.behave(&trouble);
        let begun = std::time::Instant::now();
        let failed = failure(&mailer, "ann@example.org").await;
        assert!(matches!(failed, Failure::Unreachable(_)), "{trouble}: {failed:?}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{trouble}");
    }
    sink.down();
    let failed = failure(&mailer, "ann@example.org").await;
    assert!(matches!(failed, Failure::Unreachable(_)), "{failed:?}");
    sink.up();
    sink.behave(&json!({}));
    assert!(sink.mails().is_empty());
    send(&mailer, "ann@example.org").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_used_again_and_replaced_when_the_server_closed_it() {
    let Some(sink) = Sink::start(Mode::Tls) else { return };
    let mailer = mailer(&sink);
    for _ in 0..3 {
        send(&mailer, "ann@example.org").await.unwrap();
    }
    assert_eq!(sink.connections(), 1);
    sink.down();
    sink.up();
    send(&mailer, "ann@example.org").await.unwrap();
    assert_eq!((sink.connections(), sink.mails().len()), (2, 4));
    // What was refused is not left behind on the connection.
    sink.behave(&json!({ "gone@example.org": { "rcpt": "550 no" } }));
    failure(&mailer, "gone@example.org").await;
    send(&mailer, "ann@example.org").await.unwrap();
    assert_eq!(sink.mails().last().unwrap().to(), "ann@example.org");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_only_ascii_gets_ascii_that_reads_the_same() {
    let Some(ascii) = Sink::start_as(Wish { ascii: true, ..PLAIN }) else { return };
    let Some(plain) = Sink::start(Mode::Plain) else { return };
    for sink in [&ascii, &plain] {
        let mail = verify("ann@example.org");
        mailer(sink).send(envelope(1), Language::French, &mail).await.unwrap();
    }
    let (ascii, plain) = (ascii.mails().pop().unwrap(), plain.mails().pop().unwrap());
    assert!(ascii.raw().is_ascii() && !plain.raw().is_ascii());
    assert!(ascii.options().is_empty(), "{:?}", ascii.options());
    let plain_text = plain.text().replace("\r\n", "\n");
    assert_eq!(ascii.text().replace("\r\n", "\n").trim_end(), plain_text.trim_end());
    assert_eq!(ascii.token(), Some(TOKEN));
}

#[tokio::test]
async fn a_file_without_certificates_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let smtp = SmtpSettings {
        host: "mail.example.org".into(),
        port: 465,
        security: Security::Tls,
        login: None,
        ca_file: Some(file.clone()),
        patience: SmtpSettings::PATIENCE,
    };
    for text in
        ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    {
        std::fs::write(&file, text).unwrap();
        let refused = Mailer::new(&settings(smtp.clone(), None)).err().unwrap();
        assert!(refused.to_string().starts_with("mail.ca_file: "), "{refused}");
    }
}

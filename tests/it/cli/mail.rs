//! `portcullis mail` and the texts of an operator, as the binary does it.

use std::fs;

use serde_json::json;

use crate::support::process::Service;
use crate::support::smtp::{Certificate, Mode, Sink, Wish};

fn service(sink: &Sink) -> Service {
    let mut service = Service::bare().with("MAIL__FROM", "no-reply@example.org");
    for (key, value) in sink.configuration() {
        service.set(key, &value);
    }
    service
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_mail_is_sent_or_the_reason_is_told() {
    let Some(sink) = Sink::start(Mode::Tls) else { return };
    let service = service(&sink);
    let said = service.run(&["mail", "test", "ann@example.org", "--locale", "de"], None);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    assert_eq!(said.stdout, format!("sent by localhost, port {}\n", sink.port));
    assert_eq!(sink.mails_to("ann@example.org")[0].subject(), "Testnachricht von 127.0.0.1");

    sink.behave(&json!({ "*": { "rcpt": "550 5.1.1 <gone@example.org> canary" } }));
    let said = service.run(&["mail", "test", "gone@example.org"], None);
    assert_eq!((said.code, said.stdout.as_str()), (Some(69), ""));
    let reason = "the mail server refuses it: the recipient, 550 5.1.1";
    assert_eq!(said.stderr, format!("not sent by localhost, port {}: {reason}\n", sink.port));

    sink.down();
    let said = service.run(&["mail", "test", "ann@example.org"], None);
    assert_eq!(said.code, Some(69));
    assert!(said.stderr.contains("the mail server cannot be reached: "), "{}", said.stderr);

    let said = service.run(&["mail", "test", "no address"], None);
    assert_eq!(said.code, Some(65), "{}", said.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn eml_16_a_test_tells_of_a_certificate_that_is_not_good() {
    let certificate = Certificate::WrongName;
    let wish = Wish { mode: Mode::Tls, certificate, login: None, ascii: false };
    let Some(sink) = Sink::start_as(wish) else { return };
    let said = service(&sink).run(&["mail", "test", "ann@example.org"], None);
    assert_eq!(said.code, Some(69));
    assert!(said.stderr.contains("no verified TLS with the mail server: "), "{}", said.stderr);
    assert!(sink.mails().is_empty());
}

#[test]
fn without_a_mail_server_a_test_writes_a_file_or_says_that_it_sends_nothing() {
    let service = Service::bare();
    let said = service.run(&["mail", "test", "ann@example.org"], None);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let file = said.stdout.trim().strip_prefix("written to ").unwrap();
    let mail = fs::read_to_string(service.folder().join(file)).unwrap();
    assert!(mail.contains("\r\nTo: ann@example.org\r\n"));
    let service = Service::bare().with("MAIL__TRANSPORT", "off");
    let said = service.run(&["mail", "test", "ann@example.org"], None);
    assert_eq!(
        (said.code, said.stderr.trim()),
        (Some(1), "nothing is sent: mail.transport is \"off\"")
    );
}

#[test]
fn letters_can_be_looked_at_without_a_database() {
    let service = Service::bare().with("STORE__URL", "postgres://nobody@192.0.2.1/none");
    let said = service.run(&["mail", "render", "new_device", "--locale", "fr-CA"], None);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    let start = "Subject: Nouvelle connexion à votre compte sur 127.0.0.1\n\nBonjour,\n\n";
    assert!(said.stdout.starts_with(start), "{}", said.stdout);
    let said = service.run(&["mail", "render", "reset", "--format", "html"], None);
    assert!(said.stdout.starts_with("<!doctype html>"), "{}", said.stdout);
    let said = service.run(&["mail", "render", "test", "--format", "eml"], None);
    assert!(said.stdout.contains("\r\nTo: ann@example.org\r\n"), "{}", said.stdout);
    assert_eq!(service.run(&["mail", "render", "nothing"], None).code, Some(2));
    assert_eq!(
        fs::read_dir(service.folder())
            .unwrap()
            .filter(|it| { it.as_ref().unwrap().file_name() == "data" })
            .count(),
        0,
        "nothing is made"
    );
}

#[test]
fn broken_texts_stop_the_start_and_are_found_by_config_check() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("en.toml"), "[reset]\nsubject = '{{ nobody }}'\n").unwrap();
    fs::write(folder.path().join("notes.txt"), "x").unwrap();
    let service = Service::bare().with("MAIL__TEMPLATES", &folder.path().display().to_string());
    for arguments in [&["config", "check"][..], &["serve"], &["mail", "render", "reset"]] {
        let said = service.run(arguments, None);
        assert_eq!(said.code, Some(78), "{arguments:?}: {}", said.stderr);
        assert!(
            said.stderr.contains("mail.templates: ")
                && said.stderr.contains("notes.txt: nobody reads")
        );
    }
    fs::remove_file(folder.path().join("notes.txt")).unwrap();
    let said = service.run(&["config", "check"], None);
    assert_eq!(said.code, Some(78));
    assert!(said.stderr.contains("en.toml:2: undefined value"), "{}", said.stderr);
    fs::remove_file(folder.path().join("en.toml")).unwrap();
    assert_eq!(service.run(&["config", "check"], None).stdout, "ok\n");
}

//! What a reader gets, to the byte; that no field breaks out of its line; and what lies on the disk.

mod texts;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use uuid::Uuid;

use super::letters::Content;
use super::message::{Encoding, address};
use super::{Envelope, Language, MailError, Mailer, Settings, Transport};
use crate::Fault;
use crate::domain::ids::{JobId, UserId};
use crate::domain::job::{Letter, Mail};
use crate::domain::time::Timestamp;

const TOKEN: &str = "pcv_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fn settings(transport: Transport) -> Settings {
    Settings {
        transport,
        from: "Example Accounts <no-reply@example.org>".into(),
        public_url: "https://id.example.org".into(),
        ui_url: "https://app.example.org/account".into(),
        templates: None,
    }
}

fn mailer(dir: &Path) -> Mailer {
    Mailer::new(&settings(Transport::File { dir: dir.to_owned() })).unwrap()
}

fn envelope(attempt: i64) -> Envelope {
    let id = JobId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
    Envelope { id, attempt, made_at: Timestamp::from_micros(1_795_000_000_123_457) }
}

fn mail(to: &str, letter: Letter) -> Mail {
    Mail { to: to.into(), user_id: UserId(Uuid::nil()), letter }
}

fn verify(to: &str) -> Mail {
    mail(to, Letter::Verify { token: TOKEN.into(), lifetime_s: 86_400 })
}

fn composed(mail: &Mail) -> String {
    let mailer = Mailer::new(&settings(Transport::Off)).unwrap();
    String::from_utf8(compose(&mailer, mail).unwrap()).unwrap()
}

fn compose(mailer: &Mailer, mail: &Mail) -> Result<Vec<u8>, Fault> {
    compose_as(mailer, (Language::English, Encoding::Plain), mail)
}

fn compose_as(
    mailer: &Mailer,
    (language, encoding): (Language, Encoding),
    mail: &Mail,
) -> Result<Vec<u8>, Fault> {
    let to = address(&mail.to)?;
    mailer.compose(envelope(1), (language, Content::Letter(&mail.letter)), (&to, encoding))
}

/// The header of a message, one line an entry.
fn head(raw: &str) -> Vec<String> {
    let head = raw.split_once("\r\n\r\n").unwrap().0;
    head.replace("\r\n ", " ").split("\r\n").map(str::to_owned).collect()
}

#[test]
fn the_verification_mail_reads_well_and_has_its_link_whole_on_a_line() {
    let raw = composed(&verify("Ann@Example.org"));
    assert!(!raw.replace("\r\n", "").contains(['\r', '\n']), "each line ends with CR LF");
    let raw = raw.replace("\r\n", "\n");
    let (text, html) = raw.split_once("Content-Type: text/html").unwrap();
    insta::assert_snapshot!(text, @r##"
    Date: Wed, 18 Nov 2026 11:06:40 +0000
    Message-ID: <01900000-0000-7000-8000-000000000001@id.example.org>
    Auto-Submitted: auto-generated
    From: "Example Accounts" <no-reply@example.org>
    To: Ann@Example.org
    Subject: Confirm your e-mail address for id.example.org
    MIME-Version: 1.0
    Content-Type: multipart/alternative;
     boundary="01900000000070008000000000000001"

    --01900000000070008000000000000001
    Content-Type: text/plain; charset=utf-8
    Content-Transfer-Encoding: 7bit

    Hello,

    Somebody signed up with this e-mail address at the account service at
    id.example.org. If it was you, confirm the address here:

    https://app.example.org/account/verify#token=pcv_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8

    The link works once, within 24 hours. You will be asked for the password
    that you signed up with.

    If it was not you, there is nothing to do: nobody can use an account
    with your address unless you confirm it.

    For developers: the token is what follows "#token=" in the link, and this call takes it:
    POST https://id.example.org/v1/email/verify {"token": "...", "password": "..."}

    --01900000000070008000000000000001
    "##);
    insta::assert_snapshot!(html, @r#"
    ; charset=utf-8
    Content-Transfer-Encoding: 7bit

    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Confirm your e-mail address</title>
    </head>
    <body style="margin: 0; padding: 24px; background: #ffffff; color: #1a1a1a; font: 16px/1.5 system-ui, sans-serif">
    <main style="max-width: 36em; margin: 0 auto">
    <h1 style="margin: 0 0 16px; font-size: 22px; line-height: 1.3">Confirm your e-mail address</h1>
    <p>Hello,</p>
    <p>Somebody signed up with this e-mail address at the account service at
    id.example.org. If it was you, confirm the address here:</p>
    <p><a href="https:&#x2f;&#x2f;app.example.org&#x2f;account&#x2f;verify#token=pcv_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" style="color: #0b57d0; font-weight: 600">Confirm this address</a></p>
    <p>The link works once, within 24 hours. You will be asked for the password
    that you signed up with.</p>
    <p>If it was not you, there is nothing to do: nobody can use an account
    with your address unless you confirm it.</p>
    <hr style="margin: 24px 0; border: 0; border-top: 1px solid #c4c4c4">
    <p style="color: #595959; font-size: 14px">For developers: the token is what follows &quot;#token=&quot; in the link, and this call takes it:
    <code>POST https:&#x2f;&#x2f;id.example.org&#x2f;v1&#x2f;email&#x2f;verify {&quot;token&quot;: &quot;...&quot;, &quot;password&quot;: &quot;...&quot;}</code></p>
    </main>
    </body>
    </html>

    --01900000000070008000000000000001--
    "#);
}

#[test]
fn eml_08_the_notice_to_an_owner_holds_no_token_and_no_link() {
    let raw = composed(&mail("ann@example.org", Letter::AlreadyRegistered)).replace("\r\n", "\n");
    assert!(!raw.contains("pcv_") && !raw.contains("://"));
    let body = raw.split_once("\n\n").unwrap().1;
    insta::assert_snapshot!(body, @r#"
    --01900000000070008000000000000001
    Content-Type: text/plain; charset=utf-8
    Content-Transfer-Encoding: 7bit

    Hello,

    Somebody tried to use this e-mail address for an account at the account
    service at id.example.org. It already has an account there, so nothing
    was made and nothing was changed.

    If it was you, sign in with the password of that account.

    If it was not you, there is nothing to do: your account and your
    password are as they were.

    --01900000000070008000000000000001
    Content-Type: text/html; charset=utf-8
    Content-Transfer-Encoding: 7bit

    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>You already have an account</title>
    </head>
    <body style="margin: 0; padding: 24px; background: #ffffff; color: #1a1a1a; font: 16px/1.5 system-ui, sans-serif">
    <main style="max-width: 36em; margin: 0 auto">
    <h1 style="margin: 0 0 16px; font-size: 22px; line-height: 1.3">You already have an account</h1>
    <p>Hello,</p>
    <p>Somebody tried to use this e-mail address for an account at the account
    service at id.example.org. It already has an account there, so nothing
    was made and nothing was changed.</p>
    <p>If it was you, sign in with the password of that account.</p>
    <p>If it was not you, there is nothing to do: your account and your
    password are as they were.</p>
    </main>
    </body>
    </html>

    --01900000000070008000000000000001--
    "#);
}

#[test]
fn eml_01_a_link_leads_to_the_configured_site_whatever_the_address_says() {
    let raw = composed(&verify("http.//evil.example/{{7*7}}@example.org"));
    let links = raw.lines().filter(|line| line.starts_with("http"));
    let whole = format!("https://app.example.org/account/verify#token={TOKEN}");
    assert_eq!(links.collect::<Vec<_>>(), [whole]);
    assert!(!raw.contains("49"));
}

#[test]
fn eml_14_no_address_breaks_out_of_its_header() {
    let mailer = Mailer::new(&settings(Transport::Off)).unwrap();
    let refused = [
        "ann@example.org\r\nBcc: eve@example.org",
        "ann\r\nBcc: eve@example.org",
        "ann@example.org, eve@example.org",
        "\"ann\r\n.\r\nMAIL\"@example.org",
        "ann@example.org>\r\n\r\nbody",
        "<ann@example.org>",
        "ann\0@example.org",
        "ann@example.org\u{2028}Bcc:eve@example.org",
        "",
    ];
    for to in refused {
        let answer = compose(&mailer, &verify(to));
        assert!(answer.is_err(), "{to:?}");
        assert!(!format!("{answer:?}").contains("ann"), "the fault tells the address");
    }
    // Valid, odd, and inert: an encoded word is none inside of an address.
    for to in ["=?utf-8?q?=0d=0aBcc=3aeve?=@example.org", "!#$&'*+-/=?^_`{|}~@example.org"] {
        let raw = composed(&verify(to));
        assert_eq!(head(&raw).iter().filter(|line| line.starts_with("To: ")).count(), 1);
        assert!(head(&raw).contains(&format!("To: {to}")), "{:?}", head(&raw));
        assert_eq!(head(&raw).len(), 8, "{:?}", head(&raw));
    }
}

#[test]
fn whatever_is_an_address_here_is_one_for_the_mail_library() {
    let long = format!("{}@{}.org", "a".repeat(64), vec!["b".repeat(60); 3].join("."));
    for typed in ["a@b.org", "!#$&'*+-/=?^_`{|}~@example.org", "A.B+c@Sub.Example.org", &long] {
        assert_eq!(address(typed).unwrap().to_string(), typed);
        let raw = composed(&verify(typed));
        assert!(raw.lines().all(|line| line.len() <= 998), "RFC 5322, 2.1.1");
        assert!(head(&raw).contains(&format!("To: {typed}")));
    }
    assert_eq!(address(" Zoe@Bücher.Example ").unwrap().to_string(), "Zoe@xn--bcher-kva.example");
}

#[test]
fn a_sender_with_a_name_beyond_ascii_is_encoded() {
    let from = "Konten f\u{fc}r alle <no-reply@example.org>".to_owned();
    let mailer = Mailer::new(&Settings { from, ..settings(Transport::Off) }).unwrap();
    let raw = compose(&mailer, &verify("ann@example.org")).unwrap();
    let head = head(str::from_utf8(&raw).unwrap());
    assert!(head.iter().all(|line| line.is_ascii()), "{head:?}");
    assert!(head.iter().any(|line| line.starts_with("From: ") && line.contains("no-reply@")));
}

#[test]
fn message_ids_hold_the_host_without_port() {
    for (public_url, host) in [
        ("http://127.0.0.1:8080", "127.0.0.1"),
        ("http://[::1]:8080", "[::1]"),
        ("https://a-very-long-name-of-a-host.in-a-deep-tree-of-domains.example.org", ""),
    ] {
        let all = Settings { public_url: public_url.into(), ..settings(Transport::Off) };
        let raw = compose(&Mailer::new(&all).unwrap(), &verify("ann@example.org"));
        let raw = String::from_utf8(raw.unwrap()).unwrap();
        let host = if host.is_empty() { &public_url["https://".len()..] } else { host };
        let expected = format!("Message-ID: <{}@{host}>", envelope(1).id);
        assert!(head(&raw).contains(&expected), "{:?}", head(&raw));
    }
}

#[tokio::test]
async fn a_second_attempt_replaces_the_file_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("deep/outbox");
    let mailer = mailer(&dir);
    mailer.send(envelope(1), Language::English, &verify("ann@example.org")).await.unwrap();
    let file = dir.join(format!("{}.eml", envelope(1).id));
    let first = fs::read(&file).unwrap();
    // What a process that was killed in its second attempt leaves.
    fs::write(dir.join(format!(".{}.2.tmp", envelope(1).id)), TOKEN).unwrap();
    mailer.send(envelope(3), Language::English, &verify("ann@example.org")).await.unwrap();
    assert_eq!(fs::read(&file).unwrap(), first);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "no draft is left");
}

#[tokio::test]
async fn a_draft_that_is_a_link_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, victim) = (folder.path().join("outbox"), folder.path().join("victim"));
    fs::create_dir(&dir).unwrap();
    fs::write(&victim, "untouched").unwrap();
    for name in [format!(".{}.1.tmp", envelope(1).id), format!("{}.eml", envelope(1).id)] {
        std::os::unix::fs::symlink(&victim, dir.join(name)).unwrap();
    }
    mailer(&dir).send(envelope(1), Language::English, &verify("ann@example.org")).await.unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
}

#[tokio::test]
async fn a_folder_that_is_none_is_told_without_address_or_token() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("outbox");
    fs::write(&dir, "a file").unwrap();
    let error = mailer(&dir)
        .send(envelope(1), Language::English, &verify("ann@example.org"))
        .await
        .unwrap_err();
    assert!(matches!(error, MailError::NotTaken(_)));
    assert_eq!(error.to_string(), "the mail file cannot be written: File exists (os error 17)");
}

#[tokio::test]
async fn with_the_transport_off_nothing_is_written() {
    let mailer = Mailer::new(&settings(Transport::Off)).unwrap();
    mailer.send(envelope(1), Language::English, &verify("ann@example.org")).await.unwrap();
    let error =
        mailer.send(envelope(1), Language::English, &verify("no address")).await.unwrap_err();
    assert!(matches!(error, MailError::Unsendable(_)));
}

#[tokio::test]
async fn files_are_0600_in_0700() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("outbox");
    mailer(&dir).send(envelope(1), Language::English, &verify("ann@example.org")).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join(format!("{}.eml", envelope(1).id))), 0o600);
}

#[test]
fn cfg_12_files_are_0600_in_0700_whatever_the_umask() {
    // A umask belongs to a whole process, so it is one of its own.
    for umask in ["000", "022", "277"] {
        let run = Command::new("sh")
            .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "mail::tests::files_are_0600_in_0700"])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&run.stdout).into_owned();
        assert!(run.status.success() && told.contains("1 passed"), "umask {umask}: {told}");
    }
}

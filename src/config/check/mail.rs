//! The section `mail`: where mails go, and what they say instead of the built-in texts.

use std::path::{Path, PathBuf};

use lettre::message::Mailbox;

use crate::config::reader::{Reader, Reported};
use crate::config::sections::{Mail, MailTransport, Smtp};
use crate::config::values;

const URL: &str = "expected smtps://USER@HOST, or smtp://USER@HOST:587 for STARTTLS; a port may follow the host, \
                   and USER@ may be left out";

#[derive(Clone, Copy)]
enum Word {
    Smtp,
    File,
    Off,
}

pub(super) fn mail(reader: &mut Reader, data_dir: Option<&Path>) -> Option<Mail> {
    let transports = [("smtp", Word::Smtp), ("file", Word::File), ("off", Word::Off)];
    let transport = reader.choice("mail.transport", &transports);
    let dir = reader.text("mail.dir");
    let expected =
        "expected an address in ASCII, or a name and such an address: Example <id@example.org>";
    let from = reader.parsed("mail.from", expected, |text| {
        let mailbox = text.parse::<Mailbox>().ok()?;
        mailbox.email.user().is_ascii().then(|| text.to_owned())
    });
    let templates = reader.parsed("mail.templates", "expected a folder", |text| match text {
        "" => Some(None),
        path => Path::new(path).is_dir().then(|| Some(PathBuf::from(path))),
    });
    let smtp = smtp(reader);
    let dir = match dir? {
        unset if unset.is_empty() => {
            let dir = data_dir?.join("outbox");
            reader.derive("mail.dir", dir.display().to_string(), "data_dir");
            dir
        }
        named => PathBuf::from(named),
    };
    let transport = match (transport?, smtp.ok()?) {
        (Word::Smtp, Some(smtp)) => MailTransport::Smtp(smtp),
        (Word::Smtp, None) => {
            return reader.fault("mail.url", format!("is needed with mail.transport smtp; {URL}"));
        }
        (Word::File, _) => MailTransport::File,
        (Word::Off, _) => MailTransport::Off,
    };
    Some(Mail { transport, dir, from: from?, templates: templates? })
}

/// The mail server, or nothing where no URL is set.
fn smtp(reader: &mut Reader) -> Result<Option<Smtp>, Reported> {
    let url = reader.text("mail.url");
    let password = reader.secret("mail.password");
    let ca_file = reader.text("mail.ca_file");
    let (url, ca_file) = url.zip(ca_file).ok_or(Reported)?;
    let password = password?;
    let is_file = |path: &str| std::fs::metadata(path).is_ok_and(|it| it.is_file());
    if !ca_file.is_empty() && !is_file(&ca_file) {
        return fault(reader, "mail.ca_file", "expected a file that can be read");
    }
    if url.is_empty() {
        return Ok(None);
    }
    // SECURITY: CFG-04. `config show` prints the URL.
    if values::has_password(&url) {
        let expected = "a password belongs into mail.password or mail.password_file";
        return fault(reader, "mail.url", expected);
    }
    let Some(server) = values::smtp_url(&url) else {
        return fault(reader, "mail.url", URL);
    };
    let login = match (server.user, password) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        (Some(_), None) => {
            return fault(reader, "mail.password", "is needed: mail.url has a user");
        }
        (None, Some(_)) => {
            let expected = "is needed to log in with mail.password: smtps://USER@HOST";
            return fault(reader, "mail.url", expected);
        }
    };
    let ca_file = (!ca_file.is_empty()).then(|| PathBuf::from(ca_file));
    Ok(Some(Smtp { host: server.host, port: server.port, tls: server.tls, login, ca_file }))
}

fn fault<T>(reader: &mut Reader, key: &str, expected: &str) -> Result<T, Reported> {
    reader.fault(key, expected).ok_or(Reported)
}

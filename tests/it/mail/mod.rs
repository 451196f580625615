//! Mails on their way to a real mail server: what arrives, what is refused, and what is tried again.

mod jobs;
mod life;
mod texts;
mod transport;

use std::path::Path;
use std::sync::Arc;

use portcullis::domain::ids::{JobId, UserId};
use portcullis::domain::job::{Letter, Mail};
use portcullis::domain::time::Timestamp;
use portcullis::mail::{Envelope, Mailer, Settings, SmtpSettings, Transport};
use uuid::Uuid;

use crate::support::smtp::Sink;

const TOKEN: &str = "pcv_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fn settings(smtp: SmtpSettings, templates: Option<&Path>) -> Settings {
    Settings {
        transport: Transport::Smtp(smtp),
        from: "Konten für alle <no-reply@example.org>".into(),
        public_url: "https://id.example.org".into(),
        ui_url: "https://app.example.org".into(),
        templates: templates.map(Path::to_owned),
    }
}

fn mailer_of(smtp: SmtpSettings) -> Arc<Mailer> {
    Arc::new(Mailer::new(&settings(smtp, None)).unwrap())
}

fn mailer(sink: &Sink) -> Arc<Mailer> {
    mailer_of(sink.settings())
}

fn envelope(n: u128) -> Envelope {
    let made_at = Timestamp::from_micros(1_795_000_000_123_457);
    Envelope { id: JobId(Uuid::from_u128(n)), attempt: 1, made_at }
}

fn mail(to: &str, letter: Letter) -> Mail {
    Mail { to: to.into(), user_id: UserId(Uuid::nil()), letter }
}

fn verify(to: &str) -> Mail {
    mail(to, Letter::Verify { token: TOKEN.into(), lifetime_s: 86_400 })
}

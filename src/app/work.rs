//! From a configuration to what works beside the requests: how mails leave, and how jobs are worked off.

use crate::config::{Config, MailTransport, Smtp, SmtpTls};
use crate::jobs::WorkerSettings;
use crate::jobs::webhooks::DeliverySettings;
use crate::mail::{self, Security, SmtpSettings};

/// What a `Mailer` is made from.
pub fn mail_settings(config: &Config) -> mail::Settings {
    mail::Settings {
        transport: match &config.mail.transport {
            MailTransport::Smtp(smtp) => mail::Transport::Smtp(smtp_settings(smtp)),
            MailTransport::File => mail::Transport::File { dir: config.mail.dir.clone() },
            MailTransport::Off => mail::Transport::Off,
        },
        from: config.mail.from.clone(),
        public_url: config.public_url.clone(),
        ui_url: config.ui_url.clone(),
        templates: config.mail.templates.clone(),
    }
}

fn smtp_settings(smtp: &Smtp) -> SmtpSettings {
    SmtpSettings {
        host: smtp.host.clone(),
        port: smtp.port,
        security: match smtp.tls {
            SmtpTls::Implicit => Security::Tls,
            SmtpTls::StartTls => Security::StartTls,
            SmtpTls::Loopback => Security::Loopback,
        },
        login: smtp.login.clone(),
        ca_file: smtp.ca_file.clone(),
        patience: SmtpSettings::PATIENCE,
    }
}

/// What the workers are told.
pub fn worker_settings(config: &Config) -> WorkerSettings {
    WorkerSettings {
        workers: config.jobs.workers,
        poll_interval: config.jobs.poll_interval,
        lease: config.jobs.lease,
        attempts_max: config.jobs.attempts_max,
    }
}

/// What the deliveries of webhooks are told.
pub fn delivery_settings(config: &Config) -> DeliverySettings {
    DeliverySettings {
        per_endpoint: config.webhooks.per_endpoint,
        timeout: config.webhooks.timeout,
        poll_interval: config.jobs.poll_interval,
    }
}

//! From a configuration to what works beside the requests: how mails leave, and how jobs are worked off.

use crate::config::{Config, MailTransport};
use crate::jobs::WorkerSettings;
use crate::jobs::webhooks::DeliverySettings;
use crate::mail;

/// What a `Mailer` is made from.
pub fn mail_settings(config: &Config) -> mail::Settings {
    mail::Settings {
        transport: match config.mail.transport {
            MailTransport::File => mail::Transport::File { dir: config.mail.dir.clone() },
            MailTransport::Off => mail::Transport::Off,
        },
        from: config.mail.from.clone(),
        public_url: config.public_url.clone(),
        ui_url: config.ui_url.clone(),
        templates: config.mail.templates.clone(),
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

//! Turns what was written into what is meant, or lists everything that is wrong with it.
//!
//! The rules across keys live here and nowhere else. A section reads all its keys before it gives up,
//! so that one start tells every fault.

mod accounts;
mod keys;
mod mail;
mod outbound;
mod parts;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::Config;
use super::reader::Reader;
use super::sections::{Admin, Environment, Http};
use super::show::Shown;
use super::values;

const LISTEN: &str = "expected an address and a port, such as 127.0.0.1:8080";

/// Reads every key of `default.toml` once.
pub(super) fn config(reader: &mut Reader) -> Option<Config> {
    let data_dir = reader.parsed("data_dir", "expected a folder", |text| {
        (!text.is_empty()).then(|| PathBuf::from(text))
    });
    let listen = reader.parsed("http.listen", LISTEN, |text| text.parse().ok());
    let admin = admin(reader, listen);
    let public = public_url(reader, listen);
    let listeners = listen.zip(admin.as_ref().map(|admin| admin.listen));
    let environment = environment(reader, public.as_ref(), listeners);
    let ui_url = ui_url(reader, public.as_ref());
    let master_key_source = keys::source(reader, environment, data_dir.as_deref());
    let previous_master_keys = keys::previous(reader);
    let http = http(reader, listen, public.as_ref(), environment);
    let store = parts::store(reader, data_dir.as_deref());
    let token = parts::token(reader);
    let password = parts::password(reader, store.as_ref());
    let (signup, accounts) = (accounts::signup(reader), accounts::accounts(reader));
    let limits = accounts::limits(reader, environment);
    let (profile, mail) = (parts::profile(reader), mail::mail(reader, data_dir.as_deref()));
    let (outbound, webhooks) = (outbound::outbound(reader), outbound::webhooks(reader));
    let (jobs, audit) = (parts::jobs(reader), parts::audit(reader));
    let telemetry = parts::telemetry(reader);
    Some(Config {
        environment: environment?,
        public_url: public?.origin().ascii_serialization(),
        ui_url: ui_url?,
        data_dir: data_dir?,
        master_key_source: master_key_source?,
        previous_master_keys: previous_master_keys?,
        http: http?,
        admin: admin?,
        store: store?,
        token: token?,
        password: password?,
        signup: signup?,
        accounts: accounts?,
        limits: limits?,
        profile: profile?,
        mail: mail?,
        outbound: outbound?,
        webhooks: webhooks?,
        jobs: jobs?,
        audit: audit?,
        telemetry: telemetry?,
        shown: Shown::default(),
    })
}

fn public_url(reader: &mut Reader, listen: Option<SocketAddr>) -> Option<Url> {
    let text = reader.text("public_url")?;
    if text.is_empty() {
        let url = values::origin_of(listen?)?;
        reader.derive("public_url", url.origin().ascii_serialization(), "http.listen");
        return Some(url);
    }
    values::origin(&text).or_else(|| {
        let expected = format!(
            "expected http:// or https://, a host in lower case and a port only if it is not the usual \
             one; no path, no final slash, at most {} bytes, such as https://id.example.org",
            values::PUBLIC_URL_BYTES_MAX
        );
        reader.fault("public_url", expected)
    })
}

fn ui_url(reader: &mut Reader, public: Option<&Url>) -> Option<String> {
    let text = reader.text("ui_url")?;
    if text.is_empty() {
        let url = public?.origin().ascii_serialization();
        reader.derive("ui_url", url.clone(), "public_url");
        return Some(url);
    }
    let expected = "expected http:// or https:// and a host, perhaps a path; no final slash, no query, \
                    no fragment, at most 200 bytes, such as https://example.org/account";
    values::site(&text).or_else(|| reader.fault("ui_url", expected))
}

fn environment(
    reader: &mut Reader,
    public: Option<&Url>,
    listeners: Option<(SocketAddr, SocketAddr)>,
) -> Option<Environment> {
    let words =
        [("production", Environment::Production), ("development", Environment::Development)];
    let named = reader.text("environment")?;
    if !named.is_empty() {
        return reader.choice("environment", &words);
    }
    let (public, (http, admin)) = (public?, listeners?);
    let is_local = public.scheme() == "http"
        && public.host_str().is_some_and(values::is_loopback)
        && http.ip().to_canonical().is_loopback()
        && admin.ip().to_canonical().is_loopback();
    let (word, environment) = if is_local {
        ("development", Environment::Development)
    } else {
        ("production", Environment::Production)
    };
    reader.derive("environment", word.to_owned(), "public_url and the listeners");
    Some(environment)
}

fn http(
    reader: &mut Reader,
    listen: Option<SocketAddr>,
    public: Option<&Url>,
    environment: Option<Environment>,
) -> Option<Http> {
    let request_timeout = reader.duration("http.request_timeout", "100ms", "5m");
    let head_timeout = reader.duration("http.head_timeout", "1s", "1m");
    let body_timeout = reader.duration("http.body_timeout", "100ms", "5m");
    let body_bytes_max = reader.number("http.body_bytes_max", 1024..=1_048_576);
    let keep_alive = reader.duration("http.keep_alive", "1s", "1h");
    let allowed_hosts = allowed_hosts(reader, public, environment);
    let drain_delay = drain_delay(reader, environment);
    let shutdown_timeout = reader.duration("http.shutdown_timeout", "1s", "10m");
    Some(Http {
        listen: listen?,
        request_timeout: request_timeout?,
        head_timeout: head_timeout?,
        body_timeout: body_timeout?,
        body_bytes_max: body_bytes_max?,
        keep_alive: keep_alive?,
        allowed_hosts: allowed_hosts?,
        drain_delay: drain_delay?,
        shutdown_timeout: shutdown_timeout?,
    })
}

fn drain_delay(reader: &mut Reader, environment: Option<Environment>) -> Option<Duration> {
    if reader.text("http.drain_delay")?.is_empty() {
        let unset = if environment? == Environment::Production { "5s" } else { "0s" };
        reader.derive("http.drain_delay", unset.to_owned(), "environment");
    }
    reader.duration("http.drain_delay", "0s", "5m")
}

fn admin(reader: &mut Reader, public: Option<SocketAddr>) -> Option<Admin> {
    let listen: SocketAddr = reader.parsed("admin.listen", LISTEN, |text| text.parse().ok())?;
    // SECURITY: AUZ-05. Who can reach the public listener must not reach this one by it.
    if public.is_some_and(|public| values::overlap(public, listen)) {
        return reader.fault("admin.listen", "expected another address or port than http.listen");
    }
    Some(Admin { listen })
}

fn allowed_hosts(
    reader: &mut Reader,
    public: Option<&Url>,
    environment: Option<Environment>,
) -> Option<Vec<String>> {
    let named = reader.list("http.allowed_hosts")?;
    if !named.is_empty() {
        let hosts: Option<Vec<_>> = named.iter().map(|name| values::host(name)).collect();
        let expected = "expected host names without scheme, port or wildcard";
        return hosts.or_else(|| reader.fault("http.allowed_hosts", expected));
    }
    let public = public?.host_str()?;
    let mut hosts = vec![public.to_owned()];
    if environment? == Environment::Development {
        let loopback = ["localhost", "127.0.0.1", "[::1]"].map(ToOwned::to_owned);
        hosts.extend(loopback.into_iter().filter(|name| name != public));
    }
    reader.derive_list("http.allowed_hosts", &hosts, "public_url");
    Some(hosts)
}

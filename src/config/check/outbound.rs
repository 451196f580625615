//! What is called by this service, how often, and which addresses are let through.

use std::net::IpAddr;

use ipnet::IpNet;
use url::Url;

use crate::config::reader::Reader;
use crate::config::sections::{CallRate, Outbound, Webhooks};
use crate::config::values;

/// LIMIT: ours; each call compares its address with all of them.
const NETWORKS_MAX: usize = 64;
/// LIMIT: ours; the URL of a mirror.
const URL_BYTES_MAX: usize = 200;

pub(super) fn outbound(reader: &mut Reader) -> Option<Outbound> {
    let allow_networks = allow_networks(reader);
    let mail_server = rate(reader, "mail");
    let breach_list = rate(reader, "breach");
    let webhooks = rate(reader, "webhook");
    Some(Outbound {
        allow_networks: allow_networks?,
        mail_server: mail_server?,
        breach_list: breach_list?,
        webhooks: webhooks?,
    })
}

pub(super) fn webhooks(reader: &mut Reader) -> Option<Webhooks> {
    Some(Webhooks { allow_http: reader.flag("webhooks.allow_http")? })
}

fn rate(reader: &mut Reader, name: &str) -> Option<CallRate> {
    let per_minute = reader.number(&format!("outbound.{name}_per_minute"), 1..=600_000);
    let burst = reader.number(&format!("outbound.{name}_burst"), 1..=10_000);
    Some(CallRate { per_minute: per_minute?, burst: burst? })
}

fn allow_networks(reader: &mut Reader) -> Option<Vec<IpNet>> {
    let words = reader.list("outbound.allow_networks")?;
    let nets: Option<Vec<IpNet>> = words.iter().map(|word| network(word)).collect();
    nets.filter(|nets| nets.len() <= NETWORKS_MAX).or_else(|| {
        let expected = "expected at most 64 addresses or networks, such as 10.1.2.3, 10.0.0.0/8 or \
                        fd00::/8, with all bits behind the prefix zero";
        reader.fault("outbound.allow_networks", expected)
    })
}

fn network(text: &str) -> Option<IpNet> {
    let net = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse().ok()?,
    };
    // Anything else is a slip: 10.1.2.3/8 would let more through than it says.
    (net == net.trunc()).then_some(net)
}

/// SECURITY: PWD-10. Who is on the way to the list must not answer for it: https, or http to this host.
pub(super) fn breach_url(reader: &mut Reader) -> Option<String> {
    let expected = "expected https:// and a host (http:// only to this host), no query, a final slash, at \
                    most 200 bytes, such as https://api.pwnedpasswords.com/range/";
    reader.parsed("password.breach_url", expected, |text| is_base(text).then(|| text.to_owned()))
}

fn is_base(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let is_here = url.host_str().is_some_and(values::is_loopback);
    (url.scheme() == "https" || (url.scheme() == "http" && is_here))
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && text.ends_with('/')
        && text.len() <= URL_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

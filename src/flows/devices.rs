//! Whether a login comes from a device that the account has not seen, and the notice of it (EML-11).

use std::net::IpAddr;

use crate::Fault;
use crate::domain::job::{Letter, Mail};
use crate::domain::session::Session;
use crate::domain::user::User;
use crate::flows::{Stamp, mails};
use crate::store::{Writer, sessions};

/// LIMIT: the newest sessions that are looked at: one step in an index, and some 10 KiB.
const PLACES_MAX: i64 = 50;

/// What is compared of a session: the kind of client, and the network that it came from.
#[derive(PartialEq, Eq)]
struct Device {
    family: String,
    network: String,
}

impl Device {
    fn new(address: &str, user_agent: Option<&str>) -> Self {
        Self { family: family(user_agent.unwrap_or_default()), network: network(address) }
    }
}

/// Tells the owner of `session`, which is not stored yet, if no session before came from a device like this.
///
/// The first session of an account is no surprise.
pub(super) async fn tell_if_new(
    tx: &mut Writer,
    stamp: &Stamp,
    user: &User,
    session: &Session,
) -> Result<(), Fault> {
    if user.email_verified_at.is_none() {
        return Ok(());
    }
    let seen = sessions::list_places(tx, user.id, PLACES_MAX).await?;
    let here = Device::new(&session.address, session.user_agent.as_deref());
    let is_here = |(address, agent): &(String, Option<String>)| {
        Device::new(address, agent.as_deref()) == here
    };
    if seen.is_empty() || seen.iter().any(is_here) {
        return Ok(());
    }
    let letter = Letter::NewDevice {
        at: session.created_at,
        address: session.address.clone(),
        user_agent: session.user_agent.clone(),
    };
    let notice = Mail { to: user.email.clone(), user_id: user.id, letter };
    mails::post(tx, stamp, notice).await.map(|_is_posted| ())
}

/// What a client calls itself without its versions, so that an update makes no new device.
fn family(user_agent: &str) -> String {
    let is_version = |one: &char| one.is_ascii_digit() || matches!(one, '.' | '_');
    user_agent.chars().filter(|one| !is_version(one)).collect()
}

/// The network that a provider gives to one place: /24 of IPv4, /48 of IPv6.
fn network(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V4(address)) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}")
        }
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}")
        }
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_makes_no_new_device_and_another_browser_does() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";
        let updated = "Mozilla/5.0 (X11; Linux x86_64; rv:131.1) Gecko/20100101 Firefox/131.1";
        let phone = "Mozilla/5.0 (Android 14; Mobile; rv:130.0) Gecko/130.0 Firefox/130.0";
        assert_eq!(family(firefox), family(updated));
        assert_ne!(family(firefox), family(phone));
        assert_ne!(family("curl/8.1"), family(""));
    }

    #[test]
    fn neighbours_are_of_one_network() {
        assert_eq!(network("192.0.2.1"), network("192.0.2.200"));
        assert_ne!(network("192.0.2.1"), network("192.0.3.1"));
        assert_eq!(network("2001:db8:7:1::1"), network("2001:db8:7:2::9"));
        assert_ne!(network("2001:db8:7::1"), network("2001:db8:8::1"));
        assert_eq!(network(""), "");
    }
}

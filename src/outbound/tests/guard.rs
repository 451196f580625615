//! Which URLs are taken, and which addresses are public.

use std::net::IpAddr;

use crate::outbound::guard::Reach;
use crate::outbound::{Guard, UrlFault, is_public};

fn nets(texts: &[&str]) -> Vec<ipnet::IpNet> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn refused(text: &str) -> Option<UrlFault> {
    Guard::new(Vec::new(), true).check_url(text).err()
}

#[test]
fn whk_05_no_closed_address_is_public() {
    let closed = [
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ];
    for text in closed {
        assert!(!is_public(text.parse().unwrap()), "{text}");
    }
    let open = [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.0.1",
        "172.32.0.1",
        "192.167.1.1",
        "198.17.0.1",
        "198.20.0.1",
        "223.255.255.255",
        "::ffff:1.1.1.1",
        "2001:200::1",
        "2606:4700:4700::1111",
        "2a00:1450::1",
        "3ffe::1",
    ];
    for text in open {
        assert!(is_public(text.parse().unwrap()), "{text}");
    }
}

#[test]
fn whk_05_every_spelling_of_a_closed_address_is_refused() {
    let hosts = [
        "0",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "127.1",
        "0177.0.0.1",
        "0x7f.1",
        "127.0.0.1",
        "127.0.0.1.",
        "127。0。0。1",
        "１２７.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[fd00::1]",
        "[2002:7f00:1::]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "%6c%6f%63%61lhost",
        "0xa9fea9fe",
    ];
    for host in hosts {
        let url = format!("https://{host}/hook");
        assert_eq!(refused(&url), Some(UrlFault::NotPublic), "{url}");
    }
    for host in ["256.0.0.1", "127.0.0.1.5", "0x100000000", "[::1%25eth0]", "[::1", "a b"] {
        let url = format!("https://{host}/hook");
        assert_eq!(refused(&url), Some(UrlFault::NotAUrl), "{url}");
    }
}

#[test]
fn whk_05_the_form_of_a_url_is_checked() {
    let cases = [
        ("hook", UrlFault::NotAUrl),
        ("//example.org/", UrlFault::NotAUrl),
        ("https:///", UrlFault::NotAUrl),
        ("https://exam\nple.org/", UrlFault::NotAUrl),
        (" https://example.org/", UrlFault::NotAUrl),
        ("https://example.org/a b", UrlFault::NotAUrl),
        ("ftp://example.org/", UrlFault::NotHttp),
        ("file:///etc/passwd", UrlFault::NotHttp),
        ("gopher://example.org/", UrlFault::NotHttp),
        ("unix:/run/docker.sock", UrlFault::NotHttp),
        ("https://ann@example.org/", UrlFault::UserInfo),
        ("https://:x@example.org/", UrlFault::UserInfo),
        ("https://example.org@127.0.0.1/", UrlFault::UserInfo),
        ("https://example.org/#here", UrlFault::Fragment),
        ("https://example.org:22/", UrlFault::Port),
        ("https://example.org:25/", UrlFault::Port),
        ("https://1.1.1.1:6379/", UrlFault::Port),
        ("http://example.org:0/", UrlFault::Port),
    ];
    for (url, fault) in cases {
        assert_eq!(refused(url), Some(fault), "{url:?}");
    }
    assert_eq!(
        refused(&format!("https://example.org/{}", "a".repeat(2048))),
        Some(UrlFault::TooLong)
    );
    let strict = Guard::default();
    assert_eq!(strict.check_url("http://example.org/").err(), Some(UrlFault::NotHttps));
    assert_eq!(strict.check_url("ws://example.org/").err(), Some(UrlFault::NotHttps));
    for url in [
        "https://example.org",
        "https://example.org:8443/hooks?a=b",
        "https://bücher.example/",
        "https://1.1.1.1/",
        "https://[2606:4700::1111]/",
        "https://receiver/",
    ] {
        assert!(strict.check_url(url).is_ok(), "{url}");
    }
}

#[test]
fn whk_05_what_an_operator_lets_through_passes_on_any_port() {
    let guard = Guard::new(nets(&["127.0.0.0/8", "10.1.2.3/32"]), true);
    for url in ["http://127.0.0.1:9/", "http://[::ffff:127.0.0.1]:9/", "http://localhost:22/"] {
        assert_eq!(guard.check_url(url).unwrap().reach, Reach::Allowed, "{url}");
    }
    assert_eq!(guard.check_url("http://10.1.2.4/").err(), Some(UrlFault::NotPublic));
    assert_eq!(guard.check_url("http://1.1.1.1:22/").err(), Some(UrlFault::Port));

    // What a name stands for is not known yet: with such a port it must be let through by name of its network.
    let name = guard.check_url("http://receiver:9000/").unwrap();
    assert_eq!(name.reach, Reach::Allowed);
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    assert!(!guard.admits(address("1.1.1.1"), name.reach));
    assert!(guard.admits(address("10.1.2.3"), name.reach));
    let usual = guard.check_url("http://receiver/").unwrap();
    assert_eq!(usual.reach, Reach::Public);
    assert!(guard.admits(address("1.1.1.1"), usual.reach));
    assert!(guard.admits(address("::ffff:10.1.2.3"), usual.reach));
    assert!(!guard.admits(address("10.1.2.4"), usual.reach));
}

#[test]
fn log_03_a_checked_url_shows_no_path_and_a_fault_quotes_nothing() {
    let url = Guard::default().check_url("https://Example.ORG./s3cret?key=s3cret").unwrap();
    assert_eq!(format!("{url:?}"), "CheckedUrl(https://example.org.…)");
    assert_eq!(url.host(), "example.org");
    assert_eq!(url.as_str(), "https://example.org./s3cret?key=s3cret");
    let fault = refused("https://s3cret@example.org/").unwrap().at("/url");
    assert_eq!((fault.pointer.as_str(), fault.code.as_str()), ("/url", "invalid_format"));
    assert!(!fault.detail.contains("s3cret"), "{}", fault.detail);
}

//! WHK-05 and T-11: nothing reaches a listener inside, by whatever name or spelling.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use portcullis::outbound::{CallError, SystemLookup, UrlFault};

use super::dns::NameServer;
use super::{call, outbound, outbound_with, settings};
use crate::support::stranger::{Habit, Stranger, answer};

/// A server on an address of loopback that no other test has, on a port that may be called.
async fn inside() -> (Stranger, Ipv4Addr) {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let process = std::process::id().to_be_bytes();
    let (number, high) = (NEXT.fetch_add(1, Ordering::Relaxed), 64 + (process[1] & 0x3f));
    let address = Ipv4Addr::new(127, high, process[2] ^ number.rotate_left(4), process[3]);
    let habit = Habit::Answers(answer("200 OK", "", "inside"));
    (Stranger::listen(SocketAddr::new(address.into(), 8080), habit).await, address)
}

#[tokio::test]
async fn whk_05_thirty_bad_urls_and_the_listener_sees_nothing() {
    let (listener, address) = inside().await;
    let any = Stranger::answering("200 OK", "", "any").await;
    let (port, [_, b, c, d]) = (any.address().port(), address.octets());
    let mapped = format!("{:x}{b:02x}:{c:02x}{d:02x}", 127);
    let number = u32::from(address);
    let names = NameServer::start().await;
    for name in ["inside.example", "metadata.example", "private.example"] {
        names.set(name, &[&[address]]);
    }
    let bad = [
        format!("http://{address}:8080/"),
        format!("http://{number}:8080/"),
        format!("http://{number:#x}:8080/"),
        format!("http://0{number:o}:8080/"),
        format!("http://127.{}:8080/", number & 0x00ff_ffff),
        format!("http://127.{b}.{c}.{d}.:8080/"),
        format!("http://0x7f.{b}.{c}.{d}:8080/"),
        format!("http://127。{b}。{c}。{d}:8080/"),
        format!("http://[::ffff:{address}]:8080/"),
        format!("http://[::ffff:{mapped}]:8080/"),
        format!("http://[64:ff9b::{mapped}]:8080/"),
        format!("http://[2002:{mapped}::1]:8080/"),
        format!("http://[::{mapped}]:8080/"),
        format!("http://user@{address}:8080/"),
        format!("http://1.1.1.1@{address}:8080/"),
        format!("http://user:pass@{address}:8080/"),
        format!("http:\\\\{address}:8080\\"),
        format!("http:{address}:8080/"),
        format!("https://{address}:8080/"),
        format!("ftp://{address}:8080/"),
        format!("ws://{address}:8080/"),
        format!("http://\t{address}:8080/"),
        "http://inside.example:8080/".to_owned(),
        "http://INSIDE.example:8080/".to_owned(),
        "http://metadata.example:8080/latest/meta-data".to_owned(),
        format!("http://private.example:{port}/"),
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://a.localhost:{port}/"),
        format!("http://0:{port}/"),
        format!("http://0x7f000001:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://[64:ff9b::7f00:1]:{port}/"),
        format!("http://[::1]:{port}/"),
        "http://127.0.0.1:22/".to_owned(),
    ];
    let strict = outbound_with(&settings(&[]), names.resolver());
    for url in &bad {
        let refused = call(&strict.webhooks, url).await.unwrap_err();
        assert!(matches!(refused, CallError::Url(_) | CallError::NotPublic), "{url}: {refused:?}");
    }
    assert_eq!((listener.connections(), any.connections()), (0, 0));
    assert_eq!(names.asked().len(), 3, "a name is asked for, an address is not");

    // The listeners would have answered: the same calls go through where they are let through.
    let open = outbound_with(&settings(&["127.0.0.0/8"]), names.resolver());
    for url in [&bad[0], &bad[1], &bad[8], &bad[22], &bad[25]] {
        let is_there = call(&open.webhooks, url).await.map(|answer| answer.status);
        let reached = if url.contains(":8080") { Some(200) } else { None };
        assert_eq!(is_there.ok(), reached, "{url}");
    }
    assert_eq!(listener.connections(), 4);
}

#[tokio::test]
async fn whk_05_what_was_checked_is_dialled_and_rebinding_gains_nothing() {
    let (checked, open) = inside().await;
    let (listener, closed) = inside().await;
    let names = NameServer::start().await;
    // With a TTL of zero: the first answer may be called, every later one must not.
    names.set("rebinding.example", &[&[open], &[closed]]);
    let outbound = outbound_with(&settings(&[&format!("{open}/32")]), names.resolver());
    let url = "http://rebinding.example:8080/";

    let first = call(&outbound.webhooks, url).await.unwrap();
    assert_eq!((first.status, checked.connections()), (200, 1));
    assert_eq!(names.asked().len(), 1, "one question a connection: there is no second answer");
    let head = checked.seen().remove(0);
    assert!(head.contains("\r\nhost: rebinding.example:8080\r\n"), "{head}");

    for _ in 0..3 {
        assert!(matches!(call(&outbound.webhooks, url).await, Err(CallError::NotPublic)));
    }
    assert_eq!((checked.connections(), listener.connections()), (1, 0));
    assert_eq!(names.asked().len(), 4);
}

#[tokio::test]
async fn whk_05_one_bad_address_spoils_the_answer() {
    let (good, open) = inside().await;
    let (listener, closed) = inside().await;
    let names = NameServer::start().await;
    names.set("mixed.example", &[&[open, closed]]);
    names.set("mixed-too.example", &[&[closed, open]]);
    names.set("last.example", &[&[[open; 40].as_slice(), &[closed]].concat()]);
    names.set("good.example", &[&[open, open]]);
    let outbound = outbound_with(&settings(&[&format!("{open}/32")]), names.resolver());
    for name in ["mixed", "mixed-too", "last"] {
        let refused = call(&outbound.webhooks, &format!("http://{name}.example:8080/")).await;
        assert!(matches!(refused, Err(CallError::NotPublic)), "{name}: {refused:?}");
    }
    assert_eq!((good.connections(), listener.connections()), (0, 0));
    assert!(call(&outbound.webhooks, "http://good.example:8080/").await.is_ok());
    let nobody = call(&outbound.webhooks, "http://nobody.example:8080/").await;
    assert!(matches!(nobody, Err(CallError::Failed(_))), "{nobody:?}");
}

#[tokio::test]
async fn whk_05_an_unusual_port_is_open_only_where_networks_are_let_through() {
    let stranger = Stranger::answering("204 No Content", "", "").await;
    let port = stranger.address().port();
    let names = NameServer::start().await;
    names.set("inside.example", &[&[Ipv4Addr::LOCALHOST]]);
    names.set("outside.example", &[&[Ipv4Addr::new(192, 88, 98, 1)]]);
    let outbound = outbound_with(&settings(&["127.0.0.0/8"]), names.resolver());
    let inside = call(&outbound.webhooks, &format!("http://inside.example:{port}/")).await.unwrap();
    assert_eq!(inside.status, 204);
    // A public address on such a port is not dialled, though the address itself would do.
    let outside = call(&outbound.webhooks, "http://outside.example:22/").await;
    assert!(matches!(outside, Err(CallError::NotPublic)), "{outside:?}");
}

#[tokio::test]
async fn whk_05_the_resolver_of_the_system_is_guarded_too() {
    let stranger = Stranger::answering("200 OK", "", "").await;
    let open = outbound();
    let url = format!("http://localhost:{}/", stranger.address().port());
    // Where localhost is also ::1 the answer is mixed, and ::1 is not let through here.
    let both = outbound_with(&settings(&["127.0.0.0/8", "::1/128"]), Arc::new(SystemLookup));
    assert_eq!(call(&both.webhooks, &url).await.unwrap().status, 200);
    let strict = outbound_with(&settings(&[]), Arc::new(SystemLookup));
    assert!(matches!(call(&strict.webhooks, &url).await, Err(CallError::Url(UrlFault::NotPublic))));
    let literal = format!("http://{}/", stranger.address());
    assert_eq!(call(&open.webhooks, &literal).await.unwrap().status, 200);
    assert_eq!(stranger.connections(), 2);
}

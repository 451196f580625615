//! WHK-06, WHK-07 and WHK-12: what a stranger answers costs little, leads nowhere and takes no longer than it may.

use std::time::Duration;

use portcullis::outbound::{CallError, NoToken, Rate};
use tokio::time::Instant;

use super::{call, call_within, outbound, outbound_with, post, settings};
use crate::support::stranger::{Habit, Stranger};

const CAP: usize = 64 * 1024;

#[tokio::test]
async fn a_call_says_who_it_is_and_nothing_else() {
    let stranger =
        Stranger::answering("200 OK", "retry-after: 7\r\nset-cookie: a=b\r\n", "there").await;
    let outbound = outbound();
    for _ in 0..2 {
        let answer = call(&outbound.webhooks, &stranger.url("/hook?a=b")).await.unwrap();
        assert_eq!(
            (answer.status, answer.body.as_slice(), answer.is_cut),
            (200, &b"there"[..], false)
        );
        assert_eq!(answer.retry_after, Some(Duration::from_secs(7)));
    }
    for request in stranger.seen() {
        let mut head: Vec<_> = request.split("\r\n\r\n").next().unwrap().lines().collect();
        head[1..].sort_unstable();
        let expected = [
            "POST /hook?a=b HTTP/1.1".to_owned(),
            "accept: */*".to_owned(),
            "content-length: 7".to_owned(),
            "content-type: application/json".to_owned(),
            format!("host: {}", stranger.address()),
            format!("user-agent: portcullis/{}", env!("CARGO_PKG_VERSION")),
        ];
        assert_eq!(head, expected, "no cookie, no encoding, no referer");
    }
}

#[tokio::test]
async fn whk_06_a_redirect_is_an_answer_and_leads_nowhere() {
    let target = Stranger::answering("200 OK", "", "").await;
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let location = format!("location: {}\r\n", target.url("/"));
        let stranger = Stranger::answering(status, &location, "").await;
        let answer = call(&outbound().webhooks, &stranger.url("/")).await.unwrap();
        assert_eq!((answer.status / 100, answer.is_success()), (3, false));
        assert_eq!(stranger.connections(), 1);
    }
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn whk_07_a_tarpit_is_left_at_the_deadline() {
    let tarpit = Stranger::start(Habit::Tarpit).await;
    let begun = Instant::now();
    let left =
        call_within(&outbound().webhooks, &tarpit.url("/"), Duration::from_millis(300)).await;
    assert!(matches!(left, Err(CallError::TimedOut)), "{left:?}");
    assert!((Duration::from_millis(290)..Duration::from_secs(3)).contains(&begun.elapsed()));
}

#[tokio::test]
async fn whk_07_no_call_takes_longer_than_fifteen_seconds() {
    let tarpit = Stranger::start(Habit::Tarpit).await;
    let outbound = outbound();
    let url = tarpit.url("/");
    let calling = call_within(&outbound.webhooks, &url, Duration::from_hours(1));
    let watching = async {
        tarpit.wait_for(1).await;
        // From here on the clock leaps to the next thing that is due.
        tokio::time::pause();
    };
    let begun = Instant::now();
    let (left, ()) = tokio::join!(calling, watching);
    assert!(matches!(left, Err(CallError::TimedOut)), "{left:?}");
    let took = begun.elapsed();
    assert!((Duration::from_secs(14)..=Duration::from_millis(15_100)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn whk_07_an_endless_body_is_cut() {
    let chunk = [&b"4000\r\n"[..], &[b'x'; 0x4000], b"\r\n"].concat();
    let endless = [
        (&b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"[..], chunk.as_slice()),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n", &[b'x'; 0x4000]),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", &[b'x'; 0x4000]),
    ];
    for (head, again) in endless {
        let stranger = Stranger::start(Habit::Endless(head.to_vec(), again.to_vec())).await;
        let answer = call(&outbound().webhooks, &stranger.url("/")).await.unwrap();
        assert_eq!((answer.status, answer.body.len(), answer.is_cut), (200, CAP, true));
    }
    let whole = Stranger::answering("200 OK", "", &"x".repeat(CAP)).await;
    let answer = call(&outbound().webhooks, &whole.url("/")).await.unwrap();
    assert_eq!((answer.body.len(), answer.is_cut), (CAP, false));
}

#[tokio::test]
async fn whk_07_endless_headers_are_cut() {
    let line = format!("x-a: {}\r\n", "a".repeat(1000));
    for again in [line.as_str(), "x: y\r\n", "no line break at all"] {
        let head = b"HTTP/1.1 200 OK\r\n".to_vec();
        let stranger = Stranger::start(Habit::Endless(head, again.into())).await;
        let begun = Instant::now();
        let cut = call(&outbound().webhooks, &stranger.url("/")).await;
        assert!(matches!(cut, Err(CallError::Failed(_))), "{cut:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "by size, not by time");
    }
    // Interim answers never end the wait for the real one.
    let interim = b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec();
    let stranger = Stranger::start(Habit::Endless(interim.clone(), interim)).await;
    let time = Duration::from_millis(500);
    let cut = call_within(&outbound().webhooks, &stranger.url("/"), time).await;
    assert!(matches!(cut, Err(CallError::TimedOut | CallError::Failed(_))), "{cut:?}");
}

#[tokio::test]
async fn what_is_no_http_or_no_connection_fails_and_tells_no_url() {
    let garbage = Stranger::start(Habit::Answers(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec())).await;
    let resets = Stranger::start(Habit::Resets).await;
    let gone = crate::support::process::free_address();
    let urls = [garbage.url("/s3cret"), resets.url("/s3cret"), format!("http://{gone}/s3cret")];
    for url in urls {
        let failed = call(&outbound().webhooks, &url).await.unwrap_err();
        let CallError::Failed(text) = &failed else { panic!("{failed:?}") };
        assert!(!text.contains("s3cret") && !text.is_empty(), "{text}");
    }
    assert_eq!(resets.connections(), 1, "nothing is repeated by the library");
    let mut call = post(outbound().webhooks.check_url(&garbage.url("/")).unwrap());
    call.headers.push(("webhook-signature", "s3cret\r\nx: y".into()));
    let refused = outbound().webhooks.call(call, Instant::now() + Duration::from_secs(5)).await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("webhook-signature") && !text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn a_host_has_its_own_bucket_and_a_full_wait_is_refused_at_once() {
    let (one, other) = (
        Stranger::answering("200 OK", "", "").await,
        Stranger::listen("127.0.0.2:0".parse().unwrap(), Habit::Tarpit).await,
    );
    let mut settings = settings(&["127.0.0.0/8"]);
    settings.webhooks_per_host = Rate { per_minute: 1, burst: 2 };
    let outbound =
        outbound_with(&settings, std::sync::Arc::new(portcullis::outbound::SystemLookup));
    for _ in 0..2 {
        call(&outbound.webhooks, &one.url("/")).await.unwrap();
    }
    let begun = Instant::now();
    let refused = call(&outbound.webhooks, &one.url("/other-path")).await;
    assert!(matches!(refused, Err(CallError::NoToken(NoToken { .. }))), "{refused:?}");
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(one.connections(), 2);
    let slow = call_within(&outbound.webhooks, &other.url("/"), Duration::from_millis(200)).await;
    assert!(matches!(slow, Err(CallError::TimedOut)), "another host is not held up: {slow:?}");
    assert_eq!(other.connections(), 1);
}

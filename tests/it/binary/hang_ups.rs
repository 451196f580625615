//! Clients that leave in the middle, by FIN or by RST (F03, REL-08): no half state, no poisoned connection, nothing
//! taken that is not given back.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::crypto::random::Random;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{PASSWORD, Tokens, log_in, refresh, register, sign_up, sign_up_body};
use crate::support::database::TestDatabase;
use crate::support::invariants::assert_invariants;
use crate::support::process::Service;

/// Of each manner.
const HANG_UPS: usize = 300;

/// Longer than a hash takes, so that clients leave before, in and after it.
const PATIENCE: Duration = Duration::from_millis(80);

#[derive(Clone, Copy)]
enum Manner {
    /// Says that nothing more comes, and goes.
    Fin,
    /// Breaks the connection off.
    Reset,
}

on_every_backend! {
    async fn f03_clients_that_leave_in_the_middle_harm_nobody(db: TestDatabase) {
        let seed = u64::from_be_bytes(Random::system().bytes());
        say(&format!("seed {seed}"));
        let service = Service::on(&db).with("PASSWORD__QUEUE_WAIT_MAX", "30s").started().await;
        let mut people = Vec::new();
        for n in 0..4 {
            people.push((format!("p{n}@example.org"), register(&service, &format!("p{n}@example.org")).await));
        }
        let descriptors = descriptors(&service);
        for manner in [Manner::Fin, Manner::Reset] {
            leave(service.address(), manner, &people, &Random::seeded(seed)).await;
        }

        settled(&service, &db).await;
        let began = Instant::now();
        hundred_normal_requests(&service, &people).await;
        assert!(began.elapsed() < Duration::from_secs(20), "slow: {:?}", began.elapsed());
        settled(&service, &db).await;
        let now = self::descriptors(&service);
        // The connections of our own client may have come, and those of a pool that has grown.
        assert!(now <= descriptors + 20, "{descriptors} descriptors before, {now} after");
        assert_invariants(&db).await;
        assert!(!service.stderr().contains("\"panic\""), "{}", service.stderr());
    }
}

/// Lets clients come and leave, a dozen at a time.
async fn leave(address: SocketAddr, manner: Manner, people: &[(String, Tokens)], random: &Random) {
    let room = Arc::new(Semaphore::new(12));
    let mut clients = JoinSet::new();
    for n in 0..HANG_UPS {
        let request = request(n, manner, &people[n / 4 % people.len()]);
        // Half of them say everything they have to say.
        let draw = usize::from(u16::from_be_bytes(random.bytes()));
        let bytes = if draw.is_multiple_of(2) { request.len() } else { 1 + draw % request.len() };
        let patience = random.jitter(PATIENCE);
        let room = Arc::clone(&room);
        clients.spawn(async move {
            let place = room.acquire().await.unwrap();
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&request.as_bytes()[..bytes]).await.unwrap();
            tokio::time::sleep(patience).await;
            // An answer that came first may have closed the connection: then there is nothing to leave.
            match manner {
                Manner::Fin => drop(stream.shutdown().await),
                Manner::Reset => drop(stream.set_zero_linger()),
            }
            drop((stream, place));
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
}

/// A request of one of the four kinds, as bytes on the wire.
fn request(n: usize, manner: Manner, (email, tokens): &(String, Tokens)) -> String {
    let name = if matches!(manner, Manner::Fin) { "f" } else { "r" };
    let post = |path: &str, body: Value| {
        let body = body.to_string();
        format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    match n % 4 {
        0 => post("/v1/signup", sign_up_body(&format!("{name}{n}@example.org"))),
        1 => post("/v1/login", json!({ "identifier": email, "password": PASSWORD })),
        2 => post("/v1/token/refresh", json!({ "refresh_token": tokens.refresh })),
        _ => format!(
            "GET /v1/me HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\n\r\n",
            tokens.access
        ),
    }
}

/// Waits until everything that was begun has ended, and sees that it was given back.
async fn settled(service: &Service, db: &TestDatabase) {
    let (client, began) = (service.client(), Instant::now());
    loop {
        let ready = client.get("/health/ready", None).await.unwrap();
        let number = |part: &str, name: &str| ready.body["checks"][part][name].as_i64();
        let queued = number("hashing", "queued").unwrap();
        let (open, idle) = (number("store", "connections"), number("store", "idle"));
        assert!(open.unwrap() <= number("store", "max").unwrap(), "{}", ready.text);
        let in_transaction = in_transaction(db).await;
        // The probe counts the pool while it asks the queue itself, with at most two connections.
        let is_idle = idle.unwrap() >= open.unwrap() - 2;
        if queued == 0 && is_idle && in_transaction == 0 && ready.status == 200 {
            return;
        }
        let late = began.elapsed() > Duration::from_secs(15);
        assert!(!late, "{in_transaction} in a transaction; {}", ready.text);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn in_transaction(db: &TestDatabase) -> i64 {
    if db.is_sqlite() {
        return 0;
    }
    db.count(
        "SELECT COUNT(*) FROM pg_stat_activity
         WHERE datname = current_database() AND state LIKE 'idle in transaction%'",
    )
    .await
}

async fn hundred_normal_requests(service: &Service, people: &[(String, Tokens)]) {
    let client = service.client();
    let mut tokens: Vec<Tokens> = people.iter().map(|(_, tokens)| tokens.clone()).collect();
    for n in 0..25 {
        let at = n % people.len();
        let answer = sign_up(&client, &format!("normal{n}@example.org")).await.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text);
        let answer = log_in(&client, &people[at].0).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        // The first time this is the token that was presented by those who left: it leads to the live one (SES-04).
        tokens[at] = Tokens::of(&refresh(&client, &tokens[at].refresh).await.unwrap());
        let answer = client.get("/v1/me", Some(&tokens[at].access)).await.unwrap();
        assert_eq!((answer.status, &*answer.text("email")), (200, &*people[at].0));
    }
}

fn descriptors(service: &Service) -> usize {
    fs::read_dir(format!("/proc/{}/fd", service.id())).map_or(0, Iterator::count)
}

#[expect(clippy::print_stderr, reason = "whoever repeats a run needs its seed")]
fn say(line: &str) {
    eprintln!("{line}");
}

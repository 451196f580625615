//! Two instances on one PostgreSQL: what one does the other knows at once, and what is to be done once is done once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Tokens, log_in, refresh, register, sign_up};
use crate::support::database::TestDatabase;
use crate::support::invariants::assert_invariants;
use crate::support::process::{Client, Service};

const ANN: &str = "ann@example.org";

/// Two instances that are one service: one issuer, one master key.
async fn two(database: &TestDatabase) -> [Service; 2] {
    let first = Service::on(database).with("PASSWORD__QUEUE_WAIT_MAX", "30s").started().await;
    let second = Service::on(database).with("PASSWORD__QUEUE_WAIT_MAX", "30s");
    let second = second.with("PUBLIC_URL", &first.url()).started().await;
    [first, second]
}

async fn me(client: &Client, tokens: &Tokens) -> u16 {
    client.get("/v1/me", Some(&tokens.access)).await.unwrap().status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ses_07_what_ends_on_one_instance_is_over_on_the_other_at_once() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let services = two(&database).await;
    let first = register(&services[0], ANN).await;
    let [a, b] = services.each_ref().map(Service::client);
    let second = Tokens::of(&log_in(&b, ANN).await.unwrap());
    for tokens in [&first, &second] {
        assert_eq!((me(&a, tokens).await, me(&b, tokens).await), (200, 200));
    }

    let body = serde_json::json!({ "refresh_token": first.refresh });
    assert_eq!(a.post("/v1/logout", body).await.unwrap().status, 204);
    assert_eq!((me(&b, &first).await, me(&a, &first).await), (401, 401), "logged out on one");
    assert_eq!(refresh(&b, &first.refresh).await.unwrap().status, 401);
    assert_eq!(me(&b, &second).await, 200, "another session goes on");

    let suspend = "UPDATE users SET suspended_at = '2026-01-01T00:00:00Z'";
    assert_eq!(database.execute(suspend).await, 1);
    assert_eq!((me(&a, &second).await, me(&b, &second).await), (401, 401), "suspended");
    assert_eq!(refresh(&b, &second.refresh).await.unwrap().status, 401);
    assert_eq!(log_in(&b, ANN).await.unwrap().text("code"), "invalid_credentials");
    assert_eq!(database.execute("UPDATE users SET suspended_at = NULL").await, 1);

    let third = Tokens::of(&log_in(&a, ANN).await.unwrap());
    assert_eq!(me(&b, &third).await, 200);
    let end = "UPDATE sessions SET ended_at = last_used_at, end_reason = 'logout'
               WHERE ended_at IS NULL";
    assert_eq!(database.execute(end).await, 2);
    assert_eq!((me(&a, &third).await, me(&b, &third).await), (401, 401), "ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ses_05_fifty_refreshes_over_two_instances_leave_one_live_token() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let [a, b] = two(&database).await;
    let mut tokens = register(&a, ANN).await;
    let clients = [a.client(), b.client()];
    for round in 0..4 {
        let mut asked = JoinSet::new();
        for n in 0..50 {
            let (client, token) = (clients[n % 2].clone(), tokens.refresh.clone());
            asked.spawn(async move { refresh(&client, &token).await.unwrap() });
        }
        let mut successors = BTreeSet::new();
        while let Some(answer) = asked.join_next().await {
            let answer = Tokens::of(&answer.unwrap());
            successors.insert(answer.refresh.clone());
            tokens.access = answer.access;
        }
        assert_eq!(successors.len(), 1, "round {round}: one token has one successor");
        let live = "SELECT COUNT(*) FROM refresh_tokens WHERE used_at IS NULL";
        assert_eq!(database.count(live).await, 1, "round {round}");
        tokens.refresh = successors.pop_first().unwrap();
        assert_eq!((me(&clients[0], &tokens).await, me(&clients[1], &tokens).await), (200, 200));
    }
    assert_invariants(&database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eml_17_two_instances_share_the_queue_and_send_each_mail_once() {
    const MAILS: usize = 40;
    // Whichever looks first may take all that is there: more comes until both had some.
    const ROUNDS: usize = 10;
    let Some(database) = TestDatabase::postgres().await else { return };
    let services = two(&database).await;
    let counts = || services.each_ref().map(|service| service.mails().len());
    let mut sent = 0;
    while sent == 0 || counts().contains(&0) {
        assert!(sent < MAILS * ROUNDS, "one did all the work: {:?}", counts());
        let mut signups = JoinSet::new();
        for n in sent..sent + MAILS {
            let client = services[n % 2].client();
            let sign_up = async move { sign_up(&client, &format!("u{n}@example.org")).await };
            signups.spawn(async move { assert_eq!(sign_up.await.unwrap().status, 202) });
        }
        while let Some(ended) = signups.join_next().await {
            ended.unwrap();
        }
        sent += MAILS;
        let began = Instant::now();
        while database.count("SELECT COUNT(*) FROM jobs WHERE state <> 'done'").await > 0 {
            assert!(began.elapsed() < Duration::from_secs(20), "jobs are left");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let mut files = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    for mail in services.iter().flat_map(Service::mails) {
        assert!(files.insert(mail.file.clone()), "{} was sent by both", mail.file);
        assert!(addresses.insert(mail.to.clone()), "{} has two mails", mail.to);
    }
    assert_eq!(addresses.len(), sent);
    let first_tries = "SELECT COUNT(*) FROM jobs WHERE attempts = 1";
    assert_eq!(database.count(first_tries).await, i64::try_from(sent).unwrap());
    assert_invariants(&database).await;
}

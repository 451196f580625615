//! `kill -9` at random moments under signups, verifies and refreshes (F01, F02, REL-01 to REL-03, I1–I7, I9, I13).
//!
//! A round starts the service on what the last one left, loads it, and kills it after 0.2 to 0.6 s. `KILL_ROUNDS` says
//! how many rounds (20 a database), `KILL_SEED` repeats the moments and choices of an earlier run, whose seed was
//! printed; what the scheduler did is not repeated.

mod journal;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis::crypto::random::Random;
use tokio::task::JoinSet;

use self::journal::{Journal, Outcome, refresh_some, sign_up_some, verify_some};
use super::{Tokens, log_in, refresh, verify};
use crate::support::database::TestDatabase;
use crate::support::invariants::assert_invariants;
use crate::support::process::{Client, Mail, Service};

/// The shortest life, and what chance adds to it.
const LIFE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(400));

on_every_backend! {
    async fn rel_01_kills_at_random_moments_lose_nothing_that_was_acknowledged(db: TestDatabase) {
        let rounds = number("KILL_ROUNDS").unwrap_or(20);
        let seed = number("KILL_SEED").unwrap_or_else(|| u64::from_be_bytes(Random::system().bytes()));
        say(&format!("KILL_SEED={seed} KILL_ROUNDS={rounds}"));
        let random = Random::seeded(seed);
        let mut service = Service::on(&db)
            .with("JOBS__LEASE", "1s")
            .with("JOBS__POLL_INTERVAL", "100ms")
            .with("JOBS__ATTEMPTS_MAX", "100")
            .with("TOKEN__REFRESH_REUSE_WINDOW", "5m");
        let journal = Arc::new(Mutex::new(Journal::new(service.outbox())));
        for round in 0..rounds {
            service.start().await;
            let mut load = load(&service.client(), &journal, &random);
            tokio::time::sleep(LIFE.0 + random.jitter(LIFE.1)).await;
            service.kill9();
            while let Some(ended) = load.join_next().await {
                ended.unwrap();
            }
            // Every other time nobody looks before the service does: a look would clean up a WAL that it must cope with.
            if round % 2 == 0 {
                assert_sound(&db, &journal).await;
            }
        }
        service.start().await;
        everything_acknowledged_is_there(&db, &service, &journal).await;
        say(&journal.lock().unwrap().summary());
        assert!(service.terminate().await.success());
        assert_sound(&db, &journal).await;
    }
}

/// Clients that go on until the service is gone.
fn load(client: &Client, journal: &Arc<Mutex<Journal>>, random: &Random) -> JoinSet<()> {
    let mut load = JoinSet::new();
    for _ in 0..2 {
        let own = || (client.clone(), Arc::clone(journal), random.clone());
        let (client, journal, _) = own();
        load.spawn(async move { sign_up_some(&client, &journal).await });
        let (client, journal, _) = own();
        load.spawn(async move { verify_some(&client, &journal).await });
        let (client, journal, random) = own();
        load.spawn(async move { refresh_some(&client, &journal, &random).await });
    }
    load
}

/// What must be true of the tables while nobody works on them.
async fn assert_sound(db: &TestDatabase, journal: &Mutex<Journal>) {
    if !db.is_sqlite() {
        nobody_is_connected(db).await;
    }
    assert_invariants(db).await;
    let mut raw = db.raw().await;
    if db.is_sqlite() {
        assert_eq!(raw.texts("PRAGMA integrity_check").await, ["ok"]);
    }
    let users: BTreeSet<String> =
        raw.texts("SELECT email_canonical FROM users").await.into_iter().collect();
    let journal = journal.lock().unwrap();
    for account in &journal.accounts {
        let (email, is_there) = (&account.email, users.contains(&account.email));
        assert!(
            is_there || account.sign_up != Outcome::Done,
            "{email} was acknowledged and is lost"
        );
    }
}

/// The server goes on for a moment with what a dead client has sent.
async fn nobody_is_connected(db: &TestDatabase) {
    let began = Instant::now();
    let others = "SELECT COUNT(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    while db.count(others).await > 0 {
        assert!(began.elapsed() < Duration::from_secs(10), "connections of a dead process stay");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn everything_acknowledged_is_there(
    db: &TestDatabase,
    service: &Service,
    journal: &Mutex<Journal>,
) {
    let mails = all_mails(db, service).await;
    let users = db.raw().await.texts("SELECT email_canonical FROM users").await;
    assert_eq!(
        mails.keys().collect::<Vec<_>>(),
        users.iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>(),
        "I9: whoever has an account has one mail, and nobody else"
    );
    let client = service.client();
    let mut accounts = std::mem::take(&mut journal.lock().unwrap().accounts);
    for account in &mut accounts {
        let Some(mail) = mails.get(&account.email) else {
            assert!(account.sign_up != Outcome::Done && account.verify.is_none());
            continue;
        };
        let token = mail.token.as_deref().unwrap();
        let answer = verify(&client, token).await.unwrap();
        match (account.verify, answer.status) {
            (None | Some(Outcome::Unknown), 200) => account.start(&Tokens::of(&answer)),
            // I3: an unknown verify that was done; I5: one that was acknowledged is not done again.
            (Some(_), 422) => {}
            (known, status) => panic!("{}: verify {known:?}, then {status}", account.email),
        }
        account.verify = Some(Outcome::Done);
        let Some(chain) = &mut account.chain else {
            assert_eq!(log_in(&client, &account.email).await.unwrap().status, 200);
            continue;
        };
        let answer = refresh(&client, &chain.token).await.unwrap();
        assert_eq!(answer.status, 200, "{}: {}", account.email, answer.text);
        chain.follow(&Tokens::of(&answer));
    }
    nothing_retired_lives_again(&client, &accounts).await;
    journal.lock().unwrap().accounts = accounts;
}

/// I6, I1: the tokens of before end their sessions, and the live ones of these sessions are dead then.
async fn nothing_retired_lives_again(client: &Client, accounts: &[journal::Account]) {
    let chains = accounts.iter().filter_map(|account| account.chain.as_ref());
    for chain in chains.filter(|chain| chain.retired.len() > 2).take(20) {
        let answer = refresh(client, &chain.retired[0]).await.unwrap();
        assert_eq!((answer.status, &*answer.text("code")), (401, "refresh_token_reused"));
        let answer = refresh(client, &chain.token).await.unwrap();
        assert_eq!((answer.status, &*answer.text("code")), (401, "refresh_token_invalid"));
    }
}

/// Every mail, once the queue is empty: by its address, each once.
async fn all_mails(db: &TestDatabase, service: &Service) -> BTreeMap<String, Mail> {
    let began = Instant::now();
    while db.count("SELECT COUNT(*) FROM jobs WHERE state <> 'done'").await > 0 {
        assert!(began.elapsed() < Duration::from_mins(1), "jobs are left:\n{}", service.stderr());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut mails = BTreeMap::new();
    for mail in service.mails() {
        let second = mails.insert(mail.to.clone(), mail);
        assert!(second.is_none(), "two mails: {second:?}");
    }
    let jobs = db.count("SELECT COUNT(*) FROM jobs").await;
    assert_eq!(i64::try_from(mails.len()).unwrap(), jobs, "one file a job");
    mails
}

fn number(variable: &str) -> Option<u64> {
    env::var_os(variable).map(|value| value.to_str().unwrap().parse().unwrap())
}

#[expect(clippy::print_stderr, reason = "whoever repeats a run needs its seed")]
fn say(line: &str) {
    eprintln!("{line}");
}

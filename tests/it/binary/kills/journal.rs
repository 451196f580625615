//! What clients know of a service that dies under them: each request as done or unknown; and the clients that write it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use portcullis::crypto::random::Random;

use crate::binary::{Tokens, log_in, refresh, sign_up, verify};
use crate::support::process::{Answer, Client, Mail};

/// What a client knows of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was acknowledged.
    Done,
    /// No answer came, or one that leaves it open.
    Unknown,
}

/// Somebody who signed up, or tried to.
pub(super) struct Account {
    pub(super) email: String,
    pub(super) sign_up: Outcome,
    pub(super) verify: Option<Outcome>,
    pub(super) chain: Option<Chain>,
    is_busy: bool,
}

/// A session as its client sees it.
pub(super) struct Chain {
    /// The token to present next: it is live, or the parent of the live one if the last refresh is unknown.
    pub(super) token: String,
    /// The tokens before it, oldest first.
    pub(super) retired: Vec<String>,
}

impl Account {
    /// Notes the session of a verify or a login.
    pub(super) fn start(&mut self, tokens: &Tokens) {
        self.chain = Some(Chain { token: tokens.refresh.clone(), retired: Vec::new() });
    }
}

impl Chain {
    /// Notes an acknowledged refresh.
    pub(super) fn follow(&mut self, tokens: &Tokens) {
        assert_ne!(self.token, tokens.refresh, "a refresh gives another token");
        let retired = std::mem::replace(&mut self.token, tokens.refresh.clone());
        self.retired.push(retired);
    }
}

/// What all clients know together.
pub(super) struct Journal {
    pub(super) accounts: Vec<Account>,
    outbox: PathBuf,
    mailed: BTreeMap<String, String>,
    requests: BTreeMap<(&'static str, bool), u32>,
}

impl Journal {
    pub(super) fn new(outbox: PathBuf) -> Self {
        let (mailed, requests) = (BTreeMap::new(), BTreeMap::new());
        Self { accounts: Vec::new(), outbox, mailed, requests }
    }

    /// How many requests were acknowledged and how many are unknown, by kind.
    pub(super) fn summary(&self) -> String {
        let count = |((kind, is_done), n): (&(&'static str, bool), &u32)| {
            format!("{kind} {}: {n}", if *is_done { "done" } else { "unknown" })
        };
        self.requests.iter().map(count).collect::<Vec<_>>().join(", ")
    }

    fn count(&mut self, kind: &'static str, answer: Option<&Answer>) {
        *self.requests.entry((kind, answer.is_some())).or_default() += 1;
    }

    /// Somebody who waits for a verification and whose mail is there.
    fn take_unverified(&mut self) -> Option<(usize, String)> {
        if let Some(found) = self.find_unverified() {
            return Some(found);
        }
        for mail in Mail::all_in(&self.outbox) {
            self.mailed.insert(mail.to, mail.token.unwrap());
        }
        self.find_unverified()
    }

    fn find_unverified(&mut self) -> Option<(usize, String)> {
        let mut waiting = self.accounts.iter_mut().enumerate();
        waiting.find_map(|(at, account)| {
            let token = self.mailed.get(&account.email)?;
            let is_due = account.chain.is_none() && !account.is_busy;
            account.is_busy |= is_due;
            is_due.then(|| (at, token.clone()))
        })
    }

    /// One of the sessions that nobody refreshes now.
    fn take_chain(&mut self, random: &Random) -> Option<(usize, String)> {
        let is_free = |account: &Account| account.chain.is_some() && !account.is_busy;
        let accounts = self.accounts.iter().enumerate();
        let free: Vec<usize> =
            accounts.filter(|(_, account)| is_free(account)).map(|(at, _)| at).collect();
        let draw = usize::from(u16::from_be_bytes(random.bytes()));
        let at = *free.get(draw.checked_rem(free.len())?)?;
        self.accounts[at].is_busy = true;
        Some((at, self.accounts[at].chain.as_ref()?.token.clone()))
    }
}

/// An answer that says what was done; none if that is unknown. No other answer may come (I10).
fn known(answer: reqwest::Result<Answer>, documented: &[u16]) -> Option<Answer> {
    let answer = answer.ok()?;
    assert!(documented.contains(&answer.status) || answer.status == 503, "{}", answer.text);
    (answer.status != 503).then_some(answer)
}

/// Signs new people up until the service is gone.
pub(super) async fn sign_up_some(client: &Client, journal: &Mutex<Journal>) {
    loop {
        let (at, email) = {
            let mut journal = journal.lock().unwrap();
            let (at, sign_up) = (journal.accounts.len(), Outcome::Unknown);
            let email = format!("u{at}@example.org");
            let new = Account {
                email: email.clone(),
                sign_up,
                verify: None,
                chain: None,
                is_busy: false,
            };
            journal.accounts.push(new);
            (at, email)
        };
        let answer = sign_up(client, &email).await;
        let is_gone = answer.is_err();
        let answer = known(answer, &[202]);
        let mut journal = journal.lock().unwrap();
        journal.count("signup", answer.as_ref());
        if answer.is_some() {
            journal.accounts[at].sign_up = Outcome::Done;
        }
        if is_gone {
            return;
        }
    }
}

/// Verifies whoever has a mail until the service is gone.
pub(super) async fn verify_some(client: &Client, journal: &Mutex<Journal>) {
    loop {
        let found = journal.lock().unwrap().take_unverified();
        let Some((at, token)) = found else {
            if is_gone(client).await {
                return;
            }
            continue;
        };
        let answer = verify(client, &token).await;
        let is_gone = answer.is_err();
        let mut answer = known(answer, &[200, 422]);
        let email = {
            let mut journal = journal.lock().unwrap();
            journal.count("verify", answer.as_ref());
            let account = &mut journal.accounts[at];
            let is_spent = answer.as_ref().is_some_and(|answer| answer.status == 422);
            // I5, I3: only a verify whose answer was lost may find its token spent.
            assert!(!is_spent || account.verify == Some(Outcome::Unknown), "{}", account.email);
            account.verify = Some(if answer.is_some() { Outcome::Done } else { Outcome::Unknown });
            is_spent.then(|| account.email.clone())
        };
        if let Some(email) = email {
            answer = known(log_in(client, &email).await, &[200]);
            let mut journal = journal.lock().unwrap();
            journal.count("login", answer.as_ref());
            // The verify was done; what is unknown is the login, which is simply tried again.
            journal.accounts[at].verify = Some(Outcome::Unknown);
        }
        let mut journal = journal.lock().unwrap();
        let account = &mut journal.accounts[at];
        account.is_busy = false;
        if let Some(answer) = &answer {
            account.verify = Some(Outcome::Done);
            account.start(&Tokens::of(answer));
        } else if is_gone {
            return;
        }
    }
}

/// Refreshes sessions until the service is gone.
pub(super) async fn refresh_some(client: &Client, journal: &Mutex<Journal>, random: &Random) {
    loop {
        let found = journal.lock().unwrap().take_chain(random);
        let Some((at, token)) = found else {
            if is_gone(client).await {
                return;
            }
            continue;
        };
        let answer = refresh(client, &token).await;
        let is_gone = answer.is_err();
        // I1: what was acknowledged is live; I3: what is unknown leads to its successor, done or not (SES-04).
        let answer = known(answer, &[200]);
        let mut journal = journal.lock().unwrap();
        journal.count("refresh", answer.as_ref());
        let account = &mut journal.accounts[at];
        account.is_busy = false;
        if let (Some(answer), Some(chain)) = (&answer, &mut account.chain) {
            chain.follow(&Tokens::of(answer));
        }
        if is_gone {
            return;
        }
    }
}

/// Waits a little for work; tells whether the service is gone meanwhile.
async fn is_gone(client: &Client) -> bool {
    tokio::time::sleep(Duration::from_millis(20)).await;
    client.get("/health/live", None).await.is_err()
}

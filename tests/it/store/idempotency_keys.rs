//! The contract of `idempotency_keys`: one call holds a key, its answer is kept, expired rows leave.

use portcullis::store::Store;
use portcullis::store::idempotency_keys::{self, Claim, Known, StoredKey};

use crate::support::rows::{NOW, after, uuid};

fn key(n: u8) -> StoredKey {
    StoredKey { scope: vec![n; 32], key: "k".into() }
}

fn call(n: u8, owner: u128, seconds: u64) -> Claim {
    let at = after(seconds);
    Claim {
        stored: key(n),
        request: vec![1; 32],
        owner: uuid(owner),
        lease_until: at.plus(std::time::Duration::from_secs(15)),
        at,
        expires_at: at.plus(std::time::Duration::from_secs(100)),
    }
}

async fn claim(store: &Store, claim: Claim) -> bool {
    store.write(claim, |tx, claim| Box::pin(idempotency_keys::claim(tx, claim))).await.unwrap()
}

async fn finish(store: &Store, n: u8, owner: u128) -> bool {
    let done = store.write((key(n), uuid(owner)), |tx, (key, owner)| {
        Box::pin(idempotency_keys::finish(tx, key, *owner, b"sealed"))
    });
    done.await.unwrap()
}

async fn find(store: &Store, n: u8) -> Option<Known> {
    idempotency_keys::find(&mut store.read().await.unwrap(), &key(n)).await.unwrap()
}

on_every_backend! {
    async fn one_call_holds_a_key_until_its_lease_is_over(db: TestDatabase) {
        let store = db.store().await;
        assert!(claim(&store, call(1, 1, 0)).await);
        assert!(claim(&store, call(2, 1, 0)).await, "another scope is another key");
        assert!(!claim(&store, call(1, 2, 14)).await);
        assert!(!claim(&store, Claim { request: vec![2; 32], ..call(1, 2, 15) }).await);
        assert!(claim(&store, call(1, 2, 15)).await, "the first call is taken for dead");
        assert!(!finish(&store, 1, 1).await, "it came too late");
        assert!(finish(&store, 1, 2).await);
        assert!(!finish(&store, 1, 2).await);
        let known = Known { request: vec![1; 32], answer: Some(b"sealed".to_vec()) };
        assert_eq!(find(&store, 1).await, Some(known));
        assert!(!claim(&store, call(1, 3, 114)).await, "an answer that is kept has no lease");
        assert!(claim(&store, Claim { request: vec![2; 32], ..call(1, 3, 115) }).await);
        assert_eq!(find(&store, 1).await, Some(Known { request: vec![2; 32], answer: None }));
    }

    async fn who_gives_a_key_up_frees_it_for_anybody(db: TestDatabase) {
        let store = db.store().await;
        assert!(claim(&store, call(1, 1, 0)).await);
        for (owner, is_there) in [(2, true), (1, false)] {
            let released = store.write((key(1), uuid(owner)), |tx, (key, owner)| {
                Box::pin(idempotency_keys::release(tx, key, *owner))
            });
            released.await.unwrap();
            assert_eq!(find(&store, 1).await.is_some(), is_there);
        }
        assert!(claim(&store, Claim { request: vec![2; 32], ..call(1, 2, 1) }).await);
    }

    async fn expired_keys_leave_in_batches(db: TestDatabase) {
        let store = db.store().await;
        for n in 0..5 {
            assert!(claim(&store, call(n, 1, u64::from(n))).await);
        }
        let sweep = |now, limit| store.write((now, limit), |tx, (now, limit)| {
            Box::pin(idempotency_keys::sweep(tx, *now, *limit))
        });
        assert_eq!(sweep(NOW, 10).await.unwrap(), 0);
        assert_eq!(sweep(after(103), 2).await.unwrap(), 2);
        assert_eq!(sweep(after(103), 10).await.unwrap(), 2);
        assert!(find(&store, 4).await.is_some());
    }
}

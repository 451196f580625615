//! The contract of `mail_allowances`.

use portcullis::domain::time::Timestamp;
use portcullis::store::Store;
use portcullis::store::mail_allowances::{self, Allowance};

use crate::support::rows::{NOW, after};

async fn lock(store: &Store, key: u8, now: Timestamp) -> Allowance {
    let lock = store.write((key, now), |tx, (key, now)| {
        Box::pin(async move { mail_allowances::lock(tx, &[*key; 32], *now).await })
    });
    lock.await.unwrap()
}

/// Adds a second to what is used.
async fn use_one(store: &Store, key: u8) {
    let used = store.write(key, |tx, key| {
        Box::pin(async move {
            let key = [*key; 32];
            let mut used = mail_allowances::lock(tx, &key, NOW).await?;
            used.paced_until = used.paced_until.plus(std::time::Duration::from_secs(1));
            mail_allowances::set(tx, &key, used).await
        })
    });
    used.await.unwrap();
}

on_every_backend! {
    async fn bru_10_an_allowance_is_kept_for_each_key(db: TestDatabase) {
        let store = db.store().await;
        let unused = Allowance { paced_until: NOW, hourly_until: NOW };
        assert_eq!(lock(&store, 1, NOW).await, unused);
        assert_eq!(lock(&store, 1, after(9)).await, unused, "made once");
        let used = Allowance { paced_until: after(60), hourly_until: after(720) };
        let set = store.write(used, |tx, used| Box::pin(mail_allowances::set(tx, &[1; 32], *used)));
        set.await.unwrap();
        assert_eq!(lock(&store, 1, after(9)).await, used);
        assert_eq!(lock(&store, 2, NOW).await, unused);
    }

    async fn bru_10_mails_at_once_are_counted_one_by_one(db: TestDatabase) {
        let store = db.store().await;
        let uses = (0..16).map(|_| { let store = store.clone(); async move { use_one(&store, 3).await } });
        futures_util::future::join_all(uses).await;
        assert_eq!(lock(&store, 3, NOW).await.paced_until, after(16));
    }
}

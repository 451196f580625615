//! The contract of `leases`: one holder at a time, for as long as it says, and a schedule when it is done.

use portcullis::domain::time::Timestamp;
use portcullis::store::{Store, leases};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::rows::{NOW, after};

const ANN: Uuid = Uuid::from_u128(1);
const BOB: Uuid = Uuid::from_u128(2);

async fn take(store: &Store, owner: Uuid, now: Timestamp, until: Timestamp) -> bool {
    let taken = store.write((owner, now, until), |tx, (owner, now, until)| {
        Box::pin(leases::take(tx, "sweep", *owner, *now, *until))
    });
    taken.await.unwrap()
}

async fn renew(store: &Store, owner: Uuid, now: Timestamp, until: Timestamp) -> bool {
    let renewed = store.write((owner, now, until), |tx, (owner, now, until)| {
        Box::pin(leases::renew(tx, "sweep", *owner, *now, *until))
    });
    renewed.await.unwrap()
}

async fn release(store: &Store, owner: Uuid, due_at: Timestamp) -> bool {
    let released = store.write((owner, due_at), |tx, (owner, due_at)| {
        Box::pin(leases::release(tx, "sweep", *owner, *due_at))
    });
    released.await.unwrap()
}

on_every_backend! {
    async fn rel_14_a_lease_is_held_by_one_until_its_time(db: TestDatabase) {
        let store = db.store().await;
        assert!(!renew(&store, ANN, NOW, after(10)).await, "nobody has it");
        assert!(!release(&store, ANN, NOW).await);
        assert!(take(&store, ANN, NOW, after(10)).await);
        assert!(!take(&store, BOB, after(9), after(19)).await, "it is held");
        assert!(!take(&store, ANN, after(9), after(19)).await, "by its holder too: that would be twice at once");
        assert!(renew(&store, ANN, after(9), after(20)).await);
        assert!(!take(&store, BOB, after(19), after(29)).await, "it was renewed");
        assert!(take(&store, BOB, after(20), after(30)).await);
        assert!(!renew(&store, ANN, after(21), after(40)).await, "lost");
        assert!(!release(&store, ANN, NOW).await, "whoever lost it gives nothing back");
        assert!(!renew(&store, BOB, after(30), after(40)).await, "over: somebody may have it in a moment");
        let other = store.write((), |tx, ()| {
            Box::pin(leases::take(tx, "another", ANN, after(20), after(30)))
        });
        assert!(other.await.unwrap(), "another name is another lease");
    }

    async fn rel_14_who_is_done_says_when_the_work_is_due_again(db: TestDatabase) {
        let store = db.store().await;
        assert!(take(&store, ANN, NOW, after(60)).await);
        assert!(release(&store, ANN, after(600)).await);
        assert!(!take(&store, BOB, after(599), after(659)).await);
        assert!(take(&store, BOB, after(600), after(660)).await);
        assert!(release(&store, BOB, after(601)).await, "handed back before its time");
        assert!(take(&store, ANN, after(601), after(660)).await);
    }

    async fn rel_14_of_many_who_come_at_once_one_has_it(db: TestDatabase) {
        let store = db.store().await;
        for round in 0..5_u64 {
            let mut asked = JoinSet::new();
            for n in 0..20_u128 {
                let store = store.clone();
                let now = after(round * 10);
                asked.spawn(async move {
                    take(&store, Uuid::from_u128(100 + n), now, after(round * 10 + 10)).await
                });
            }
            let taken = asked.join_all().await.into_iter().filter(|taken| *taken).count();
            assert_eq!(taken, 1, "round {round}");
        }
    }
}

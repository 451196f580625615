//! The trail of a service that serves: closed by itself, verified meanwhile, by one instance of several.

use std::time::{Duration, Instant};

use super::{log_in, register};
use crate::support::database::TestDatabase;
use crate::support::process::Service;

/// Waits until no event waits for its place.
async fn closed(database: &TestDatabase) {
    let began = Instant::now();
    while database.count("SELECT COUNT(*) FROM events_unchained").await > 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "the chain is not closed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

on_every_backend! {
    async fn log_11_a_service_closes_the_chain_by_itself_and_is_verified_while_it_serves(db: TestDatabase) {
        let service = Service::on(&db).started().await;
        register(&service, "ann@example.org").await;
        closed(&db).await;
        let events = db.count("SELECT COUNT(*) FROM events").await;
        assert!(events >= 5);
        assert_eq!(db.count("SELECT COUNT(*) FROM event_chain").await, events);
        for _ in 0..3 {
            assert_eq!(log_in(&service.client(), "ann@example.org").await.unwrap().status, 200);
            let told = service.run(&["audit", "verify"], None);
            assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""), "{}", told.stdout);
        }
        let lines = service.run(&["audit", "export"], None).stdout.lines().count();
        assert!(i64::try_from(lines).unwrap() > events);
    }
}

/// F20: whoever has the lease may be killed or frozen; the chain goes on and does not fork.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f20_the_chain_of_several_instances_goes_on_when_one_is_frozen_or_killed() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let first = Service::on(&database).started().await;
    let mut second = Service::on(&database).with("PUBLIC_URL", &first.url()).started().await;
    register(&first, "ann@example.org").await;
    closed(&database).await;
    second.signal("STOP");
    // A lease that the frozen one may hold is over at once, as it would be in a minute.
    let over = "UPDATE leases SET until = '2020-01-01T00:00:00Z'";
    assert_eq!(log_in(&first.client(), "ann@example.org").await.unwrap().status, 200);
    database.execute(over).await;
    closed(&database).await;
    second.signal("CONT");
    for service in [&first, &second] {
        assert_eq!(log_in(&service.client(), "ann@example.org").await.unwrap().status, 200);
    }
    closed(&database).await;
    second.kill9();
    assert_eq!(log_in(&first.client(), "ann@example.org").await.unwrap().status, 200);
    database.execute(over).await;
    closed(&database).await;
    let told = first.run(&["audit", "verify"], None);
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""), "{}", told.stdout);
}

//! The contract of `users`: what comes back is what went in, and the row counts decide.

use portcullis::domain::ids::UserId;
use portcullis::domain::time::Timestamp;
use portcullis::domain::user::{Status, User};
use portcullis::store::users::{self, NewUser};
use portcullis::store::{Store, roles};
use serde_json::json;

use crate::support::rows::{
    NOW, after, hash, insert_user, object, pending_user, uuid, verified_user,
};

async fn find(store: &Store, id: UserId) -> Option<User> {
    users::find(&mut store.read().await.unwrap(), id).await.unwrap()
}

async fn insert(store: &Store, user: NewUser) -> bool {
    store.write(user, |tx, user| Box::pin(users::insert(tx, user))).await.unwrap()
}

/// Verifies `user`, whose password `first` was set at `set_at`.
async fn verify(store: &Store, user: &NewUser, set_at: Timestamp, text: &'static str) -> bool {
    let verified = store.write((user.id, set_at, text), |tx, (id, set_at, text)| {
        Box::pin(
            async move { users::verify(tx, *id, after(60), (*set_at, hash(text).expose())).await },
        )
    });
    verified.await.unwrap()
}

on_every_backend! {
    async fn a_user_comes_back_as_it_went_in(db: TestDatabase) {
        let store = db.store().await;
        let profile = object(json!({
            "display_name": "Zoë 🦀 \"x\" \\ \u{7f}", "n": -1.5, "big": 9_007_199_254_740_993_i64,
            "deep": [{ "a": null, "b": [true, false, "𝔘"] }], "": "",
        }));
        for (n, micros) in [(1, NOW.micros()), (2, -1), (3, 0), (4, -62_135_596_799_999_999)] {
            let at = Timestamp::from_micros(micros);
            let new = NewUser {
                profile: profile.clone(), username: Some("Zoë_1".into()), created_at: at,
                ..pending_user(n)
            };
            assert!(insert(&store, new.clone()).await);
            let user = find(&store, new.id).await.unwrap();
            assert_eq!(user, User {
                id: new.id, email: new.email, email_canonical: new.email_canonical, email_verified_at: None,
                username: new.username, profile: profile.clone(), pending_since: Some(at), invited_until: None, suspended_at: None,
                deleted_at: None, erased_at: None, created_at: at, updated_at: at, last_login_at: None, version: 1,
                roles: portcullis::domain::user::Roles(vec![]),
            });
            assert_eq!((user.created_at.micros(), user.pending_since.unwrap().micros()), (micros, micros));
        }
        assert_eq!(find(&store, UserId(uuid(99))).await, None);
    }

    async fn an_address_is_taken_once(db: TestDatabase) {
        let store = db.store().await;
        assert!(insert(&store, pending_user(1)).await);
        let other = NewUser { id: UserId(uuid(2)), ..pending_user(1) };
        assert!(!insert(&store, other.clone()).await);
        assert_eq!(find(&store, other.id).await, None);
        let mut db = store.read().await.unwrap();
        let found = users::find_by_email(&mut db, "user1@example.org").await.unwrap().unwrap();
        assert_eq!(found.id, UserId(uuid(1)));
        // By equality in the form that is compared: no pattern, no case.
        for near in ["User1@Example.org", "user_@example.org", "user%", "user1@example.org "] {
            assert_eq!(users::find_by_email(&mut db, near).await.unwrap(), None, "{near}");
        }
    }

    async fn a_locked_user_is_the_found_one(db: TestDatabase) {
        let store = db.store().await;
        assert!(insert(&store, pending_user(1)).await);
        let found = find(&store, UserId(uuid(1))).await;
        let locked = store.write((), |tx, ()| Box::pin(users::lock(tx, UserId(uuid(1))))).await;
        assert_eq!(locked.unwrap(), found);
        let locked = store.write((), |tx, ()| Box::pin(users::lock_by_email(tx, "user1@example.org")));
        assert_eq!(locked.await.unwrap(), found);
        let nobody = store.write((), |tx, ()| Box::pin(users::lock(tx, UserId(uuid(2))))).await;
        assert_eq!(nobody.unwrap(), None);
        let nobody = store.write((), |tx, ()| Box::pin(users::lock_by_email(tx, "")));
        assert_eq!(nobody.await.unwrap(), None);
    }

    async fn roles_come_in_the_order_of_their_bytes(db: TestDatabase) {
        let store = db.store().await;
        let user = verified_user(1);
        insert_user(&store, &user).await;
        db.execute("INSERT INTO roles (name, description) VALUES ('Zebra', ''), ('apple', ''), ('_x', ''), ('B', '')")
            .await;
        for role in ["apple", "Zebra", "admin", "_x", "B"] {
            let grant = store.write((user.id, role), |tx, (user, role)| {
                Box::pin(roles::grant(tx, *user, role, NOW))
            });
            assert!(grant.await.unwrap());
        }
        let found = find(&store, user.id).await.unwrap();
        assert_eq!(found.roles.0, ["B", "Zebra", "_x", "admin", "apple"]);
    }

    async fn a_page_returns_each_user_once_also_where_times_are_equal(db: TestDatabase) {
        let store = db.store().await;
        for n in 1..=7_u128 {
            let created_at = after(u64::try_from(n / 3).unwrap());
            assert!(insert(&store, NewUser { created_at, ..pending_user(n) }).await);
        }
        let mut db = store.read_stale().await.unwrap();
        let (mut place, mut seen) = ((after(1_000_000), UserId(uuid(u128::MAX))), Vec::new());
        loop {
            let page = users::list(&mut db, place, 2).await.unwrap();
            assert!(page.len() <= 2);
            let Some(last) = page.last() else { break };
            place = (last.created_at, last.id);
            seen.extend(page.iter().map(|user| user.id.0.as_u128()));
        }
        assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
    }

    async fn profiles_are_listed_in_the_order_of_ids_without_tombstones(db: TestDatabase) {
        let store = db.store().await;
        for n in [5, 1, 3, 2, 4] {
            let user = if n % 2 == 0 { pending_user(n) } else { verified_user(n) };
            assert!(insert(&store, user).await);
        }
        db.execute("UPDATE users SET erased_at = created_at WHERE email_canonical = 'user3@example.org'").await;
        let mut reader = store.read_stale().await.unwrap();
        let (mut after, mut seen) = (UserId(uuid(0)), Vec::new());
        loop {
            let page = users::list_profiles(&mut reader, after, 3).await.unwrap();
            let Some(last) = page.last() else { break };
            after = last.id;
            seen.extend(page.into_iter().map(|row| (row.id.0.as_u128(), row.email_verified_at, row.profile)));
        }
        let profile = pending_user(1).profile;
        let expected = [(1, Some(NOW)), (2, None), (4, None), (5, Some(NOW))];
        assert_eq!(seen, expected.map(|(n, at)| (n, at, profile.clone())));
    }

    async fn only_a_pending_signup_is_replaced(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &pending_user(1)).await;
        let newest = NewUser {
            email: "USER1@example.org".into(), username: Some("neu".into()), profile: object(json!({})),
            created_at: after(5), ..pending_user(1)
        };
        let replace = |id: UserId| {
            store.write((id, newest.clone()), |tx, (id, newest)| {
                Box::pin(users::replace_pending(tx, *id, newest))
            })
        };
        assert!(replace(UserId(uuid(1))).await.unwrap());
        let user = find(&store, UserId(uuid(1))).await.unwrap();
        assert_eq!((user.email.as_str(), user.username.as_deref()), ("USER1@example.org", Some("neu")));
        assert_eq!((user.pending_since, user.updated_at, user.created_at), (Some(after(5)), after(5), NOW));
        assert_eq!((user.version, user.profile.len()), (2, 0));
        assert!(!replace(UserId(uuid(2))).await.unwrap());

        db.execute("UPDATE users SET pending_since = NULL").await;
        assert!(!replace(UserId(uuid(1))).await.unwrap());
        insert_user(&store, &verified_user(3)).await;
        assert!(!replace(UserId(uuid(3))).await.unwrap());
    }

    async fn eml_05_a_proof_counts_while_what_was_checked_is_still_true(db: TestDatabase) {
        let store = db.store().await;
        let user = pending_user(1);
        insert_user(&store, &user).await;
        assert!(!verify(&store, &user, after(1), "first").await, "a password set later");
        assert!(!verify(&store, &user, NOW, "other").await, "another password");
        assert!(!verify(&store, &pending_user(2), NOW, "first").await, "nobody");
        for column in ["suspended_at", "deleted_at"] {
            let (bar, lift) = match column {
                "suspended_at" => ("UPDATE users SET suspended_at = created_at", "UPDATE users SET suspended_at = NULL"),
                _ => ("UPDATE users SET deleted_at = created_at", "UPDATE users SET deleted_at = NULL"),
            };
            db.execute(bar).await;
            assert!(!verify(&store, &user, NOW, "first").await, "{column}");
            db.execute(lift).await;
        }
        assert_eq!(find(&store, user.id).await.unwrap().email_verified_at, None);

        assert!(verify(&store, &user, NOW, "first").await);
        let found = find(&store, user.id).await.unwrap();
        assert_eq!((found.status(), found.pending_since, found.version), (Status::Active, None, 2));
        assert_eq!(found.email_verified_at, Some(after(60)));
        assert_eq!((found.last_login_at, found.updated_at), (Some(after(60)), after(60)));
        assert!(!verify(&store, &user, NOW, "first").await, "verified already");
    }

    async fn wishes_that_others_have_are_dropped(db: TestDatabase) {
        let store = db.store().await;
        let user = NewUser { username: Some("ann".into()), ..pending_user(1) };
        assert!(insert(&store, user.clone()).await);
        insert_user(&store, &pending_user(2)).await;
        let before = find(&store, user.id).await.unwrap();
        store.write(user.id, |tx, id| Box::pin(async move {
            users::keep_wishes(tx, *id, None, &object(json!({ "bio": "x" }))).await
        })).await.unwrap();
        let profile = object(json!({ "bio": "x" }));
        let kept = User { username: None, profile, ..before };
        assert_eq!(find(&store, user.id).await.unwrap(), kept, "the version is the proof's");
        assert_eq!(find(&store, UserId(uuid(2))).await.unwrap().profile, pending_user(2).profile);
    }

    async fn a_change_of_what_is_shown_needs_the_version_that_was_seen(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        let seen = find(&store, UserId(uuid(1))).await.unwrap();
        let update = || {
            store.write(seen.clone(), |tx, seen| {
                Box::pin(async move {
                    let profile = object(json!({ "bio": "été" }));
                    users::update_shown(tx, seen, Some("Zoë"), &profile, after(9)).await
                })
            })
        };
        assert!(update().await.unwrap());
        assert!(!update().await.unwrap(), "the version is another one by now");
        let user = find(&store, seen.id).await.unwrap();
        assert_eq!((user.version, user.updated_at), (seen.version + 1, after(9)));
        assert_eq!((user.username.as_deref(), &user.profile["bio"]), (Some("Zoë"), &json!("été")));
        assert_eq!(user.created_at, NOW);
    }
}

on_every_backend! {
    async fn an_invited_account_is_taken_as_it_was_seen(db: TestDatabase) {
        let store = db.store().await;
        let invited = NewUser { is_pending: false, invited_until: Some(after(10)), ..pending_user(1) };
        assert!(insert(&store, invited.clone()).await);
        let again = |id| store.write(id, |tx, id| Box::pin(users::invite_again(tx, *id, after(20))));
        assert!(again(invited.id).await.unwrap());
        let found = find(&store, invited.id).await.unwrap();
        assert_eq!((found.invited_until, found.is_invited()), (Some(after(20)), true));
        let taken = User {
            email: "User1@example.ORG".into(), username: Some("Ann".into()), email_verified_at: Some(after(5)),
            updated_at: after(5), last_login_at: Some(after(5)), invited_until: None,
            version: found.version + 1, ..found
        };
        let take = |version| store.write((taken.clone(), version), |tx, (taken, version)| {
            Box::pin(users::take_invited(tx, taken, *version))
        });
        assert!(!take(2).await.unwrap(), "somebody changed it meanwhile");
        assert!(take(1).await.unwrap());
        assert_eq!(find(&store, invited.id).await, Some(taken.clone()));
        assert!(!take(2).await.unwrap(), "it is taken");
        assert!(!again(invited.id).await.unwrap());
    }
}

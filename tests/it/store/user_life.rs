//! The contract of `user_life` and of what an erasure calls: each condition false once, and the row count says so.

use portcullis::domain::ids::{EventId, SessionId, UserId};
use portcullis::domain::session::EndReason;
use portcullis::domain::user::{Status, User};
use portcullis::store::one_time_tokens::{self, NewOneTimeToken, Purpose};
use portcullis::store::roles::{self, ADMIN};
use portcullis::store::user_life::{self, Erasable};
use portcullis::store::users::NewUser;
use portcullis::store::{
    Store, Writer, credentials, email_changes, events, refresh_tokens, sessions, unique_values,
    users,
};
use serde_json::json;

use crate::support::database::TestDatabase;
use crate::support::rows::{
    NOW, after, digest, event, hash, insert_user, object, open, pending_user, session, uuid,
    verified_user,
};

const ANN: UserId = UserId(uuid::Uuid::from_u128(1));
const BEN: UserId = UserId(uuid::Uuid::from_u128(2));

/// Runs one expression in a change.
macro_rules! write {
    ($store:expr, |$tx:ident| $call:expr) => {
        $store.write((), |$tx: &mut Writer, (): &()| Box::pin($call)).await.unwrap()
    };
}

async fn find(store: &Store, id: UserId) -> User {
    users::find(&mut store.read().await.unwrap(), id).await.unwrap().unwrap()
}

async fn erase(store: &Store, id: UserId, which: Erasable) -> bool {
    let erased = store.write((id, which), |tx, (id, which)| {
        Box::pin(user_life::erase(tx, *id, after(100), *which))
    });
    erased.await.unwrap()
}

async fn erasable(store: &Store, which: Erasable) -> Vec<u128> {
    let mut db = store.read_stale().await.unwrap();
    let found = user_life::list_erasable(&mut db, which, 10).await.unwrap();
    found.iter().map(|id| id.0.as_u128()).collect()
}

async fn one_time_token(store: &Store, n: u8, user: UserId, purpose: Purpose) {
    let token = NewOneTimeToken {
        digest: digest(n),
        user_id: user,
        purpose,
        bound_to: "user1@example.org".into(),
        created_at: after(n.into()),
        expires_at: after(1000),
        credential_set_at: None,
    };
    let replace = store.write(token, |tx, token| Box::pin(one_time_tokens::replace(tx, token)));
    replace.await.unwrap();
}

on_every_backend! {
    async fn an_account_is_barred_and_let_in_once(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        insert_user(&store, &verified_user(2)).await;
        assert!(!write!(store, |tx| user_life::reactivate(tx, ANN, after(1))), "not barred");
        assert!(write!(store, |tx| user_life::suspend(tx, ANN, after(2))));
        assert!(!write!(store, |tx| user_life::suspend(tx, ANN, after(3))), "barred already");
        let user = find(&store, ANN).await;
        assert_eq!((user.suspended_at, user.updated_at, user.version), (Some(after(2)), after(2), 2));
        assert!(write!(store, |tx| user_life::reactivate(tx, ANN, after(4))));
        let user = find(&store, ANN).await;
        assert_eq!((user.suspended_at, user.updated_at, user.version), (None, after(4), 3));
        assert_eq!(find(&store, BEN).await.version, 1);
        write!(store, |tx| user_life::touch(tx, ANN, after(5)));
        let user = find(&store, ANN).await;
        assert_eq!((user.updated_at, user.version), (after(5), 4));
        db.execute("UPDATE users SET deleted_at = created_at").await;
        assert!(!write!(store, |tx| user_life::suspend(tx, ANN, after(6))), "deleted");
        db.execute("UPDATE users SET suspended_at = created_at").await;
        assert!(!write!(store, |tx| user_life::reactivate(tx, ANN, after(6))), "deleted");
    }

    async fn a_deleted_account_is_restored_until_the_grace_ends(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        insert_user(&store, &verified_user(2)).await;
        assert!(!write!(store, |tx| user_life::restore(tx, ANN, after(1), NOW)), "not deleted");
        assert!(write!(store, |tx| user_life::delete(tx, ANN, after(10))));
        assert!(!write!(store, |tx| user_life::delete(tx, ANN, after(11))), "deleted already");
        let user = find(&store, ANN).await;
        assert_eq!((user.deleted_at, user.updated_at, user.version), (Some(after(10)), after(10), 2));
        assert_eq!(find(&store, BEN).await.status(), Status::Active);
        assert!(!write!(store, |tx| user_life::restore(tx, ANN, after(20), after(10))), "too late");
        assert!(write!(store, |tx| user_life::restore(tx, ANN, after(20), after(9))));
        let user = find(&store, ANN).await;
        assert_eq!((user.deleted_at, user.updated_at, user.version), (None, after(20), 3));
        assert!(write!(store, |tx| user_life::delete(tx, ANN, after(30))));
        assert!(erase(&store, ANN, Erasable::Any).await);
        assert!(!write!(store, |tx| user_life::restore(tx, ANN, after(31), NOW)), "erased");
    }

    async fn a_mailbox_is_vouched_for_once(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &pending_user(1)).await;
        insert_user(&store, &pending_user(2)).await;
        db.execute("UPDATE users SET invited_until = created_at").await;
        assert!(write!(store, |tx| user_life::mark_verified(tx, ANN, after(1))));
        assert!(!write!(store, |tx| user_life::mark_verified(tx, ANN, after(2))), "it is");
        let user = find(&store, ANN).await;
        assert_eq!((user.email_verified_at, user.pending_since, user.version), (Some(after(1)), None, 2));
        assert_eq!(db.count("SELECT COUNT(*) FROM users WHERE invited_until IS NOT NULL").await, 1);
        db.execute("UPDATE users SET deleted_at = created_at").await;
        assert!(!write!(store, |tx| user_life::mark_verified(tx, BEN, after(2))), "deleted");
    }

    async fn a_tombstone_has_no_name_and_frees_the_address(db: TestDatabase) {
        let store = db.store().await;
        let ann = NewUser { username: Some("ann".into()), ..verified_user(1) };
        insert_user(&store, &ann).await;
        insert_user(&store, &verified_user(2)).await;
        db.execute("UPDATE users SET last_login_at = created_at").await;
        assert!(erase(&store, ANN, Erasable::Any).await);
        assert!(!erase(&store, ANN, Erasable::Any).await, "erased already");
        let user = find(&store, ANN).await;
        let nobody = format!("erased:{ANN}");
        assert_eq!((user.email.as_str(), user.email_canonical.as_str()), (nobody.as_str(), nobody.as_str()));
        assert_eq!((user.username, user.profile.len(), user.last_login_at), (None, 0, None));
        assert_eq!((user.deleted_at, user.erased_at, user.version), (Some(after(100)), Some(after(100)), 2));
        assert_eq!(user.created_at, NOW);
        assert_eq!(find(&store, BEN).await.username, None);
        assert_eq!(find(&store, BEN).await.email, "User2@Example.org");
        let again = NewUser { id: UserId(uuid(3)), ..verified_user(1) };
        insert_user(&store, &again).await;
        let mut reader = store.read().await.unwrap();
        let found = users::find_by_email(&mut reader, "user1@example.org").await.unwrap().unwrap();
        assert_eq!(found.id, UserId(uuid(3)));
        let first = (after(1_000_000), UserId(uuid(u128::MAX)));
        let listed = users::list(&mut reader, first, 10).await.unwrap();
        let listed: Vec<_> = listed.iter().map(|user| user.id.0.as_u128()).collect();
        assert_eq!(listed, [3, 2], "no tombstone");
    }

    async fn what_a_sweep_found_must_still_be_so(db: TestDatabase) {
        let store = db.store().await;
        for n in 1..=3 {
            insert_user(&store, &NewUser { created_at: after(n.try_into().unwrap()), ..pending_user(n) }).await;
        }
        let pending = Erasable::PendingBy(after(2));
        assert_eq!(erasable(&store, pending).await, [1, 2]);
        assert!(!erase(&store, UserId(uuid(3)), pending).await, "signed up later");
        for (change, back) in [
            ("UPDATE users SET pending_since = NULL", "UPDATE users SET pending_since = created_at"),
            ("UPDATE users SET email_verified_at = created_at", "UPDATE users SET email_verified_at = NULL"),
            ("UPDATE users SET suspended_at = created_at", "UPDATE users SET suspended_at = NULL"),
            ("UPDATE users SET deleted_at = created_at", "UPDATE users SET deleted_at = NULL"),
        ] {
            db.execute(change).await;
            assert_eq!(erasable(&store, pending).await, [0; 0], "{change}");
            assert!(!erase(&store, ANN, pending).await, "{change}");
            db.execute(back).await;
        }
        assert!(erase(&store, ANN, pending).await);
        assert_eq!(erasable(&store, pending).await, [2]);

        let invited = Erasable::InvitedBy(after(50));
        assert!(!erase(&store, BEN, invited).await, "not invited");
        db.execute("UPDATE users SET pending_since = NULL, invited_until = created_at WHERE erased_at IS NULL").await;
        assert_eq!(erasable(&store, invited).await, [2, 3]);
        assert_eq!(erasable(&store, Erasable::InvitedBy(after(1))).await, [0; 0]);
        for (change, back) in [
            ("UPDATE users SET email_verified_at = created_at", "UPDATE users SET email_verified_at = NULL"),
            ("UPDATE users SET suspended_at = created_at", "UPDATE users SET suspended_at = NULL"),
            ("UPDATE users SET deleted_at = created_at WHERE erased_at IS NULL",
             "UPDATE users SET deleted_at = NULL WHERE erased_at IS NULL"),
        ] {
            db.execute(change).await;
            assert_eq!(erasable(&store, invited).await, [0; 0], "{change}");
            assert!(!erase(&store, BEN, invited).await, "{change}");
            db.execute(back).await;
        }
        assert!(erase(&store, BEN, invited).await);

        let deleted = Erasable::DeletedBy(after(3));
        assert!(!erase(&store, UserId(uuid(3)), deleted).await, "not deleted");
        db.execute("UPDATE users SET deleted_at = created_at WHERE erased_at IS NULL").await;
        assert_eq!(erasable(&store, deleted).await, [3]);
        assert!(!erase(&store, UserId(uuid(3)), Erasable::DeletedBy(after(2))).await, "later");
        assert!(erase(&store, UserId(uuid(3)), deleted).await);
        for which in [pending, invited, deleted, Erasable::Any] {
            assert_eq!(erasable(&store, which).await, [0; 0]);
        }
    }

    async fn sessions_of_one_user_end_are_listed_and_forget_where_they_came_from(db: TestDatabase) {
        let store = db.store().await;
        for n in [1, 2] {
            insert_user(&store, &verified_user(n)).await;
        }
        open(&store, &session(10, ANN, NOW), 1).await;
        open(&store, &session(11, ANN, after(1)), 2).await;
        open(&store, &session(12, BEN, NOW), 3).await;
        let signed_in = |from: UserId, limit| {
            let store = store.clone();
            async move {
                let mut reader = store.read().await.unwrap();
                sessions::list_signed_in(&mut reader, after(9), from, limit).await.unwrap()
            }
        };
        assert_eq!(signed_in(UserId(uuid(0)), 10).await, [ANN, BEN]);
        assert_eq!(signed_in(UserId(uuid(0)), 1).await, [ANN]);
        assert_eq!(signed_in(ANN, 10).await, [BEN]);
        let end = || store.write((), |tx, ()| {
            Box::pin(sessions::end_all(tx, ANN, after(10), EndReason::Suspended))
        });
        let mut ended = end().await.unwrap();
        ended.sort();
        assert_eq!(ended, [SessionId(uuid(10)), SessionId(uuid(11))]);
        assert_eq!(end().await.unwrap(), [], "over already");
        assert_eq!(signed_in(UserId(uuid(0)), 10).await, [BEN]);

        write!(store, |tx| sessions::anonymize(tx, ANN));
        write!(store, |tx| refresh_tokens::delete_of_user(tx, ANN));
        assert_eq!(db.count("SELECT COUNT(*) FROM refresh_tokens").await, 1, "of somebody else");
        let mut reader = store.read_stale().await.unwrap();
        let first = (after(1_000_000), SessionId(uuid(0)));
        let all = sessions::list_all(&mut reader, ANN, first, 10).await.unwrap();
        let all: Vec<_> = all.iter().map(|one| {
            let session = &one.session;
            (session.id.0.as_u128(), session.address.as_str(), session.user_agent.as_deref(), one.ended_at)
        }).collect();
        assert_eq!(all, [(11, "", None, Some(after(10))), (10, "", None, Some(after(10)))]);
        let place = (after(1), SessionId(uuid(11)));
        let rest = sessions::list_all(&mut reader, ANN, place, 10).await.unwrap();
        assert_eq!((rest.len(), rest[0].end_reason.as_deref()), (1, Some("suspended")));
        let ben = sessions::list_all(&mut reader, BEN, first, 10).await.unwrap();
        assert_eq!((ben[0].session.address.as_str(), ben[0].ended_at), ("192.0.2.7", None));
    }

    async fn one_time_tokens_of_one_user_are_listed_voided_and_removed(db: TestDatabase) {
        let store = db.store().await;
        for n in [1, 2] {
            insert_user(&store, &verified_user(n)).await;
        }
        one_time_token(&store, 1, ANN, Purpose::EmailVerification).await;
        one_time_token(&store, 2, ANN, Purpose::PasswordReset).await;
        one_time_token(&store, 3, ANN, Purpose::EmailChange).await;
        one_time_token(&store, 4, BEN, Purpose::PasswordReset).await;
        db.execute("UPDATE one_time_tokens SET used_at = created_at WHERE purpose = 'email_verification'").await;
        let mut reader = store.read_stale().await.unwrap();
        let listed = one_time_tokens::list(&mut reader, ANN, 10).await.unwrap();
        let purposes: Vec<_> = listed.iter().map(|token| token.purpose.as_str()).collect();
        assert_eq!(purposes, ["email_change", "password_reset", "email_verification"]);
        assert_eq!((listed[1].created_at, listed[1].expires_at, listed[1].used_at), (after(2), after(1000), None));
        assert_eq!(listed[2].used_at, Some(after(1)));
        assert_eq!(one_time_tokens::list(&mut reader, ANN, 1).await.unwrap().len(), 1);

        write!(store, |tx| one_time_tokens::void(tx, ANN, Purpose::PasswordReset));
        write!(store, |tx| one_time_tokens::void(tx, ANN, Purpose::EmailVerification));
        assert_eq!(one_time_tokens::list(&mut reader, ANN, 10).await.unwrap().len(), 2, "a spent one stays");
        write!(store, |tx| one_time_tokens::void_all(tx, ANN));
        assert_eq!(one_time_tokens::list(&mut reader, ANN, 10).await.unwrap().len(), 1, "a spent one stays");
        write!(store, |tx| one_time_tokens::delete_of_user(tx, ANN));
        assert_eq!(one_time_tokens::list(&mut reader, ANN, 10).await.unwrap(), []);
        assert_eq!(one_time_tokens::list(&mut reader, BEN, 10).await.unwrap().len(), 1);
    }

    async fn auz_09_holders_are_those_who_have_the_role_and_active_those_who_could_use_it(db: TestDatabase) {
        let store = db.store().await;
        for n in 1..=3 {
            insert_user(&store, &verified_user(n)).await;
        }
        insert_user(&store, &pending_user(4)).await;
        for n in [3, 1, 4] {
            let grant = store.write(UserId(uuid(n)), |tx, id| Box::pin(roles::grant(tx, *id, ADMIN, after(7))));
            assert!(grant.await.unwrap());
        }
        let active = || store.write((), |tx, ()| Box::pin(roles::lock_holders(tx, ADMIN)));
        assert_eq!(active().await.unwrap(), [ANN, UserId(uuid(3))], "4 is not verified");
        let other = store.write((), |tx, ()| Box::pin(roles::lock_holders(tx, "other")));
        assert_eq!(other.await.unwrap(), []);
        db.execute("UPDATE users SET suspended_at = created_at WHERE email_canonical = 'user1@example.org'").await;
        assert_eq!(active().await.unwrap(), [UserId(uuid(3))]);
        db.execute("UPDATE users SET suspended_at = NULL, deleted_at = created_at").await;
        assert_eq!(active().await.unwrap(), []);

        let mut reader = store.read().await.unwrap();
        assert!(roles::is_role(&mut reader, ADMIN).await.unwrap());
        assert!(!roles::is_role(&mut reader, "Admin").await.unwrap());
        assert!(roles::holds(&mut reader, ANN, ADMIN).await.unwrap());
        assert!(!roles::holds(&mut reader, BEN, ADMIN).await.unwrap());
        assert!(!roles::holds(&mut reader, ANN, "other").await.unwrap());
        assert_eq!(roles::list_of_user(&mut reader, ANN).await.unwrap(), [(ADMIN.to_owned(), after(7))]);
        let revoke = || store.write((), |tx, ()| Box::pin(roles::revoke(tx, ANN, ADMIN)));
        assert!(revoke().await.unwrap());
        assert!(!revoke().await.unwrap(), "gone already");
        assert_eq!(roles::list_of_user(&mut reader, ANN).await.unwrap(), []);
        write!(store, |tx| roles::revoke_all(tx, UserId(uuid(3))));
        assert_eq!(db.count("SELECT COUNT(*) FROM user_roles").await, 1, "of 4");
    }

    async fn what_belongs_to_one_user_goes_and_the_rest_stays(db: TestDatabase) {
        let store = db.store().await;
        for n in [1, 2] {
            insert_user(&store, &verified_user(n)).await;
        }
        for (field, value, user) in
            [("/username", "ann", ANN), ("/profile/phone", "1", ANN), ("/username", "ben", BEN)]
        {
            let claim = store.write((field, value, user), |tx, (field, value, user)| {
                Box::pin(unique_values::claim(tx, field, value, *user))
            });
            assert!(claim.await.unwrap());
        }
        let mut reader = store.read().await.unwrap();
        let held = unique_values::list(&mut reader, ANN).await.unwrap();
        assert_eq!(held, [("/profile/phone".into(), "1".into()), ("/username".into(), "ann".into())]);
        write!(store, |tx| unique_values::release_all(tx, ANN));
        assert_eq!(unique_values::list(&mut reader, ANN).await.unwrap(), []);
        assert_eq!(unique_values::list(&mut reader, BEN).await.unwrap().len(), 1);

        wish(&db, "1").await;
        wish(&db, "2").await;
        let found = email_changes::find(&mut reader, ANN).await.unwrap().unwrap();
        assert_eq!((found.email.as_str(), found.requested_at), ("New@example.org", NOW));
        write!(store, |tx| email_changes::drop(tx, ANN));
        assert_eq!(email_changes::find(&mut reader, ANN).await.unwrap(), None);
        assert!(email_changes::find(&mut reader, BEN).await.unwrap().is_some());

        let set = store.write((), |tx, ()| {
            Box::pin(async move { credentials::set_provisional(tx, ANN, &hash("second"), after(3)).await })
        });
        set.await.unwrap();
        let found = credentials::find(&mut reader, ANN).await.unwrap().unwrap();
        assert_eq!((found.hash, found.set_at, found.must_change), (hash("second"), after(3), true));
        assert!(!credentials::find(&mut reader, BEN).await.unwrap().unwrap().must_change);
    }

    async fn log_10_events_of_a_user_are_listed_and_lose_their_details(db: TestDatabase) {
        let store = db.store().await;
        let by_ann = portcullis::domain::event::Event {
            actor: portcullis::domain::event::Actor::User(ANN), ..event(3, BEN)
        };
        let other = portcullis::domain::event::Event {
            actor: portcullis::domain::event::Actor::Anyone, ..event(4, BEN)
        };
        for one in [event(1, ANN), event(2, ANN), by_ann, other] {
            store.write(one, |tx, one| Box::pin(events::append(tx, one))).await.unwrap();
        }
        let mut reader = store.read_stale().await.unwrap();
        let newest = EventId(uuid(u128::MAX));
        let listed = events::list_about(&mut reader, ANN, newest, 10).await.unwrap();
        let ids: Vec<_> = listed.iter().map(|event| event.id.0.as_u128()).collect();
        assert_eq!((ids, events::count_about(&mut reader, ANN).await.unwrap()), (vec![2, 1], 2));
        assert_eq!(listed[0].address.as_deref(), Some("2001:db8::1"));
        assert_eq!(listed[0].data, object(json!({ "changed": ["profile.bio"] })));
        let rest = events::list_about(&mut reader, ANN, EventId(uuid(2)), 10).await.unwrap();
        assert_eq!(rest.len(), 1);

        let hashes = "SELECT COUNT(*) FROM events WHERE length(details_hash) = 32";
        assert_eq!(write!(store, |tx| events::erase_details(tx, ANN)), 3, "what ann did to ben too");
        assert_eq!(write!(store, |tx| events::erase_details(tx, ANN)), 0);
        let listed = events::list_about(&mut reader, ANN, newest, 10).await.unwrap();
        assert_eq!((listed.len(), &listed[0].address, listed[0].data.len()), (2, &None, 0));
        assert_eq!(db.count("SELECT COUNT(*) FROM event_details").await, 1);
        assert_eq!(db.count(hashes).await, 4);
    }
}

/// A wish of the user with this number for another address.
async fn wish(db: &TestDatabase, n: &str) {
    let id = format!("'000000000000000000000000000000{n:0>2}'");
    let statement = |id: String, at: &str| {
        let text = format!(
            "INSERT INTO email_changes (user_id, email, email_canonical, session_id, requested_at, expires_at)
             SELECT {id}, 'New@example.org', 'new@example.org', {id}, {at}, {at} FROM users LIMIT 1"
        );
        // Leaked, because sqlx wants texts that live for ever: a few bytes a test.
        &*text.leak()
    };
    let texts =
        (statement(format!("x{id}"), "created_at"), statement(format!("{id}::uuid"), "created_at"));
    assert_eq!(db.execute(texts).await, 1);
}

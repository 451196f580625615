//! The contract of `password_credentials`, `unique_values` and `roles`.

use portcullis::domain::ids::UserId;
use portcullis::domain::password_hash::PasswordHash;
use portcullis::store::unique_values::{self, USERNAME};
use portcullis::store::{Store, credentials, roles, users};

use crate::support::rows::{NOW, after, hash, insert_user, uuid, verified_user};

async fn set(store: &Store, hash: PasswordHash, at: u64) {
    let set = store.write((hash, at), |tx, (hash, at)| {
        Box::pin(credentials::set(tx, UserId(uuid(1)), hash, after(*at)))
    });
    set.await.unwrap();
}

async fn claim(store: &Store, field: &'static str, value: &'static str, user: u128) -> bool {
    let claim = store.write((field, value, user), |tx, (field, value, user)| {
        Box::pin(unique_values::claim(tx, field, value, UserId(uuid(*user))))
    });
    claim.await.unwrap()
}

on_every_backend! {
    async fn the_newest_password_is_the_one(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        db.execute("UPDATE password_credentials SET must_change = TRUE").await;
        let mut reader = store.read().await.unwrap();
        let first = credentials::find(&mut reader, UserId(uuid(1))).await.unwrap().unwrap();
        assert_eq!((first.set_at, first.must_change), (NOW, true));

        set(&store, hash("second"), 7).await;
        let second = credentials::find(&mut reader, UserId(uuid(1))).await.unwrap().unwrap();
        assert_eq!((second.hash, second.set_at), (hash("second"), after(7)));
        assert!(!second.must_change);
        set(&store, PasswordHash::none(), 8).await;
        let third = credentials::find(&mut reader, UserId(uuid(1))).await.unwrap().unwrap();
        assert!(third.hash.is_none());
        assert!(credentials::find(&mut reader, UserId(uuid(2))).await.unwrap().is_none());
    }

    async fn pwd_03_a_rehash_never_brings_an_old_password_back(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        let rehash = || {
            store.write((hash("first"), hash("costly")), |tx, (old, new)| {
                Box::pin(credentials::rehash(tx, UserId(uuid(1)), old, new))
            })
        };
        assert!(rehash().await.unwrap());
        let mut reader = store.read().await.unwrap();
        let found = credentials::find(&mut reader, UserId(uuid(1))).await.unwrap().unwrap();
        assert_eq!((found.hash, found.set_at), (hash("costly"), NOW), "the version stays");
        set(&store, hash("changed"), 1).await;
        assert!(!rehash().await.unwrap(), "the password was changed meanwhile");
        let found = credentials::find(&mut reader, UserId(uuid(1))).await.unwrap().unwrap();
        assert_eq!(found.hash, hash("changed"));
    }

    async fn a_unique_value_is_held_by_one(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        insert_user(&store, &verified_user(2)).await;
        assert!(claim(&store, USERNAME, "zoë", 1).await);
        assert!(!claim(&store, USERNAME, "zoë", 2).await);
        assert!(!claim(&store, USERNAME, "zoë", 1).await, "the holder included");
        // Exactly, whatever the collation of the database: another case, an accent apart, another field.
        assert!(claim(&store, USERNAME, "zoe", 2).await);
        assert!(claim(&store, "/profile/phone", "zoë", 2).await);

        let mut reader = store.read().await.unwrap();
        let holder = unique_values::find_holder(&mut reader, USERNAME, "zoë").await.unwrap();
        assert_eq!(holder, Some(UserId(uuid(1))));
        for other in ["ZOË", "zo", "zoë ", "%"] {
            let holder = unique_values::find_holder(&mut reader, USERNAME, other).await.unwrap();
            assert_eq!(holder, None, "{other}");
        }
        let found = users::find_by_username(&mut reader, "zoë").await.unwrap().unwrap();
        assert_eq!(found.id, UserId(uuid(1)));
        assert_eq!(users::find_by_username(&mut reader, "Zoë").await.unwrap(), None);

        let release = store.write((), |tx, ()| {
            Box::pin(unique_values::release(tx, USERNAME, UserId(uuid(2))))
        });
        release.await.unwrap();
        let phone = unique_values::find_holder(&mut reader, "/profile/phone", "zoë").await.unwrap();
        assert_eq!(phone, Some(UserId(uuid(2))), "another field stays");
        assert_eq!(unique_values::find_holder(&mut reader, USERNAME, "zoe").await.unwrap(), None);
        assert!(users::find_by_username(&mut reader, "zoë").await.unwrap().is_some());
        assert!(claim(&store, USERNAME, "zoe", 2).await, "what was given up may be taken");
    }

    async fn a_user_holds_one_value_a_field(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        assert!(claim(&store, USERNAME, "ann", 1).await);
        let second = store.write((), |tx, ()| {
            Box::pin(unique_values::claim(tx, USERNAME, "anna", UserId(uuid(1))))
        });
        assert!(second.await.is_err());
        assert_eq!(db.count("SELECT COUNT(*) FROM unique_values").await, 1);
    }

    async fn what_is_held_is_listed_and_freed_by_field(db: TestDatabase) {
        let store = db.store().await;
        for n in 1..=4 {
            insert_user(&store, &verified_user(n)).await;
        }
        for (field, value, user) in [
            ("/profile/b", "x", 2), ("/profile/a", "x", 2), ("/profile/b", "y", 1), ("/profile/b", "z", 3), (USERNAME, "zoë", 4),
        ] {
            assert!(claim(&store, field, value, user).await);
        }
        let mut reader = store.read().await.unwrap();
        let range = (UserId(uuid(2)), UserId(uuid(3)));
        let held = unique_values::list_held_by(&mut reader, range).await.unwrap();
        let held: Vec<_> = held.into_iter().map(|row| (row.user_id, row.field, row.value_canonical)).collect();
        let row = |user, field: &str, value: &str| (UserId(uuid(user)), field.to_owned(), value.to_owned());
        assert_eq!(held, [row(2, "/profile/a", "x"), row(2, "/profile/b", "x"), row(3, "/profile/b", "z")]);
        let mut fields = vec![String::new()];
        while let Some(next) = unique_values::find_next_field(&mut reader, fields.last().unwrap()).await.unwrap() {
            fields.push(next);
        }
        assert_eq!(fields, ["", "/profile/a", "/profile/b", USERNAME]);
        let some = || {
            store.write((), |tx, ()| Box::pin(unique_values::release_some(tx, "/profile/b", 2)))
        };
        assert_eq!((some().await.unwrap(), some().await.unwrap(), some().await.unwrap()), (2, 1, 0));
        assert_eq!(db.count("SELECT COUNT(*) FROM unique_values").await, 2);
    }

    async fn a_role_is_granted_once(db: TestDatabase) {
        let store = db.store().await;
        insert_user(&store, &verified_user(1)).await;
        let grant = |role: &'static str| {
            store.write(role, |tx, role| Box::pin(roles::grant(tx, UserId(uuid(1)), role, NOW)))
        };
        assert!(grant(roles::ADMIN).await.unwrap());
        assert!(!grant(roles::ADMIN).await.unwrap());
        assert!(grant("no such role").await.is_err());
        assert_eq!(db.count("SELECT COUNT(*) FROM user_roles").await, 1);
    }
}

//! How much a mailbox is sent (BRU-10): counted with the change, for each kind on its own.

use std::time::Duration;

use portcullis::domain::job::Letter;
use portcullis::domain::signup::MailKind;
use portcullis::flows::verify_email::VerifyError;

use crate::support::app::{Person, TestApp};

async fn mails_of(app: &TestApp, email: &str, kind: MailKind) -> usize {
    let letters = app.mails_to(email).await;
    letters.iter().filter(|letter| letter.mail_kind() == kind).count()
}

on_every_backend! {
    async fn bru_10_a_signup_beyond_the_limit_keeps_the_last_token(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::new("ann@example.org");
        let newest = ann.with_password("another-Kiesel-58-laterne");
        app.sign_up(&ann).await.unwrap();
        app.sign_up(&ann).await.unwrap();
        app.sign_up(&newest).await.unwrap();
        let mailed = app.tokens_mailed_to("ann@example.org").await;
        assert_eq!(mailed.len(), 2, "two at once");
        // The token proves the mailbox, the newest password the person.
        let tried = app.verify(&newest, &mailed[0]).await;
        assert!(matches!(tried, Err(VerifyError::TokenInvalid)));
        let tried = app.verify(&ann, &mailed[1]).await;
        assert!(matches!(tried, Err(VerifyError::BadCredentials)));
        app.verify(&newest, &mailed[1]).await.unwrap();
        app.assert_invariants().await;
    }

    async fn bru_10_two_at_once_then_one_a_minute_then_five_an_hour(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let email = "Ann@Example.org";
        let spellings = [email, "ann@example.org", " ANN@example.ORG"].into_iter().cycle();
        let minutes = [0, 0, 0, 1, 0, 1, 1, 1, 1, 4, 4].into_iter();
        let mut sent = Vec::new();
        for (minutes, spelled) in minutes.zip(spellings) {
            app.advance(Duration::from_mins(minutes));
            let before = app.database.count("SELECT count(*) FROM jobs").await;
            app.sign_up(&Person::new(spelled)).await.unwrap();
            sent.push(app.database.count("SELECT count(*) FROM jobs").await - before);
        }
        // The fifth mail is the last until twelve minutes after the first.
        assert_eq!(sent, [1, 1, 0, 1, 0, 1, 1, 0, 0, 0, 1]);
        assert_eq!(app.database.count("SELECT count(*) FROM mail_allowances").await, 1);
        app.assert_invariants().await;
    }

    async fn bru_10_no_kind_uses_up_another(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::new("ann@example.org");
        app.register(&ann).await;
        for _ in 0..4 {
            app.sign_up(&ann).await.unwrap();
        }
        assert_eq!(mails_of(&app, "ann@example.org", MailKind::Attempt).await, 2);
        assert_eq!(mails_of(&app, "ann@example.org", MailKind::Verification).await, 1);
        // Nor does one mailbox use up another's.
        app.sign_up(&Person::new("ben@example.org")).await.unwrap();
        assert_eq!(app.mails_to("ben@example.org").await.len(), 1);
        assert_eq!(app.database.count("SELECT count(*) FROM mail_allowances").await, 3);
    }

    async fn a_signup_on_the_address_of_a_deleted_account_is_told_to_its_owner(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::new("ann@example.org");
        app.register(&ann).await;
        app.database.execute("UPDATE users SET deleted_at = created_at").await;
        app.sign_up(&ann).await.unwrap();
        let last = app.mails_to("ann@example.org").await.pop().unwrap();
        assert!(matches!(last, Letter::AddressHeld));
    }

    async fn without_limits_every_mail_goes_out(db: TestDatabase) {
        let app = TestApp::start_with(db, &[("LIMITS__ENABLED", "false")]).await;
        let ann = Person::new("ann@example.org");
        for _ in 0..7 {
            app.sign_up(&ann).await.unwrap();
        }
        assert_eq!(app.tokens_mailed_to("ann@example.org").await.len(), 7);
        assert_eq!(app.database.count("SELECT count(*) FROM mail_allowances").await, 0);
    }
}

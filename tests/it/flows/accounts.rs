//! From signup to logout, and what may not be seen on the way.

use portcullis::domain::session::Origin;
use portcullis::flows::authenticate::AuthenticateError;
use portcullis::flows::logout::{self, Logout};
use portcullis::flows::refresh::RefreshError;

use crate::support::app::{Person, TestApp};

on_every_backend! {
    async fn a_person_signs_up_verifies_logs_in_refreshes_and_logs_out(db: TestDatabase) {
        let app = TestApp::start(db).await;
        let ann = Person::new("Ann@Example.org").named("Ann");
        app.sign_up(&ann).await.unwrap();
        let mailed = app.tokens_mailed_to("Ann@Example.org").await;
        assert_eq!(mailed.len(), 1);
        let verified = app.verify(&ann, &mailed[0]).await.unwrap();
        assert!(!verified.is_username_dropped);

        let first = app.authenticate(&verified.tokens.access_token).await.unwrap();
        assert_eq!(first.user.email, "Ann@Example.org");
        assert_eq!(first.user.username.as_deref(), Some("Ann"));

        let tokens = app.log_in(&ann).await.unwrap();
        assert_ne!(tokens.session_id, verified.tokens.session_id);
        let next = app.refresh(tokens.refresh_token.expose()).await.unwrap();
        assert_eq!(next.session_id, tokens.session_id);
        assert_ne!(next.refresh_token, tokens.refresh_token);
        assert!(app.authenticate(&next.access_token).await.is_ok());

        let logout = Logout {
            refresh_token: Some(next.refresh_token.expose().to_owned()),
            access_token: None,
            origin: Origin::default(),
        };
        logout::logout(&app.app, logout).await.unwrap();
        let ended = app.authenticate(&next.access_token).await;
        assert!(matches!(ended, Err(AuthenticateError::Invalid)));
        let ended = app.refresh(next.refresh_token.expose()).await;
        assert!(matches!(ended, Err(RefreshError::Invalid)));
        // The other session lives.
        assert!(app.refresh(verified.tokens.refresh_token.expose()).await.is_ok());
        app.assert_invariants().await;
    }
}

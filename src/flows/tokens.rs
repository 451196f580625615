//! What somebody who signed in is given: a signed access token, and the refresh token of the session.

use portcullis_verify::Claims;

use crate::app::App;
use crate::crypto::random;
use crate::domain::ids::SessionId;
use crate::domain::session::{OWN_CLIENT, Origin, Session};
use crate::domain::signup::EmailVerification;
use crate::domain::time::Timestamp;
use crate::domain::token::{TokenKind, TokenSecret};
use crate::domain::user::User;
use crate::store::refresh_tokens::NewRefreshToken;
use crate::{Fault, store};

/// How far `iat` and `nbf` lie back, in seconds: many verifiers allow no leeway, and clocks differ (JWT-10).
pub const BACKDATED_S: i64 = 5;

/// Tokens for somebody who signed in.
#[derive(Debug)]
pub struct Tokens {
    /// The signed access token.
    pub access_token: String,
    /// How long it is good, in seconds from now.
    pub expires_in: u64,
    /// The opaque refresh token.
    pub refresh_token: TokenSecret,
    /// How long it is good unless it is used, in seconds from now.
    pub refresh_expires_in: u64,
    /// The session of both.
    pub session_id: SessionId,
    /// Whether the password is to be changed.
    pub must_change_password: bool,
}

/// What an access token is about.
pub struct Subject<'a> {
    /// The user.
    pub user: &'a User,
    /// The session.
    pub session_id: SessionId,
    /// For whom it is.
    pub audience: &'a str,
    /// When the password was last given.
    pub auth_time: Timestamp,
}

/// Signs an access token for `subject`, good from `now` on.
pub fn access_token(app: &App, subject: &Subject<'_>, now: Timestamp) -> Result<String, Fault> {
    let key =
        app.keys.ring.signing(now).ok_or_else(|| Fault::unavailable("there is no signing key"))?;
    let settings = &app.settings;
    let iat = now.seconds() - BACKDATED_S;
    let lifetime_s = i64::try_from(settings.access_lifetime.as_secs()).unwrap_or(i64::MAX);
    key.sign(&Claims {
        iss: settings.issuer.clone(),
        sub: subject.user.id.to_string(),
        aud: vec![subject.audience.to_owned()],
        exp: now.seconds().saturating_add(lifetime_s),
        iat,
        nbf: iat,
        jti: app.random.uuid(now).to_string(),
        client_id: OWN_CLIENT.into(),
        scope: settings.user_scope.clone(),
        sid: Some(subject.session_id.to_string()),
        roles: Some(subject.user.roles.0.clone()),
        auth_time: Some(subject.auth_time.seconds().min(iat)),
        amr: Some(vec!["pwd".into()]),
        email: Some(subject.user.email_canonical.clone()),
        email_verified: Some(subject.user.email_verified_at.is_some()),
        extra: app.schema.claims(&subject.user.profile),
    })
}

/// A session that is to be opened, with its first refresh token.
#[derive(Clone)]
pub struct Opening {
    /// The session.
    pub session: Session,
    /// What is stored of its first refresh token.
    pub token: NewRefreshToken,
    /// The version of the credential that was checked (SES-09).
    pub credential_set_at: Timestamp,
    needed: EmailVerification,
    secret: TokenSecret,
}

impl Opening {
    /// A new session of `user`: always a new id (SES-12).
    pub fn new(
        app: &App,
        user: &User,
        audience: &str,
        credential_set_at: Timestamp,
        (origin, now): (&Origin, Timestamp),
    ) -> Self {
        let absolute_expires_at = now.plus(app.settings.session_max);
        let expires_at = now.plus(app.settings.session_idle).min(absolute_expires_at);
        let secret = app.random.token(TokenKind::Refresh);
        let session = Session {
            id: SessionId(app.random.uuid(now)),
            user_id: user.id,
            client_id: OWN_CLIENT.into(),
            audience: audience.to_owned(),
            created_at: now,
            last_used_at: now,
            expires_at,
            absolute_expires_at,
            auth_time: now,
            address: origin.address.clone(),
            user_agent: origin.user_agent.clone(),
        };
        let token = NewRefreshToken {
            digest: random::digest(&secret),
            session_id: session.id,
            generation: 0,
            created_at: now,
            expires_at,
        };
        Self { session, token, credential_set_at, needed: app.settings.email_verification, secret }
    }

    /// Stores the session and its token; `false` if the user may not sign in any more.
    pub async fn store(&self, tx: &mut store::Writer) -> Result<bool, Fault> {
        let opened = store::sessions::insert_if_current(
            tx,
            &self.session,
            self.credential_set_at,
            self.needed,
        )
        .await?;
        if opened {
            store::refresh_tokens::insert(tx, &self.token).await?;
        }
        Ok(opened)
    }

    /// The tokens of the session, once it is stored.
    pub fn tokens(
        self,
        app: &App,
        user: &User,
        must_change_password: bool,
    ) -> Result<Tokens, Fault> {
        let session = &self.session;
        let subject = Subject {
            user,
            session_id: session.id,
            audience: &session.audience,
            auth_time: session.auth_time,
        };
        Ok(Tokens {
            access_token: access_token(app, &subject, session.created_at)?,
            expires_in: app.settings.access_lifetime.as_secs(),
            refresh_token: self.secret,
            refresh_expires_in: session.expires_at.since(session.created_at).as_secs(),
            session_id: session.id,
            must_change_password,
        })
    }
}

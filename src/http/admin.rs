//! What the calls for operators have in common: who may call.
//!
//! They stand on the admin listener only (AUZ-05).

use actix_web::HttpRequest;

use super::me::signed_in;
use super::problem::{Kind, Problem};
use crate::app::App;
use crate::domain::event::Actor;
use crate::domain::ids::UserId;
use crate::domain::session::SignedIn;

/// The role that may do everything.
const ADMIN: &str = "admin";

/// An administrator who is signed in.
pub(crate) struct Administrator(SignedIn);

impl Administrator {
    /// Who calls, if the database has them as an administrator now; 401 or 403 else.
    pub(crate) async fn of(app: &App, request: &HttpRequest) -> Result<Self, Problem> {
        let signed_in = signed_in(app, request).await?;
        // SECURITY: AUZ-01, AUZ-05. The role as it is now, not as the token was told of it.
        if signed_in.user.roles.0.iter().any(|role| role == ADMIN) {
            return Ok(Self(signed_in));
        }
        tracing::warn!(event = "authz_fail", user.id = %signed_in.user.id, "an administrator's call was refused");
        Err(Kind::PermissionDenied.into())
    }

    /// Who it is.
    pub(crate) fn id(&self) -> UserId {
        self.0.user.id
    }

    /// As the trail names them.
    pub(crate) fn actor(&self) -> Actor {
        Actor::User(self.0.user.id)
    }
}

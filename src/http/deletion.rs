//! The end of one's own account, by its user.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::body::Body;
use super::context::Client;
use super::me::signed_in;
use super::problem::{Kind, Problem};
use crate::app::App;
use crate::flows::delete_account::{DeleteError, delete_own};

/// What proves that the user means it.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteBody {
    /// The password.
    #[schema(format = "password")]
    password: String,
}

/// Deletes one's own account.
///
/// Every session ends at once. For a while an administrator can restore the account, and its address stays held;
/// then it is erased. An account whose address was never verified is erased at once.
#[utoipa::path(post, path = "/v1/me/delete", tag = "me", operation_id = "delete_me",
    request_body = DeleteBody, security(("bearer" = [])), responses(
        (status = 204, description = "The account is deleted.")))]
pub(crate) async fn delete(
    app: Data<App>,
    client: Client,
    request: HttpRequest,
    body: Body<DeleteBody>,
) -> Result<HttpResponse, Problem> {
    let signed_in = signed_in(&app, &request).await?;
    let body = body.read().await?;
    let password = app.passwords.for_trying(&body.password);
    let password = password.map_err(|error| Problem::validation(vec![error.at("/password")]))?;
    delete_own(&app, &signed_in, password, client.into()).await?;
    Ok(HttpResponse::NoContent().finish())
}

impl From<DeleteError> for Problem {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::LastAdmin => Kind::LastAdmin.into(),
            DeleteError::Reprove(error) => error.into(),
        }
    }
}

//! The one door for a password that somebody wants to have: signup, reset, change, the command line.
//!
//! What is slow runs where it holds no request up, and no database handle may be open meanwhile.

mod breach;

use crate::app::App;
use crate::domain::fields::FieldFault;
use crate::domain::password::{PasswordError, PlainPassword};
use crate::{Fault, deadline};

/// Why a password was not taken.
#[derive(Debug, thiserror::Error)]
pub enum NewPasswordError {
    /// It is not good enough; the text says why and does not quote it.
    #[error(transparent)]
    Refused(#[from] PasswordError),
    /// It could not be judged.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl NewPasswordError {
    /// The fault of the field at `pointer`, to be told with those of other fields.
    pub fn at(self, pointer: &str) -> Result<FieldFault, Fault> {
        match self {
            Self::Refused(error) => Ok(error.at(pointer)),
            Self::Fault(fault) => Err(fault),
        }
    }
}

/// Takes a password that somebody wants to have, or tells what is wrong with it.
///
/// `own` are the words that a stranger would try for this person (PWD-09): the address as typed and in its
/// compared form, and the username. To be called before the hash and with no handle open.
pub async fn check_new(
    app: &App,
    text: &str,
    own: &[&str],
) -> Result<PlainPassword, NewPasswordError> {
    let wanted = app.passwords.wanted(text, own)?;
    // SECURITY: T-04. Milliseconds of a core, in the bounded queue of the hashes.
    let password = app.hasher.aside(deadline::current_std(), || wanted.judge()).await??;
    match &app.breach_url {
        Some(list) if breach::is_breached(app, list, &password).await => {
            Err(PasswordError::Breached.into())
        }
        Some(_) | None => Ok(password),
    }
}

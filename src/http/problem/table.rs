//! The one table of problems: code, status, title, standing detail and what to do about it.
//!
//! Answers, the pages under `/problems/`, `docs/ERRORS.md` and the OpenAPI responses come from it.
//! More may be added; a code that was once here stays (api.md, section 1).

/// What is constant about a kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// The status of the answer.
    pub status: u16,
    /// The stable word that clients compare.
    pub code: &'static str,
    /// The title, the same for each occurrence.
    pub title: &'static str,
    /// The detail where an occurrence has none of its own.
    pub detail: &'static str,
    /// What it means and what to do.
    pub doc: &'static str,
}

macro_rules! problems {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident = $status:literal $code:literal $title:literal, $detail:literal;
    )+) => {
        /// The kinds of problems that an answer can tell.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $( $(#[doc = $doc])+ $name, )+
        }

        impl Kind {
            /// All of them, in the order of their status.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// What is constant about this kind.
            pub const fn row(self) -> &'static Row {
                match self {
                    $(Self::$name => &Row {
                        status: $status,
                        code: $code,
                        title: $title,
                        detail: $detail,
                        doc: concat!($($doc, "\n"),+),
                    },)+
                }
            }
        }
    };
}

problems! {
    /// The request is not what HTTP, JSON in UTF-8 or a query string may be: the body is empty or not
    /// one JSON text, a member or a parameter stands twice, or a header cannot be read.
    /// Repeating it unchanged changes nothing: correct the request.
    MalformedRequest = 400 "malformed_request" "The request cannot be read",
        "The request is malformed.";
    /// The cursor was altered, or belongs to another list or another user.
    /// Start again without a cursor, and send back only what `next_cursor` gave.
    CursorInvalid = 400 "cursor_invalid" "The cursor is not valid",
        "The cursor is not one that this list gave out.";

    /// The call needs an access token and none came.
    /// Send `Authorization: Bearer` with an access token; signing in gives one.
    AuthenticationRequired = 401 "authentication_required" "Authentication is required",
        "This call needs an access token.";
    /// The access token is broken, expired or revoked, or its session or user ended.
    /// Refresh it; if that fails as well, sign in again.
    AccessTokenInvalid = 401 "access_token_invalid" "The access token is not valid",
        "The access token is not valid, or its session has ended.";
    /// Wrong password, unknown or suspended user, no password: one answer for all of them.
    /// Ask for the credentials again.
    InvalidCredentials = 401 "invalid_credentials" "The credentials are not valid",
        "No account matches these credentials.";
    /// The refresh token is unknown or expired, its session ended, or its user may not sign in.
    /// Throw it away and sign in again.
    RefreshTokenInvalid = 401 "refresh_token_invalid" "The refresh token is not valid",
        "The refresh token is not valid, or its session has ended.";
    /// The refresh token had been used before, so it may be in other hands: its session was ended.
    /// Throw away all tokens of the session and sign in again.
    RefreshTokenReused = 401 "refresh_token_reused" "The refresh token was used before",
        "A refresh token that was replaced came again, so its session has ended.";

    /// The password is right, and the address has not been proven yet.
    /// Follow the link in the mail, or ask for another mail.
    EmailNotVerified = 403 "email_not_verified" "The e-mail address is not verified",
        "Verify the e-mail address first.";
    /// The call needs a password that was typed a short while ago.
    /// Ask for the password, call `/v1/me/reauthenticate`, and repeat the call with the new token.
    ReauthenticationRequired = 403 "reauthentication_required" "A recent sign-in is required",
        "Confirm the password again.";
    /// The user is known and does not hold the permission that the call needs.
    /// Ask an administrator; repeating it changes nothing.
    PermissionDenied = 403 "permission_denied" "The permission is missing",
        "The user may not do this.";
    /// Nobody can sign up by himself at present, or only who was invited.
    /// Ask whoever runs the service for an invitation.
    SignupClosed = 403 "signup_closed" "Signing up is closed",
        "Signing up is not open.";
    /// The call came without encryption, and this service demands it.
    /// Use the https address; what was sent may have been read on the way.
    HttpsRequired = 403 "https_required" "HTTPS is required",
        "Use https.";

    /// There is no such thing here, or it is somebody else's: the same answer for both.
    /// Check the path; a slash at its end counts.
    NotFound = 404 "not_found" "Not found",
        "There is nothing here.";
    /// The path exists and does not take this method; `Allow` lists those that it takes.
    MethodNotAllowed = 405 "method_not_allowed" "The method is not allowed",
        "This path does not take this method.";
    /// The body took longer to arrive than the service waits.
    /// Send it again over a better connection.
    RequestTimeout = 408 "request_timeout" "The request took too long to arrive",
        "The body did not arrive in time.";

    /// A verified account holds the username.
    /// Choose another one.
    UsernameTaken = 409 "username_taken" "The username is taken",
        "Somebody else has this username.";
    /// An account with this address exists; told only where verification is optional.
    /// Sign in, or reset the password.
    EmailTaken = 409 "email_taken" "The e-mail address is taken",
        "An account with this address exists.";
    /// Another account holds a value that must be unique; `errors` names the fields.
    /// Choose other values.
    ValueTaken = 409 "value_taken" "A value is taken",
        "Somebody else has one of these values.";
    /// The change would leave the service without an active administrator.
    /// Make somebody else an administrator first.
    LastAdmin = 409 "last_admin" "The last administrator stays",
        "This is the last active administrator.";
    /// The thing is in a state in which this cannot be done.
    /// Read it again and decide anew.
    StateConflict = 409 "state_conflict" "The state does not allow it",
        "The present state does not allow this.";
    /// A request with the same `Idempotency-Key` is still being answered.
    /// Wait a moment and repeat it with the same key.
    IdempotencyInProgress = 409 "idempotency_in_progress" "The same request is still running",
        "A request with this idempotency key is still running.";

    /// The thing changed since its `ETag` was read, or `If-Match` carries a foreign or weak tag.
    /// Read it again, apply the change to what it is now, and send the new tag.
    VersionConflict = 412 "version_conflict" "The version has changed",
        "If-Match does not name the present version.";
    /// The body is larger than the service takes; the connection closes.
    /// Send less.
    BodyTooLarge = 413 "body_too_large" "The body is too large",
        "The body is larger than allowed.";
    /// The body is not `application/json` in UTF-8 (PATCH also takes
    /// `application/merge-patch+json`), or it is compressed.
    /// Set `Content-Type`, and send it without `Content-Encoding`.
    MediaTypeUnsupported = 415 "media_type_unsupported" "The media type is not supported",
        "Send application/json in UTF-8, not compressed.";
    /// The request names a host that this service does not answer for.
    /// Use the public address; whoever runs the service adds others to `http.allowed_hosts`.
    HostUnknown = 421 "host_unknown" "The host is not known",
        "This service does not answer for this host.";

    /// The body or the query is readable and not what the call takes; `errors` lists all faults, each
    /// with a `pointer` into the body or the name of a query `parameter`, and a code.
    /// Correct them and send it again.
    ValidationFailed = 422 "validation_failed" "The values are not valid",
        "Some values are not what this call takes.";
    /// The one-time token is unknown, used, expired, replaced, or meant for something else.
    /// Ask for a new one.
    TokenInvalid = 422 "token_invalid" "The token is not valid",
        "The token is not valid, or no longer.";
    /// The `Idempotency-Key` was used for another request.
    /// Take a new key for a new request.
    IdempotencyKeyReused = 422 "idempotency_key_reused" "The idempotency key was used before",
        "This idempotency key belongs to another request.";
    /// The change needs an `If-Match` header, so that it cannot overwrite somebody else's.
    /// Read the thing and send its `ETag` in `If-Match`.
    IfMatchRequired = 428 "if_match_required" "If-Match is required",
        "Send the ETag that you read in If-Match.";
    /// Too many attempts; `Retry-After` tells in how many seconds to come back.
    TooManyAttempts = 429 "too_many_attempts" "Too many attempts",
        "Try again later.";
    /// The head of the request has too many or too long headers.
    /// Send fewer; cookies of other services on the same host are a common reason.
    HeadersTooLarge = 431 "headers_too_large" "The headers are too large",
        "The headers are larger than allowed.";

    /// A fault of the service. Whoever runs it finds it in the log by the request id.
    /// Repeating it may or may not help.
    Internal = 500 "internal" "Something went wrong",
        "The service could not do this.";
    /// The service has as much to do as it can take, and did not begin with this.
    /// Wait as long as `Retry-After` says and repeat it.
    Overloaded = 503 "overloaded" "The service is busy",
        "The service is busy; try again in a moment.";
    /// Something that the service needs is out, or the request took longer than it may.
    /// Wait as long as `Retry-After` says and repeat it.
    Unavailable = 503 "unavailable" "The service is not available",
        "The service is not available at the moment.";
}

impl Kind {
    /// The stable word that clients compare.
    pub const fn code(self) -> &'static str {
        self.row().code
    }

    /// The kind with this code.
    pub fn by_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }
}

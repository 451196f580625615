//! Faults of single fields: what a 422 lists, said without the rejected value.

/// The stable word for what is wrong with a field (`errors[].code` on the wire).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldCode {
    /// The member is missing.
    Required,
    /// The member is not one of the call's.
    UnknownMember,
    /// The member has another JSON type.
    WrongType,
    /// The member exists and is not the caller's to write.
    ReadOnly,
    /// Fewer characters, bytes or items than allowed.
    TooShort,
    /// More characters, bytes or items than allowed.
    TooLong,
    /// The text does not have the form that its format asks for.
    InvalidFormat,
    /// The number is outside its range.
    OutOfRange,
    /// The value is none of those allowed.
    NotAllowed,
    /// Somebody else has the value.
    Taken,
    /// The password has fewer code points than `password.min_length`.
    PasswordTooShort,
    /// The password has more code points than `password.max_length`.
    PasswordTooLong,
    /// The password is guessed in too few tries.
    PasswordTooCommon,
    /// The username is one of the reserved words.
    UsernameReserved,
    /// The audience is none of `token.audiences`.
    AudienceUnknown,
}

impl FieldCode {
    /// The slug that clients compare.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::UnknownMember => "unknown_member",
            Self::WrongType => "wrong_type",
            Self::ReadOnly => "read_only",
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::InvalidFormat => "invalid_format",
            Self::OutOfRange => "out_of_range",
            Self::NotAllowed => "not_allowed",
            Self::Taken => "taken",
            Self::PasswordTooShort => "password_too_short",
            Self::PasswordTooLong => "password_too_long",
            Self::PasswordTooCommon => "password_too_common",
            Self::UsernameReserved => "username_reserved",
            Self::AudienceUnknown => "audience_unknown",
        }
    }
}

/// One fault of one field. `detail` never quotes the value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldFault {
    /// RFC 6901 pointer into the body; `""` is the whole body.
    pub pointer: String,
    /// The stable word.
    pub code: FieldCode,
    /// One sentence for people.
    pub detail: String,
}

impl FieldFault {
    /// A fault of the field at `pointer`.
    pub fn new(pointer: impl Into<String>, code: FieldCode, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, detail: detail.into() }
    }
}

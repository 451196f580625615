//! The languages that mails are written in, and which of them a user reads.

/// A language of the built-in texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English, also for everybody whose language is not here.
    English,
    /// German.
    German,
    /// Spanish.
    Spanish,
    /// French.
    French,
}

impl Language {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::English, Self::German, Self::Spanish, Self::French];

    /// The language of a locale such as `de-CH` (BCP 47): region and script do not count.
    pub fn of(locale: Option<&str>) -> Self {
        let language = locale.unwrap_or_default().split('-').next().unwrap_or_default();
        let is_meant = |it: &Self| it.code().eq_ignore_ascii_case(language);
        Self::ALL.into_iter().find(is_meant).unwrap_or(Self::English)
    }

    /// Its code in ISO 639-1: the name of its file, and the `lang` of the HTML part.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::Spanish => "es",
            Self::French => "fr",
        }
    }
}

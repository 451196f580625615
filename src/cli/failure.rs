//! What goes wrong on the command line: an exit code for scripts and lines for people.
//!
//! Each cause has one code here and nowhere else. The lines go to stderr, and nothing in them moves the
//! cursor of a terminal.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::app::front::BindError;
use crate::app::open::OpenError;
use crate::config::Report;
use crate::domain::fields::FieldFault;
use crate::flows::create_user::CreateError;
use crate::flows::keys::KeysError;
use crate::flows::life::LifeError;
use crate::flows::roles::RoleError;
use crate::flows::unique::Taken;
use crate::flows::update::UpdateError;
use crate::mail::SetupError;
use crate::{Fault, FaultKind, telemetry};

/// How a command ended; stable, because scripts compare it (CFG-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// It is done.
    Done = 0,
    /// It is not done, for a reason that has no code of its own.
    Failed = 1,
    /// The arguments do not fit, or a question cannot be asked without a terminal.
    Usage = 2,
    /// What was named does not exist.
    NotFound = 3,
    /// It contradicts what is there.
    Conflict = 4,
    /// What HTTP answers with 422 (sysexits `EX_DATAERR`).
    Data = 65,
    /// A dependency is out, or too busy (`EX_UNAVAILABLE`).
    Unavailable = 69,
    /// What an operator wrote, or a database that is not for this binary (`EX_CONFIG`).
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// What scripts see.
    pub(super) code: Exit,
    /// What people see, one fault a line.
    pub(super) lines: Vec<String>,
}

impl Failure {
    /// A failure of one line.
    pub(super) fn new(code: Exit, line: impl Into<String>) -> Self {
        Self { code, lines: vec![line.into()] }
    }

    /// The reader of stdout has seen enough: an end like any other.
    fn quiet() -> Self {
        Self { code: Exit::Done, lines: Vec::new() }
    }

    /// A result that cannot be written to stdout.
    pub(super) fn of_stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::quiet()
        } else {
            Self::new(Exit::Failed, format!("stdout: {error}"))
        }
    }

    /// Writes the lines to stderr and gives the code.
    pub(super) fn tell(&self) -> ExitCode {
        let text: String = self.lines.iter().map(|line| telemetry::visible(line) + "\n").collect();
        // Nobody is left to be told that stderr is gone; the code says it all.
        io::stderr().write_all(text.as_bytes()).map_or(self.code, |()| self.code).into()
    }
}

impl From<Report> for Failure {
    fn from(report: Report) -> Self {
        Self {
            code: Exit::Config,
            lines: report.faults().iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let code = match fault.kind() {
            FaultKind::Unavailable | FaultKind::Overloaded => Exit::Unavailable,
            FaultKind::Internal => Exit::Failed,
        };
        Self::new(code, fault.chain())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Config(report) => report.into(),
            OpenError::Fault(fault) => fault.into(),
            OpenError::Schema(errors) => Self {
                code: Exit::Config,
                lines: errors.iter().map(|error| format!("profile.schema: {error}")).collect(),
            },
            OpenError::SchemaFile(_)
            | OpenError::BreachUrl(_)
            | OpenError::MasterKey(_)
            | OpenError::OtherMasterKey(_)
            | OpenError::Pending(_)
            | OpenError::TooOld(_) => Self::new(Exit::Config, error.to_string()),
        }
    }
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        match error {
            SetupError::Templates(faults) => Self {
                code: Exit::Config,
                lines: faults.iter().map(|fault| format!("mail.templates: {fault}")).collect(),
            },
            SetupError::Certificates(_) => Self::new(Exit::Config, error.to_string()),
            SetupError::Fault(fault) => fault.into(),
        }
    }
}

/// The address is configuration: a taken port or a foreign address is mended there.
impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        Self::new(Exit::Config, error.to_string())
    }
}

/// What HTTP lists in a 422: `pointer: detail`.
impl From<Vec<FieldFault>> for Failure {
    fn from(faults: Vec<FieldFault>) -> Self {
        let line = |fault: &FieldFault| format!("{}: {}", fault.pointer, fault.detail);
        Self { code: Exit::Data, lines: faults.iter().map(line).collect() }
    }
}

impl From<CreateError> for Failure {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::EmailTaken => Self::new(Exit::Conflict, error.to_string()),
            CreateError::Taken(taken) => taken.into(),
            CreateError::Fault(fault) => fault.into(),
        }
    }
}

impl From<LifeError> for Failure {
    fn from(error: LifeError) -> Self {
        match error {
            LifeError::NotFound => Self::new(Exit::NotFound, error.to_string()),
            LifeError::LastAdmin | LifeError::Conflict(_) => {
                Self::new(Exit::Conflict, error.to_string())
            }
            LifeError::NotAllowed | LifeError::Rehearsed(_) => {
                Self::new(Exit::Failed, error.to_string())
            }
            LifeError::Fault(fault) => fault.into(),
        }
    }
}

impl From<UpdateError> for Failure {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::Life(error) => error.into(),
            UpdateError::VersionConflict => Self::new(Exit::Conflict, error.to_string()),
            UpdateError::Invalid(faults) => faults.into(),
            UpdateError::Taken(taken) => taken.into(),
        }
    }
}

impl From<RoleError> for Failure {
    fn from(error: RoleError) -> Self {
        match error {
            RoleError::UnknownRole => Self::new(Exit::NotFound, error.to_string()),
            RoleError::Life(error) => error.into(),
        }
    }
}

/// What HTTP answers with 409: the values that somebody else has.
impl From<Taken> for Failure {
    fn from(taken: Taken) -> Self {
        let line = |fault: &FieldFault| match fault.pointer.as_str() {
            "/username" => "the username is taken".to_owned(),
            pointer => format!("{pointer}: {}", fault.detail),
        };
        Self { code: Exit::Conflict, lines: taken.faults().iter().map(line).collect() }
    }
}

impl From<KeysError> for Failure {
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::NotFound => Self::new(Exit::NotFound, error.to_string()),
            KeysError::Conflict(_) => Self::new(Exit::Conflict, error.to_string()),
            KeysError::Fault(fault) => fault.into(),
        }
    }
}

//! Questions to whoever sits at the terminal, and the password that comes by a pipe instead.
//!
//! Where there is no terminal nobody is asked: exit 2 says which argument answers the question (CFG-11).

use std::io::{self, BufRead, IsTerminal, Read};

use dialoguer::{Confirm, Password};
use rustix::termios::{self, OptionalActions};
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::failure::{Exit, Failure};

/// LIMIT: `password.max_length` is at most 4096 code points of four bytes, and a line ends with two.
const LINE_BYTES_MAX: u16 = 4096 * 4 + 2;

/// A new password, byte for byte as it came; whether it is text, and good enough, is not asked here.
pub(super) fn new_password(is_on_stdin: bool) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if is_on_stdin {
        let line = line(&mut io::stdin().lock());
        return line.map_err(|error| Failure::new(Exit::Failed, format!("stdin: {error}")));
    }
    if !is_answered() {
        let line = "no terminal to ask for the password: use --password-stdin";
        return Err(Failure::new(Exit::Usage, line));
    }
    show_again_when_interrupted()
        .map_err(|error| Failure::new(Exit::Failed, format!("terminal: {error}")))?;
    // An empty one is refused with all other faults; asking again would never end on a closed terminal.
    let prompt = Password::new()
        .with_prompt("Password")
        .with_confirmation("The same again", "They differ.")
        .allow_empty_password(true)
        .report(false);
    let password = prompt.interact().map_err(|error| unanswered(&error))?;
    Ok(Zeroizing::new(password.into_bytes()))
}

/// The exit code of a process that SIGINT ended, by the convention of shells.
const INTERRUPTED: i32 = 130;

/// The prompt turns the terminal's echo off: whoever is interrupted at it turns it on again, and ends.
#[expect(clippy::disallowed_methods, reason = "it ends the process, so nobody waits for it")]
fn show_again_when_interrupted() -> io::Result<()> {
    let before = termios::tcgetattr(io::stdin())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut ended = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = ended.recv() => {}
        }
        if let Err(error) = termios::tcsetattr(io::stdin(), OptionalActions::Now, &before) {
            tracing::warn!(%error, "the terminal stays without an echo");
        }
        std::process::exit(INTERRUPTED);
    });
    Ok(())
}

/// The first line without its end: `\n` or `\r\n`, and nothing else is cut (PWD-06, PWD-08).
pub(super) fn line(input: &mut impl BufRead) -> io::Result<Zeroizing<Vec<u8>>> {
    // Whole at once: a buffer that grows leaves copies behind that nobody wipes.
    let mut line = Zeroizing::new(Vec::with_capacity(usize::from(LINE_BYTES_MAX)));
    // A line beyond the limit stays too long for a password after the cut.
    input.take(LINE_BYTES_MAX.into()).read_until(b'\n', &mut line)?;
    let text = line.strip_suffix(b"\n").map(|text| text.strip_suffix(b"\r").unwrap_or(text));
    let length = text.unwrap_or(&line).len();
    line.truncate(length);
    Ok(line)
}

/// Whether the operator means it: `--yes`, or the answer of a terminal.
pub(super) fn confirm(question: &str, is_yes: bool) -> Result<(), Failure> {
    if is_yes {
        return Ok(());
    }
    if !is_answered() {
        return Err(Failure::new(Exit::Usage, "no terminal to ask for a confirmation: use --yes"));
    }
    let asked = Confirm::new().with_prompt(question).default(false).report(false);
    if asked.interact().map_err(|error| unanswered(&error))? {
        Ok(())
    } else {
        Err(Failure::new(Exit::Failed, "nothing was changed"))
    }
}

fn is_answered() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn unanswered(error: &dialoguer::Error) -> Failure {
    Failure::new(Exit::Failed, format!("terminal: {error}"))
}

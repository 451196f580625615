//! A prompt for a password at a terminal: what is typed is not shown, and the terminal stays as it was.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use super::House;

/// A terminal: the side of the person (kept open) and the side of the program.
fn terminal() -> (OwnedFd, File) {
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap();
    let program = OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    (person, program)
}

fn echoes(terminal: &File) -> bool {
    tcgetattr(terminal).unwrap().local_modes.contains(LocalModes::ECHO)
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn asked(house: &House, terminal: &File) -> Child {
    let mut command = house.command(&["users", "create", "ann@example.org"]);
    let side = || Stdio::from(terminal.try_clone().unwrap());
    command.stdin(side()).stderr(side()).stdout(Stdio::null()).spawn().unwrap()
}

#[test]
fn cfg_11_whoever_is_interrupted_at_a_password_leaves_a_terminal_that_shows_what_is_typed() {
    let house = House::new();
    for signal in [Signal::INT, Signal::TERM] {
        let (_person, terminal) = terminal();
        assert!(echoes(&terminal));
        let mut child = asked(&house, &terminal);
        wait_for("the prompt hides what is typed", || !echoes(&terminal));
        kill_process(Pid::from_child(&child), signal).unwrap();
        let mut code = None;
        wait_for("it ends", || {
            code = child.try_wait().unwrap();
            code.is_some()
        });
        assert_eq!(code.unwrap().code(), Some(130));
        assert!(echoes(&terminal), "after {signal:?}");
    }
    assert!(!house.folder.path().join("data").exists(), "nothing was made");
}

//! Who sits at the command line: the name that the audit trail keeps.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::domain::event::Actor;

/// The user of the operating system who runs this process.
pub(super) fn actor() -> Actor {
    // SECURITY: CFG-11. What the kernel says, not `$USER`, which everybody sets as they like.
    let uid = fs::metadata("/proc/self").map(|process| process.uid());
    // LIMIT: users of a directory service are not in the file; their number names them as well.
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    Actor::Cli(uid.map_or_else(|_none| "unknown".to_owned(), |uid| name(&passwd, uid)))
}

/// The name of `uid` in the text of `/etc/passwd`, or the number.
pub(super) fn name(passwd: &str, uid: u32) -> String {
    let number = uid.to_string();
    let found = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)? == number).then_some(name)
    });
    found.map_or(number, str::to_owned)
}

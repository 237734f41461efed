//! A mount namespace for `torture real`, so that the small disk which it mounts is gone with it, however it ends: a process
//! that is killed unmounts nothing.
//!
//! The program starts itself again by way of `unshare`, which keeps the pid, the signals' meanings and the terminal. Only
//! that process and its children see what is mounted from then on, and the kernel takes it away with the last of them.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Set where the program is in a namespace of its own.
const INSIDE: &str = "LONGSHORE_TORTURE_OWN_MOUNTS";

/// Returns in a namespace of the process's own, or where none may be made: there nothing may be mounted either.
pub(crate) fn enter() -> io::Result<()> {
    if std::env::var_os(INSIDE).is_some() || !permitted() {
        return Ok(());
    }
    let mut command = unshare();
    command.arg(std::env::current_exe()?).args(std::env::args_os().skip(1)).env(INSIDE, "1");
    Err(command.exec())
}

/// What happens in the namespace does not happen around it.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--"]);
    command
}

/// Tried on a command that does nothing, since there is no way back from the real one.
fn permitted() -> bool {
    let tried = unshare().arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

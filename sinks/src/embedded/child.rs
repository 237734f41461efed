//! The child's side: this program, started again, becomes the server.
//!
//! It gets the folder's lock as standard input and keeps it open under another number for as long as it lives; an
//! `exec` keeps it too. It runs in the data folder, and confines itself to it (`confine.rs`) before ClickHouse's code runs. Its process group is its own, so that a terminal's Ctrl-C reaches the engine alone, which
//! then stops its server when it needs it no longer.

use std::ffi::{CStr, CString, OsString, c_char, c_int, c_void};
use std::fs::File;
use std::os::fd::IntoRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use super::confine::{self, Confinement, TcpPorts};
use super::engine::Engine;

/// First argument of a program that is to become the server.
pub const CHILD_ARG: &str = "__clickhouse-server";

/// The exit code of a child that could not become the server, or whose server ended by itself.
const FAILED: u8 = 1;

/// What a child is to become.
pub(super) struct Order<'a> {
    pub(super) engine: &'a Engine,
    pub(super) confinement: Confinement,
    pub(super) ports: TcpPorts,
    pub(super) server_args: Vec<OsString>,
}

impl Order<'_> {
    /// The arguments of the child, [`CHILD_ARG`] first.
    pub(super) fn into_args(self) -> Vec<OsString> {
        let (kind, path) = match self.engine {
            Engine::Library(path) => ("library", path),
            Engine::Binary(path) => ("binary", path),
        };
        let parent = std::process::id().to_string();
        let confinement = self.confinement.order(self.ports);
        let mut args = vec![CHILD_ARG.into(), parent.into(), confinement.into(), kind.into(), path.into()];
        args.extend(self.server_args);
        args
    }
}

/// Call this first in `main`, with all arguments. In a child it runs the server and gives the exit code; in every
/// other process it does nothing and gives `None`.
pub fn child_main(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter().skip(1);
    if args.next()? != CHILD_ARG {
        return None;
    }
    // Standard error is the log that the engine quotes.
    let error = match become_server(args) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    eprintln!("{error}");
    Some(ExitCode::from(FAILED))
}

/// A server that serves does not return.
enum Never {}

fn become_server(mut args: impl Iterator<Item = OsString>) -> Result<Never, String> {
    let usage = || format!("{CHILD_ARG} is how Longshore starts its ClickHouse; it is not a command");
    let parent = args.next().and_then(|pid| pid.to_str()?.parse().ok()).ok_or_else(usage)?;
    let confinement = args.next().and_then(|order| confine::parse_order(order.to_str()?)).ok_or_else(usage)?;
    let kind = args.next().ok_or_else(usage)?;
    let path = PathBuf::from(args.next().ok_or_else(usage)?);
    let engine = match kind.to_str() {
        Some("library") => Engine::Library(path),
        Some("binary") => Engine::Binary(path),
        _ => return Err(usage()),
    };
    die_with(parent)?;
    keep_lock()?;
    if let Some((confinement, ports)) = confinement {
        let data = std::env::current_dir().map_err(|error| format!("cannot find the data folder: {error}"))?;
        confine::confine(confinement, &data, &engine, ports)?;
    }
    match engine {
        Engine::Library(path) => run_library(&path, args),
        Engine::Binary(path) => {
            let error = Command::new(&path).arg("local").args(args).exec();
            Err(format!("cannot run {}: {error}", path.display()))
        }
    }
}

/// From here on the kernel kills this process when the thread that started it ends, which is one of process `parent`.
///
/// # Errors
/// The parent is another already, since that was before now; or the system cannot do it.
#[cfg(target_os = "linux")]
pub fn die_with(parent: i32) -> Result<(), String> {
    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| format!("cannot ask for a signal at the parent's death: {error}"))?;
    match getppid().map(Pid::as_raw_pid) {
        Some(pid) if pid == parent => Ok(()),
        _ => Err(format!("process {parent}, which started this one, is gone")),
    }
}

/// [`super::EmbeddedServer::start`] refuses other platforms before it comes to this.
#[cfg(not(target_os = "linux"))]
pub fn die_with(_parent: i32) -> Result<(), String> {
    Err(super::EmbeddedError::Platform.to_string())
}

/// Moves the lock from standard input to a number of its own, and gives the server a terminal that nobody types into.
///
/// A `clickhouse local` that does not stand on a terminal aborts by design at any error of a connection that it does
/// not expect: a request that is broken off, a wrong password by the native protocol. On one it goes on.
fn keep_lock() -> Result<(), String> {
    let keep = || -> std::io::Result<()> {
        // A duplicate made so is not closed by exec.
        let lock = rustix::io::dup(rustix::stdio::stdin())?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        // Open until the process ends: that is the lock's life.
        let _ = lock.into_raw_fd();
        Ok(())
    };
    keep().map_err(|error| format!("cannot keep the lock of the data folder: {error}"))?;
    if let Err(error) = stand_on_terminal() {
        // Where the system has none it serves all the same, as long as everybody is polite.
        eprintln!("no terminal for ClickHouse ({error}): a client that breaks off may end it");
    }
    Ok(())
}

/// Makes a new terminal the standard input; nobody's, and not the one that this process would be controlled by.
#[cfg(target_os = "linux")]
fn stand_on_terminal() -> std::io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&keyboard)?;
    unlockpt(&keyboard)?;
    let terminal = rustix::fs::open(ptsname(&keyboard, Vec::new())?, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
    rustix::stdio::dup2_stdin(terminal)?;
    // A terminal without its other end is none.
    let _ = keyboard.into_raw_fd();
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn stand_on_terminal() -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// `chdb_result *chdb_query_cmdline(int argc, char **argv)`: `clickhouse local` with these arguments.
type QueryCmdline = unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut c_void;
/// `const char *chdb_result_error(chdb_result *)`: why it failed, or null.
type ResultError = unsafe extern "C" fn(*mut c_void) -> *const c_char;

/// Loads the library and runs it; returns only if the server has ended.
#[expect(unsafe_code, reason = "a C library can be loaded and called in no other way")]
fn run_library(path: &Path, args: impl Iterator<Item = OsString>) -> Result<Never, String> {
    let argv = std::iter::once(OsString::from("clickhouse")).chain(args).map(|arg| CString::new(arg.into_vec()));
    let argv: Vec<CString> = argv.collect::<Result<_, _>>().map_err(|error| format!("an argument: {error}"))?;
    let argc = c_int::try_from(argv.len()).map_err(|error| format!("the arguments: {error}"))?;
    let mut argv: Vec<*mut c_char> = argv.into_iter().map(CString::into_raw).collect();
    argv.push(std::ptr::null_mut());
    let cannot = |error: libloading::Error| format!("cannot load ClickHouse from {}: {error}", path.display());

    // SAFETY: the library's initialisers run at `new`; it was built to be loaded into any process and asks nothing
    // of it, and this process has run nothing but `main` and this, on one thread. The two types are those of the
    // library's header (chdb.h), which every version since 3.0 has, and the checksum in tools/clickhouse.lock says
    // which one this is. `argv` is what C's `main` gets: `argc` strings that end in NUL, mutable, never freed
    // (`into_raw`), and a null after them; `argv` itself outlives the call. The result is either null or what
    // `chdb_result_error` takes, and the text that it points to lives as long as the result, which is never freed.
    // The library is never unloaded, because its threads may run on: it is forgotten, not dropped.
    let message = unsafe {
        let library = std::mem::ManuallyDrop::new(libloading::Library::new(path).map_err(cannot)?);
        let query_cmdline = library.get::<QueryCmdline>(c"chdb_query_cmdline").map_err(cannot)?;
        let result_error = library.get::<ResultError>(c"chdb_result_error").map_err(cannot)?;
        let result = query_cmdline(argc, argv.as_mut_ptr());
        let message = if result.is_null() { std::ptr::null() } else { result_error(result) };
        (!message.is_null()).then(|| CStr::from_ptr(message).to_string_lossy().into_owned())
    };
    // Most errors went to standard error already.
    Err(message.unwrap_or_else(|| "ClickHouse ended by itself.".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn main_with(args: &[&str]) -> Option<ExitCode> {
        child_main(args.iter().map(OsString::from))
    }

    #[test]
    fn other_commands_are_left_to_the_program() {
        assert!(main_with(&[]).is_none());
        assert!(main_with(&["longshore"]).is_none());
        assert!(main_with(&["longshore", "load", CHILD_ARG]).is_none());
    }

    #[test]
    fn typed_by_hand_it_is_an_error_and_no_server() {
        assert!(main_with(&["longshore", CHILD_ARG]).is_some());
        assert!(main_with(&["longshore", CHILD_ARG, "x", "unconfined", "library", "/nonexistent"]).is_some());
    }
}

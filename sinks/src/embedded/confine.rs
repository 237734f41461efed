//! What a server may reach, asked of the kernel (Landlock) before any of ClickHouse's code runs in the child.
//!
//! ClickHouse's rights do not keep its users inside its data: in `clickhouse local`, which the embedded server is, the
//! function `file()` obeys no right at all. The kernel does: it refuses the process whatever is not named here, for as
//! long as it lives, also as root.
//!
//! - Files: reads and writes `store/`; writes `log/` and reads nothing there; reads `config/`, which is empty once the server is
//!   up (`gate.rs`), the system's libraries and time zones, what the kernel says of cores and memory, and of
//!   the process itself the list of its mappings. The passwords, the environment of any process and everything else
//!   are out of its reach.
//! - Programs: none, but a `clickhouse` binary that the child is to become.
//! - TCP: listens on its two ports, and connects to the gate alone.
//! - Signals and abstract sockets: its own processes' only.
//!
//! A kernel has these in steps. What it lacks is said at each start.

use std::fmt;

/// The newest version of Landlock that is asked for: what came after it was not tried.
pub(super) const LANDLOCK_ABI: u8 = 6;

/// What of Landlock holds, by the version of its interface (ABI); 0 is nothing. Version 1 is not used: it refuses to
/// move files between folders, without which ClickHouse cannot drop a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Confinement(u8);

/// The ports that a server may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TcpPorts {
    /// To listen on.
    pub(super) own: [u16; 2],
    /// To connect to.
    pub(super) gate: u16,
}

impl Confinement {
    /// Nothing is out of reach.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn of_kernel(_abi_max: u8) -> Self {
        Confinement(0)
    }

    /// The most that this kernel does, up to a version.
    #[cfg(target_os = "linux")]
    pub(super) fn of_kernel(abi_max: u8) -> Self {
        let versions = landlock::VERSIONS.iter().map(|(version, _)| *version).filter(|version| *version <= abi_max);
        let held = versions.into_iter().find(|version| landlock::is_held(*version));
        Confinement(held.unwrap_or(0))
    }

    /// What is open all the same, in a sentence for the operator.
    pub(super) fn gap(self) -> Option<&'static str> {
        match self.0 {
            0 => Some(
                "this kernel does not confine the embedded ClickHouse (Landlock is absent or off; Linux 5.19 and later \
                 have it): who may query it also reads every file that this process may read, by the function file()",
            ),
            2 | 3 => Some(
                "this kernel confines the files of the embedded ClickHouse, but not whom it connects to nor whom it \
                 signals: Linux 6.12 and later do (Landlock ABI 6)",
            ),
            4 | 5 => Some(
                "this kernel confines the files and connections of the embedded ClickHouse, but not whom it signals: \
                 Linux 6.12 and later do (Landlock ABI 6)",
            ),
            _ => None,
        }
    }

    /// What the child is told: the version, and the ports.
    pub(super) fn order(self, ports: TcpPorts) -> String {
        if self.0 == 0 {
            return UNCONFINED.to_owned();
        }
        format!("{self}:{}:{}:{}", ports.own[0], ports.own[1], ports.gate)
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a child is told that shall not be confined.
const UNCONFINED: &str = "unconfined";

/// An [`Confinement::order`] as the child reads it.
pub(super) fn parse_order(order: &str) -> Option<Option<(Confinement, TcpPorts)>> {
    if order == UNCONFINED {
        return Some(None);
    }
    let mut parts = order.split(':');
    let confinement = Confinement(parts.next()?.parse().ok()?);
    let mut port = || parts.next()?.parse().ok();
    let ports = TcpPorts { own: [port()?, port()?], gate: port()? };
    parts.next().is_none().then_some(Some((confinement, ports)))
}

#[cfg(target_os = "linux")]
pub(super) use landlock::confine;

#[cfg(target_os = "linux")]
mod landlock {
    use std::fs;
    use std::os::fd::{IntoRawFd, OwnedFd};
    use std::path::{Path, PathBuf};

    use landlock::{
        ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, Ruleset,
        RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
    };
    use rustix::fs::{Mode, OFlags};

    use super::{Confinement, TcpPorts};
    use crate::embedded::engine::Engine;

    /// Versions that can be asked for, the best first.
    pub(super) const VERSIONS: [(u8, ABI); 5] =
        [(super::LANDLOCK_ABI, ABI::V6), (5, ABI::V5), (4, ABI::V4), (3, ABI::V3), (2, ABI::V2)];

    /// Folders that are read with everything in them. What is not there is left out.
    const READ: [&str; 8] = [
        "/usr/lib",
        "/usr/lib64",
        "/lib",
        "/lib64",
        "/usr/share/zoneinfo",
        // Cores and memory, as the kernel and a container bound them.
        "/sys/devices/system",
        "/sys/fs/cgroup",
        // What each thread of the process takes, which ClickHouse counts for each query.
        "/proc/self/task",
    ];

    /// Single files that are read.
    const READ_FILES: [&str; 5] =
        ["/etc/ld.so.cache", "/etc/localtime", "/dev/urandom", "/proc/meminfo", "/proc/sys/vm/overcommit_memory"];

    /// Files of the process itself that are read: the C library finds the main thread's stack by the first.
    const READ_OF_ITSELF: [&str; 3] = ["/proc/self/maps", "/proc/self/statm", "/proc/self/cgroup"];

    /// What loads a program that the kernel starts; only for a binary.
    const LOADERS: [&str; 4] = [
        "/lib64/ld-linux-x86-64.so.2",
        "/lib/ld-linux-aarch64.so.1",
        "/lib/ld-musl-x86_64.so.1",
        "/lib/ld-musl-aarch64.so.1",
    ];

    const READ_ALL: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});

    /// True if the kernel does everything of this version.
    pub(super) fn is_held(version: u8) -> bool {
        abi(version).is_some_and(|abi| ruleset(abi).is_ok())
    }

    fn abi(version: u8) -> Option<ABI> {
        VERSIONS.iter().find_map(|(number, abi)| (*number == version).then_some(*abi))
    }

    /// Everything of this version refused, or an error if the kernel cannot.
    fn ruleset(abi: ABI) -> Result<RulesetCreated, RulesetError> {
        let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        ruleset = ruleset.handle_access(AccessFs::from_all(abi))?;
        for net in [AccessNet::from_all(abi)].into_iter().filter(|net| !net.is_empty()) {
            ruleset = ruleset.handle_access(net)?;
        }
        for scope in [Scope::from_all(abi)].into_iter().filter(|scope| !scope.is_empty()) {
            ruleset = ruleset.scope(scope)?;
        }
        ruleset.create()
    }

    /// From here on this process, which has one thread, reaches what a server on the data folder `data` needs, and
    /// nothing else.
    ///
    /// # Errors
    /// In a sentence; the process is not to go on then.
    pub(in crate::embedded) fn confine(
        confinement: Confinement,
        data: &Path,
        engine: &Engine,
        ports: TcpPorts,
    ) -> Result<(), String> {
        let abi = abi(confinement.0).ok_or_else(|| format!("there is no Landlock version {confinement}"))?;
        let cannot = |error: &dyn std::fmt::Display| format!("cannot confine the server (Landlock): {error}");
        let mut ruleset = ruleset(abi).map_err(|error| cannot(&error))?;
        for (path, access) in paths(data, engine) {
            // What the kernel does not restrict cannot be allowed either.
            let access = access & AccessFs::from_all(abi);
            let Some(file) = open(&path)? else { continue };
            ruleset = ruleset.add_rule(PathBeneath::new(&file, access)).map_err(|error| cannot(&error))?;
            // Kept open as long as the process lives, an exec included: a file of /proc that nobody holds is made anew
            // at the next look, and the rule would be for the one before.
            let _ = file.into_raw_fd();
        }
        if !AccessNet::from_all(abi).is_empty() {
            for port in ports.own {
                let rule = NetPort::new(port, AccessNet::BindTcp);
                ruleset = ruleset.add_rule(rule).map_err(|error| cannot(&error))?;
            }
            let rule = NetPort::new(ports.gate, AccessNet::ConnectTcp);
            ruleset = ruleset.add_rule(rule).map_err(|error| cannot(&error))?;
        }
        let status = ruleset.restrict_self().map_err(|error| cannot(&error))?;
        match status.ruleset {
            RulesetStatus::FullyEnforced => Ok(()),
            other => Err(cannot(&format!("{other:?}"))),
        }
    }

    /// What may be reached, and how.
    fn paths(data: &Path, engine: &Engine) -> Vec<(PathBuf, BitFlags<AccessFs>)> {
        let mut paths: Vec<(PathBuf, BitFlags<AccessFs>)> = Vec::new();
        paths.extend(READ.iter().map(|path| (path.into(), READ_ALL)));
        paths.extend(own_libraries().into_iter().map(|folder| (folder, READ_ALL)));
        let files = READ_FILES.iter().chain(&READ_OF_ITSELF);
        paths.extend(files.map(|path| (path.into(), AccessFs::ReadFile.into())));
        paths.push(("/dev/null".into(), make_bitflags!(AccessFs::{ReadFile | WriteFile})));
        match engine {
            Engine::Library(path) => paths.push((path.clone(), AccessFs::ReadFile.into())),
            Engine::Binary(path) => {
                let run = make_bitflags!(AccessFs::{ReadFile | Execute});
                paths.push((path.clone(), run));
                paths.extend(LOADERS.iter().map(|path| (path.into(), run)));
            }
        }
        paths.push((data.join("config"), READ_ALL));
        // Written and rotated. The errors of one user are not another's to read.
        paths.push((
            data.join("log"),
            make_bitflags!(AccessFs::{WriteFile | Truncate | MakeReg | RemoveFile | ReadDir}),
        ));
        let store = make_bitflags!(AccessFs::{
            ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | MakeSym | RemoveFile | RemoveDir | Refer
        });
        paths.push((data.join("store"), store));
        paths
    }

    /// The folders of the shared libraries that this process has: not every system keeps them in `/usr/lib`.
    fn own_libraries() -> Vec<PathBuf> {
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        // proc(5): the path is the sixth field.
        let mapped = maps.lines().filter_map(|line| line.find('/').map(|at| Path::new(&line[at..])));
        let libraries = mapped.filter(|path| path.to_str().is_some_and(|path| path.contains(".so")));
        let mut folders: Vec<PathBuf> = libraries.filter_map(|path| Some(path.parent()?.to_owned())).collect();
        folders.sort();
        folders.dedup();
        folders
    }

    /// A handle on a path, none if there is nothing.
    fn open(path: &Path) -> Result<Option<OwnedFd>, String> {
        match rustix::fs::open(path, OFlags::PATH, Mode::empty()) {
            Ok(file) => Ok(Some(file)),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
            Err(error) => Err(format!("cannot look at {}: {error}", path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_child_is_told_is_what_it_reads() {
        let ports = TcpPorts { own: [8123, 9000], gate: 41_000 };
        assert_eq!(parse_order(&Confinement(6).order(ports)), Some(Some((Confinement(6), ports))));
        assert_eq!(parse_order(&Confinement(0).order(ports)), Some(None));
        for wrong in ["", "x", "6", "6:1:2", "6:1:2:3:4", "6:1:2:99999"] {
            assert_eq!(parse_order(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_step_below_the_best_says_what_is_open() {
        for version in [0, 2, 3, 4, 5] {
            assert!(Confinement(version).gap().is_some(), "{version}");
        }
        assert_eq!(Confinement(LANDLOCK_ABI).gap(), None);
    }

    #[test]
    fn no_more_is_asked_than_was_wanted() {
        assert_eq!(Confinement::of_kernel(0), Confinement(0));
        assert_eq!(Confinement::of_kernel(1), Confinement(0), "version 1 is of no use");
        assert!(Confinement::of_kernel(2).0 <= 2);
    }
}

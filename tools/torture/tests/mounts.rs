//! `torture real` leaves nothing mounted when it is killed without a warning.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What is waited for happens well before this, or not at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ended with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Mount points under a folder, as a process sees them.
fn mounts(process: &str, folder: &Path) -> Vec<String> {
    let all = fs::read_to_string(format!("/proc/{process}/mounts")).unwrap_or_default();
    let points = all.lines().filter_map(|line| line.split(' ').nth(1));
    points.filter(|point| Path::new(point).starts_with(folder)).map(str::to_owned).collect()
}

/// Whether this user may have mounts of its own, as `torture real` needs them for its small disk.
fn may_mount(folder: &Path) -> bool {
    let mount = format!("mount -t tmpfs tmpfs {}", folder.display());
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &mount]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[test]
fn a_run_that_is_killed_leaves_nothing_mounted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    if !may_mount(&folder) {
        eprintln!("nothing may be mounted here, so nothing can be left");
        return;
    }
    // In the place of an engine, which would start a ClickHouse: the disk is mounted before.
    let engine = folder.join("engine");
    fs::write(&engine, "#!/bin/sh\nexec sleep 20\n").unwrap();
    fs::set_permissions(&engine, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_torture"));
    command.args(["real", "--faults", "1", "--folder"]).arg(&folder).arg("--engine").arg(&engine);
    let mut run = Killed(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());

    let (pid, begin) = (run.0.id().to_string(), Instant::now());
    while mounts(&pid, &folder).is_empty() {
        assert!(begin.elapsed() < PATIENCE && run.0.try_wait().unwrap().is_none(), "it mounts no small disk");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(mounts("self", &folder), Vec::<String>::new(), "others see its disk");
    run.0.kill().unwrap();
    run.0.wait().unwrap();
    assert_eq!(mounts("self", &folder), Vec::<String>::new(), "its disk is still mounted");
}

//! What `longshore run` and `load` follow and what not: links, layouts of Kubernetes, what cannot be read, what was lost; and
//! that an operator sees it.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use crate::run::{CONFIG, assert_exact, records, wait_for, with_tables};
use crate::support::http;
use crate::support::process::await_that;
use crate::support::service::Service;
use crate::support::shared::Site;

const SECRET: &str = "root:$6$of a hash that nobody may see\n";

/// The config of `run`'s tests with these sources and metrics.
fn config(site: &Site, sources: &str) -> PathBuf {
    with_tables(site, &format!("{sources}\n{CONFIG}metrics = \"127.0.0.1:0\"\n"))
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn link(target: &Path, path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let _ = fs::remove_file(path);
    symlink(target, path).unwrap();
}

/// A service whose health and metrics can be asked.
struct Seen {
    service: Service,
    port: u16,
}

impl Seen {
    fn start(command: std::process::Command, config: &Path) -> Self {
        let service = Service::start(command, config);
        let line = service.await_line("metrics are on http://127.0.0.1:", 1);
        let port = line.split("127.0.0.1:").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
        Seen { service, port }
    }

    fn health(&self) -> (u16, String) {
        http::get(self.port, "/healthz").unwrap()
    }

    /// Waits until a metric of the source `app` has a value.
    fn await_metric(&self, name: &str, value: u64) {
        let wanted = format!("longshore_{name}{{source=\"app\"}} {value}");
        await_that(&wanted, || http::get(self.port, "/metrics").unwrap().1.lines().any(|line| line == wanted));
    }
}

/// Whoever may write into a folder of logs read the engine's files by a link: a line became a dead letter.
#[test]
fn a_link_to_somebody_elses_file_is_not_read_but_seen() {
    let site = Site::new("follow_link");
    let secret = site.path("private/secret");
    write(&secret, SECRET);
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    write(&site.path("logs/app.log"), &records(0, 100));
    link(&secret, &site.path("logs/x.log"));
    link(&site.path("private"), &site.path("logs/sub"));
    let config = config(&site, "[[source]]\nname = \"app\"\npaths = [\"logs/*.log\", \"logs/*/secret\"]");
    let seen = Seen::start(site.command(), &config);
    wait_for(&site, 100);
    seen.await_metric("refused_links", 2);
    let said = seen.service.await_line("x.log is not followed: it leads by a link", 1);
    assert!(said.contains("`follow_links_into` of the [[source]]"), "{said}");
    let (status, text) = seen.health();
    assert!(status == 200 && text.starts_with("ok\nwarning: link: "), "{status} {text}");
    assert!(text.contains("/logs/x.log is not followed"), "{text}");
    assert_eq!(seen.service.said("x.log is not followed").len(), 1);
    fs::remove_file(site.path("logs/x.log")).unwrap();
    seen.await_metric("refused_links", 1);
    assert_eq!(seen.service.stop(), 0);
    assert_exact(&site, 100);

    // A load by the config's pattern, and by one of the command line.
    link(&secret, &site.path("logs/x.log"));
    for inputs in [vec![], vec![site.path("logs/*.log")]] {
        let output = site.try_load(&config, &inputs);
        assert_eq!(output.status.code(), Some(66));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("x.log is not loaded: it leads by a link"), "{said}");
    }
    let letters = site.execute("SELECT count() FROM {db}.dead_letters WHERE record LIKE '%nobody may see%'");
    assert_eq!(letters.trim(), "0");
}

/// As kubelet and the container runtime lay it out: a link to a link to the file, which is rotated in its place; and a container
/// that starts again, whose link is another.
#[test]
fn the_layout_of_kubernetes_is_followed_where_it_is_declared() {
    let site = Site::new("follow_kubernetes");
    let file = |id: &str| site.path(&format!("docker/containers/{id}/{id}-json.log"));
    let (pod, name) =
        (site.path("pods/shop_api_uid/api"), |id: &str| site.path(&format!("containers/api_shop_api-{id}.log")));
    let start = |id: &str, number: u64, text: &str| {
        write(&file(id), text);
        link(&file(id), &pod.join(format!("{number}.log")));
        link(&pod.join(format!("{number}.log")), &name(id));
    };
    start("4f", 0, &records(0, 100));
    let sources = "[[source]]\nname = \"app\"\npaths = [\"containers/*.log\"]\n\
                   follow_links_into = [\"pods\", \"docker/containers\"]";
    let config = config(&site, sources);
    let seen = Seen::start(site.command(), &config);
    wait_for(&site, 100);
    // The runtime rotates: renames, and makes the file anew.
    write(&file("4f"), &records(100, 200));
    wait_for(&site, 200);
    fs::rename(file("4f"), file("4f").with_extension("log.1")).unwrap();
    write(&file("4f"), &records(200, 300));
    wait_for(&site, 300);
    // The container starts again.
    start("9c", 1, &records(300, 400));
    fs::remove_file(name("4f")).unwrap();
    wait_for(&site, 400);
    seen.await_metric("refused_links", 0);
    assert_eq!(seen.health(), (200, "ok".to_owned()));
    assert_eq!(seen.service.stop(), 0);
    assert_exact(&site, 400);
}

/// Nothing is forbidden to root, so that the engine is somebody else's there.
const NOBODY: u32 = 65_534;

#[test]
fn what_cannot_be_read_and_what_matches_nothing_is_seen_until_it_is_mended() {
    let site = Site::new("follow_unreadable");
    write(&site.path("logs/app.log"), &records(0, 50));
    write(&site.path("logs/shut.log"), &records(50, 100));
    write(&site.path("closed/deep.log"), &records(100, 150));
    let sources = "[[source]]\nname = \"app\"\npaths = [\"logs/*.log\", \"closed/*.log\", \"nothing/*.log\"]";
    let config = config(&site, sources);
    let mut command = site.command();
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
        // It makes its journal there.
        fs::set_permissions(site.folder.path(), Permissions::from_mode(0o777)).unwrap();
    }
    let set = |name: &str, mode| fs::set_permissions(site.path(name), Permissions::from_mode(mode)).unwrap();
    set("logs/shut.log", 0o000);
    set("closed", 0o000);
    let seen = Seen::start(command, &config);
    wait_for(&site, 50);
    seen.await_metric("unreadable_inputs", 2);
    seen.await_metric("patterns_without_files", 1);
    let (status, text) = seen.health();
    assert_eq!(status, 503, "{text}");
    for name in ["logs/shut.log", "closed"] {
        let line = text.lines().find(|line| line.starts_with("unreadable: ") && line.contains(name));
        assert!(line.is_some_and(|line| line.contains("Permission denied")), "{text}");
    }
    set("logs/shut.log", 0o644);
    set("closed", 0o755);
    wait_for(&site, 150);
    seen.await_metric("unreadable_inputs", 0);
    // A pattern without files is shown as well once it has been for a while.
    let (status, text) = seen.health();
    assert!(status == 200 && text.starts_with("ok"), "{status} {text}");
    assert_eq!(seen.service.stop(), 0);
    assert_exact(&site, 150);
}

/// A file that is truncated in its place, of which no copy is followed, before all of it was read.
#[test]
fn a_loss_is_counted_and_shown() {
    let site = Site::new("follow_loss");
    let log = site.path("logs/app.log");
    write(&log, &records(0, 100));
    let config = config(&site, "[[source]]\nname = \"app\"\npaths = [\"logs/*.log\"]");
    let seen = Seen::start(site.command(), &config);
    wait_for(&site, 100);
    // A record without an end waits for it.
    write(&log, &"x".repeat(229_714));
    seen.await_metric("lag_bytes", 229_714);
    fs::copy(&log, site.path("logs/app.copy")).unwrap();
    fs::File::create(&log).unwrap();
    seen.await_metric("lost_bytes_total", 229_714);
    seen.await_metric("losses_total", 1);
    let (status, text) = seen.health();
    assert!(status == 200 && text.starts_with("ok\nwarning: lost: "), "{status} {text}");
    assert!(text.contains("at least 229,714 bytes") && text.contains("app.log"), "{text}");
    write(&log, &records(100, 200));
    wait_for(&site, 200);
    assert_eq!(seen.service.stop(), 0);
    assert_exact(&site, 200);
}

/// Renamed out of the pattern while its writer goes on, and again while the engine is down; truncated under a program that
/// keeps its place.
#[test]
fn what_leaves_the_pattern_and_what_begins_with_nuls_is_read_once() {
    let site = Site::new("follow_aside");
    let (log, aside) = (site.path("logs/app.log"), site.path("logs/app.log.1"));
    write(&log, &records(0, 100));
    let config = config(&site, "[[source]]\nname = \"app\"\npaths = [\"logs/app.log\"]");
    let seen = Seen::start(site.command(), &config);
    wait_for(&site, 100);
    fs::rename(&log, &aside).unwrap();
    seen.service.await_line("app.log is not followed by any name now", 1);
    write(&aside, &records(100, 150));
    write(&log, &records(150, 200));
    wait_for(&site, 200);
    write(&aside, &records(200, 250));
    wait_for(&site, 250);
    assert_eq!(seen.service.stop(), 0);
    // While the engine is down.
    write(&log, &records(250, 300));
    fs::rename(&log, site.path("logs/app.log.2")).unwrap();
    write(&log, &records(300, 350));
    let seen = Seen::start(site.command(), &config);
    wait_for(&site, 350);
    // A program that keeps its place.
    let at = fs::metadata(&log).unwrap().len();
    let file = OpenOptions::new().write(true).open(&log).unwrap();
    file.set_len(0).unwrap();
    file.write_all_at(records(350, 400).as_bytes(), at).unwrap();
    wait_for(&site, 400);
    seen.await_metric("nul_bytes_total", at);
    let (status, text) = seen.health();
    assert!(status == 200 && text.contains("warning: NUL bytes: ") && text.contains("app.log"), "{status} {text}");
    assert_eq!(seen.service.stop(), 0);
    assert_exact(&site, 400);
}

#[test]
fn other_names_of_a_file_are_said_by_run_and_by_load() {
    let site = Site::new("follow_names");
    write(&site.path("logs/a.log"), &records(0, 100));
    fs::hard_link(site.path("logs/a.log"), site.path("logs/b.log")).unwrap();
    link(Path::new("a.log"), &site.path("logs/c.log"));
    let config = config(&site, "[[source]]\nname = \"app\"\npaths = [\"logs/*.log\"]");
    let loaded = site.load(&config, &[] as &[PathBuf]);
    assert_eq!((loaded["inputs"].as_u64(), loaded["records"].as_u64()), (Some(1), Some(100)));
    let repeated: Vec<&str> = loaded["repeated_inputs"].as_array().unwrap().iter().filter_map(|v| v.as_str()).collect();
    assert_eq!(repeated.len(), 2, "{repeated:?}");
    assert!(repeated.iter().all(|said| said.ends_with("/logs/a.log")), "{repeated:?}");
    site.execute("TRUNCATE TABLE {db}.ledger");
    let seen = Seen::start(site.command(), &config);
    for name in ["b.log", "c.log"] {
        seen.service.await_line(&format!("{name} is the same file as"), 1);
    }
    seen.await_metric("followed_inputs", 1);
    assert_eq!(seen.service.stop(), 0);
}

/// The exit code for an input that cannot be read, whatever becomes of the others.
#[test]
fn a_pattern_without_files_and_a_file_that_may_not_be_read_are_errors_of_a_load() {
    let site = Site::new("follow_load");
    write(&site.path("logs/a.log"), &records(0, 50));
    write(&site.path("logs/b.log"), &records(50, 100));
    let config = config(&site, "[[source]]\nname = \"app\"\npaths = [\"logs/*.log\", \"none/*.log\"]");
    let errors = |output: &std::process::Output| {
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), report["loaded"].as_u64(), report["input_errors"].to_string())
    };
    let (code, loaded, said) = errors(&site.try_load(&config, &[] as &[PathBuf]));
    assert_eq!((code, loaded), (Some(66), Some(98)));
    assert!(said.contains("none/*.log matches no file") && said.contains("source \\\"app\\\""), "{said}");
    let output = site.try_load(&config, &[site.path("none/*.log")]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(66) && said.contains("none/*.log matches no file"), "{said}");

    fs::set_permissions(site.path("logs/b.log"), Permissions::from_mode(0o000)).unwrap();
    let mut command = site.command();
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
        fs::set_permissions(site.folder.path(), Permissions::from_mode(0o777)).unwrap();
    }
    fs::remove_dir_all(config.with_extension("journal")).unwrap();
    let output = command.args(["load", "--quiet", "--json", "-c"]).arg(&config).arg(site.path("logs/*.log"));
    let (code, loaded, said) = errors(&output.output().unwrap());
    assert_eq!((code, loaded), (Some(66), Some(0)));
    assert!(said.contains("b.log") && said.contains("Permission denied"), "{said}");
}

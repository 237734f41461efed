//! Links that wildcards find: which are followed, which are refused, and what is swapped in between.

use std::os::unix::fs::{PermissionsExt, chown, lchown};

use super::*;
use crate::patterns::Wanted;

const SECRET: &str = "root:$6$rounds=5000$of a hash that nobody may see\n";
/// Users of the tests; only root can make files of theirs.
const APP: u32 = 41_001;
const OTHER: u32 = 41_002;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A folder `logs`, of which a pattern is followed, and whatever a test puts beside it.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("set");
        fs::create_dir(folder.path().join("logs")).expect("a folder");
        Place { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, text).expect("written");
        path
    }

    fn link(&self, target: impl AsRef<Path>, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        let _ = fs::remove_file(&path);
        symlink(target, &path).expect("linked");
        path
    }

    fn follow(&self, patterns: &[&str], links_into: &[&str]) -> Follower {
        let links_into: Vec<PathBuf> = links_into.iter().map(|folder| self.path(folder)).collect();
        let wanted = |pattern: &&str| Wanted { path: self.path(pattern), links_into: links_into.clone() };
        let patterns = patterns.iter().map(wanted).collect();
        Follower::new(&FollowOptions { patterns, events: true, handles_max: 8, let_go: Duration::ZERO }, [])
            .expect("patterns")
    }
}

/// What two scans say: what was found, and what was refused with which words.
fn scans(follower: &mut Follower) -> (Vec<String>, Vec<String>) {
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for change in (0..2).flat_map(|_| follower.scan()) {
        match change {
            Change::Found { path, .. } => found.push(path.file_name().expect("a name").to_string_lossy().into_owned()),
            Change::Refused { path, why } => refused.push(format!("{}: {why}", path.display())),
            Change::OtherName { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    found.sort();
    (found, refused)
}

/// An application that may write into the folder of its logs put a link there, and a line of the file became a dead letter.
#[test]
fn a_link_out_of_the_declared_folders_is_refused_with_the_key_that_allows_it() {
    let place = Place::new();
    let secret = place.write("private/secret", SECRET);
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("set");
    place.link(&secret, "logs/x.log");
    place.link("../private", "logs/sub");
    place.write("logs/a.log", FIRST);
    let mut follower = place.follow(&["logs/*.log", "logs/*/secret", "logs/**/secret"], &[]);
    let (found, refused) = scans(&mut follower);
    assert_eq!(found, ["a.log"]);
    assert_eq!(refused.len(), 2, "the link and the folder: {refused:?}");
    for said in &refused {
        let says = said.contains("in none of the folders that `paths` name") && said.contains("`follow_links_into`");
        assert!(says, "{said}");
    }
    assert!(refused[1].contains("/private/secret") || refused[0].contains("/private/secret"), "{refused:?}");
    let kinds: Vec<RefusalKind> = follower.refused().map(|refused| refused.kind).collect();
    assert_eq!(kinds, [RefusalKind::Link; 2]);
    // Once it is gone, so is the refusal.
    fs::remove_file(place.path("logs/x.log")).expect("removed");
    follower.scan();
    assert_eq!(follower.refused().count(), 1);

    let mut asked = place.follow(&["logs/*.log", "logs/*/secret"], &["private"]);
    place.link(&secret, "logs/x.log");
    assert_eq!(scans(&mut asked), (vec!["a.log".to_owned(), "x.log".to_owned()], vec![]));
}

#[test]
fn what_is_written_without_a_wildcard_is_followed_links_and_all() {
    let place = Place::new();
    let target = place.write("elsewhere/deep/app.log", FIRST);
    place.link(&target, "logs/app.log");
    place.link("elsewhere", "current");
    let mut follower = place.follow(&["logs/app.log"], &[]);
    assert_eq!(scans(&mut follower), (vec!["app.log".to_owned()], vec![]));
    // So is the fixed part of a pattern.
    let mut follower = place.follow(&["current/deep/*.log"], &[]);
    assert_eq!(scans(&mut follower), (vec!["app.log".to_owned()], vec![]));
}

/// The file's name is a pattern: it must not turn the pattern into a path that was written, whose links are followed.
#[test]
fn a_link_that_is_called_like_the_pattern_is_a_link_that_a_wildcard_found() {
    let place = Place::new();
    let secret = place.write("private/secret", SECRET);
    place.link(&secret, "logs/*.log");
    place.write("logs/a[1].log", FIRST);
    let mut follower = place.follow(&["logs/*.log", "logs/a[1].log"], &[]);
    let (found, refused) = scans(&mut follower);
    assert_eq!((found, refused.len()), (vec!["a[1].log".to_owned()], 1), "{refused:?}");
}

#[test]
fn links_within_declared_folders_are_followed_if_their_makers_own_the_file() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.write("logs/app-1.txt", "what the application wrote\n");
    place.write("logs/private.txt", SECRET);
    chown(place.path("logs"), Some(APP), Some(APP)).expect("given");
    chown(place.path("logs/app-1.txt"), Some(APP), Some(APP)).expect("given");
    lchown(place.link("app-1.txt", "logs/mine.log"), Some(APP), Some(APP)).expect("given");
    lchown(place.link("private.txt", "logs/yours.log"), Some(APP), Some(APP)).expect("given");
    // By a link that is root's, put there by way of another one that is not.
    lchown(place.link("private.txt", "logs/between"), Some(APP), Some(APP)).expect("given");
    place.link("between", "logs/chain.log");
    let mut follower = place.follow(&["logs/*.log"], &[]);
    let (found, refused) = scans(&mut follower);
    assert_eq!(found, ["mine.log"]);
    assert_eq!(refused.iter().filter(|said| said.contains("user 41001 made the link")).count(), 2, "{refused:?}");

    // Where others may write, a link is not the folder's owner's.
    fs::set_permissions(place.path("logs"), Permissions::from_mode(0o777)).expect("set");
    lchown(place.link("app-1.txt", "logs/mine.log"), Some(OTHER), Some(OTHER)).expect("given");
    let mut follower = place.follow(&["logs/mine.log*"], &[]);
    assert_eq!(scans(&mut follower).0, [""; 0]);
}

/// `fs.protected_hardlinks` is on almost everywhere; this is for where it is not.
#[test]
fn a_hard_link_to_what_its_maker_may_not_read_is_refused() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let secret = place.write("private/secret", SECRET);
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("set");
    fs::hard_link(&secret, place.path("logs/x.log")).expect("linked");
    // The folder is root's alone: root made the link.
    assert_eq!(scans(&mut place.follow(&["logs/*.log"], &[])).0, ["x.log"]);
    chown(place.path("logs"), Some(APP), Some(APP)).expect("given");
    let (found, refused) = scans(&mut place.follow(&["logs/*.log"], &[]));
    assert!(found.is_empty() && refused[0].contains("hard link to a file of user 0"), "{found:?} {refused:?}");
    assert_eq!(scans(&mut place.follow(&["logs/*.log"], &["logs"])).0, ["x.log"]);
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).expect("set");
    assert_eq!(scans(&mut place.follow(&["logs/*.log"], &[])).0, ["x.log"]);
}

/// A scan judges what it finds, and a moment later something else may be there: what is opened is what was judged, or nothing.
#[test]
fn what_is_swapped_after_it_was_judged_is_not_read() {
    let place = Place::new();
    let secret = place.write("private/secret.log", SECRET);
    place.write("logs/a.log", FIRST);
    place.write("logs/sub/b.log", "another file, and its first record\n");
    let mut follower = place.follow(&["logs/*.log", "logs/*/*.log"], &[]);
    assert_eq!(scans(&mut follower).0, ["a.log", "b.log"]);
    let [a, b] = ["logs/a.log", "logs/sub/b.log"].map(|name| place.path(name));
    assert!(follower.open_at(&a).expect("opened").is_some() && follower.open_at(&b).expect("opened").is_some());
    // The file by a link, by a hard link, by a fifo, and the folder by a link.
    place.link(&secret, "logs/a.log");
    assert!(follower.open_at(&a).expect("no error").is_none());
    fs::remove_file(&a).expect("removed");
    fs::hard_link(&secret, &a).expect("linked");
    assert!(follower.open_at(&a).expect("no error").is_none());
    fs::remove_file(&a).expect("removed");
    rustix::fs::mknodat(rustix::fs::CWD, &a, rustix::fs::FileType::Fifo, 0o644.into(), 0).expect("a fifo");
    assert!(follower.open_at(&a).expect("it does not wait").is_none());
    fs::rename(place.path("logs/sub"), place.path("logs/old")).expect("renamed");
    fs::rename(&secret, place.path("private/b.log")).expect("renamed");
    place.link("../private", "logs/sub");
    assert!(follower.open_at(&b).expect("no error").is_none());
    let (_, refused) = scans(&mut place.follow(&["logs/*.log", "logs/*/*.log"], &[]));
    assert!(refused.iter().any(|said| said.contains("it is a fifo")), "{refused:?}");
}

/// As kubelet and a runtime lay it out; a container that starts again, or whose log is rotated, moves its link on.
#[test]
fn links_of_kubernetes_are_followed_where_they_are_declared_and_when_they_move_on() {
    let place = Place::new();
    let first = place.write("docker/containers/4f/4f-json.log", FIRST);
    place.link(&first, "pods/shop_api-0_uid/api/0.log");
    let container = "containers/api-0_shop_api-4f.log";
    place.link(place.path("pods/shop_api-0_uid/api/0.log"), container);
    let mut refused = place.follow(&["containers/*.log"], &["pods"]);
    assert_eq!(scans(&mut refused).0, [""; 0], "the last of the chain is in no folder that was named");

    let mut follower = place.follow(&["containers/*.log"], &["pods", "docker/containers"]);
    assert!(matches!(&follower.poll()[..], [Change::Found { size: 24, .. }]) || follower.scan().len() == 1);
    // It is written to where it is, and a look that an event asks for sees it.
    let mut file = OpenOptions::new().append(true).open(&first).expect("opened");
    file.write_all(b"more\n").expect("written");
    let grew = follower.wait(Duration::from_secs(60));
    assert!(matches!(&grew[..], [Change::Grew { size: 29, .. }]), "{grew:?}");
    // It is rotated: renamed in its place, and made anew.
    fs::rename(&first, place.path("docker/containers/4f/4f-json.log.1")).expect("renamed");
    fs::write(&first, "the second file of the same container\n").expect("written");
    let said: Vec<Change> = (0..3).flat_map(|_| follower.scan()).collect();
    assert!(said.iter().any(|change| matches!(change, Change::Found { size: 38, .. })), "{said:?}");
    assert!(said.iter().any(|change| matches!(change, Change::Vanished { lost_bytes_min: 0, .. })), "{said:?}");
    // The container starts again: the link in the pod's folder is another.
    let second = place.write("docker/containers/9c/9c-json.log", "a new container of the same pod\n");
    place.link(&second, "pods/shop_api-0_uid/api/0.log");
    let said: Vec<Change> = (0..3).flat_map(|_| follower.scan()).collect();
    assert!(said.iter().any(|change| matches!(change, Change::Found { size: 32, .. })), "{said:?}");
    // And then it leads to where nobody should look.
    place.link(place.write("private/secret", SECRET), "pods/shop_api-0_uid/api/0.log");
    let said: Vec<Change> = (0..3).flat_map(|_| follower.scan()).collect();
    assert!(said.iter().any(|change| matches!(change, Change::Refused { why: Refusal::Link(_), .. })), "{said:?}");
    assert!(!said.iter().any(|change| matches!(change, Change::Found { .. })), "{said:?}");
}

#[test]
fn folders_that_links_lead_to_in_circles_are_looked_into_once() {
    let place = Place::new();
    place.write("logs/deep/a.log", FIRST);
    for name in ["one", "two", "three"] {
        place.link(".", &format!("logs/{name}"));
        place.link("../deep", &format!("logs/deep/{name}"));
    }
    place.link("self.log", "logs/self.log");
    let mut follower = place.follow(&["logs/**/*.log"], &[]);
    let (found, refused) = scans(&mut follower);
    assert_eq!(found, ["a.log"]);
    assert!(refused.len() == 1 && refused[0].contains("self.log"), "a link to itself is no loop of ours: {refused:?}");
}

/// Many names of one file were one input, and nobody said so.
#[test]
fn other_names_of_a_file_are_said_once_each() {
    let place = Place::new();
    place.write("logs/a.log", FIRST);
    fs::hard_link(place.path("logs/a.log"), place.path("logs/b.log")).expect("linked");
    place.link("a.log", "logs/c.log");
    let mut follower = place.follow(&["logs/*.log", "logs/a*"], &[]);
    let said: Vec<Change> = (0..4).flat_map(|_| follower.scan()).collect();
    let names: Vec<(PathBuf, PathBuf)> = said
        .into_iter()
        .filter_map(|change| match change {
            Change::OtherName { path, name } => Some((path, name)),
            _ => None,
        })
        .collect();
    let a = place.path("logs/a.log");
    assert_eq!(names, [(place.path("logs/b.log"), a.clone()), (place.path("logs/c.log"), a)]);
}

#[test]
fn a_pattern_without_files_is_known_until_there_is_one() {
    let place = Place::new();
    fs::create_dir(place.path("logs/dir.log")).expect("a folder");
    let mut follower = place.follow(&["logs/*.log", "logs/named", "logs/a*"], &[]);
    follower.scan();
    assert_eq!(follower.without_files(), ["logs/*.log", "logs/named", "logs/a*"].map(|name| place.path(name)));
    place.write("logs/a.log", FIRST);
    follower.scan();
    assert_eq!(follower.without_files(), [place.path("logs/named")]);
}

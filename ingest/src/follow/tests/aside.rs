//! Files that no pattern leads to any more while somebody may yet write to them, and those that are gone.

use super::*;

/// A follower of `app.log` alone.
fn alone(case: &mut Case, known: Vec<KnownSource>) {
    let patterns = vec![case.path("app.log").into()];
    let options = FollowOptions { patterns, events: false, handles_max: 8, let_go: LONG };
    case.follower = Follower::new(&options, known).expect("patterns");
}

fn restarted(case: &mut Case) {
    let known = case.follower.known().into_iter().map(|source| {
        let identity = Identity::decode(&source.identity.encode()).expect("an identity");
        KnownSource { identity, ..source }
    });
    alone(case, known.collect());
}

/// The follower and its one source, all of which was read.
fn read(case: &mut Case) -> SourceId {
    alone(case, vec![]);
    case.append("app.log", FIRST);
    let id = case.found();
    assert_eq!(case.read(id, 0, 24), FIRST);
    id
}

/// What was written after the rename was lost without a word.
#[test]
fn a_file_that_is_renamed_out_of_the_pattern_is_read_until_its_writer_lets_go() {
    each(|case| {
        let id = read(case);
        fs::rename(case.path("app.log"), case.path("app.log.1")).expect("renamed");
        case.append("app.log.1", "late\n");
        case.append("app.log", "a new file\n");
        let mut said = told(case);
        said.sort();
        assert_eq!(said, ["found app.log 0..11", "grew 29", "vanished app.log 0"]);
        assert_eq!(case.read(id, 24, 29), "late\n");
        case.append("app.log.1", "later\n");
        assert_eq!(told(case), ["grew 35"]);
        assert_eq!(case.read(id, 29, 35), "later\n");
        case.follower.let_go = Duration::ZERO;
        assert_eq!(told(case), ["let go"]);
        // A writer that was silent for long, and did not let go.
        case.append("app.log.1", "after a long time\n");
        assert_eq!(told(case), ["back app.log.1 35..53", "let go"]);
        assert_eq!(case.read(id, 35, 53), "after a long time\n");
    });
}

#[test]
fn a_file_that_is_not_open_is_found_beside_its_name_and_a_file_that_moves_on_is_followed() {
    each(|case| {
        let id = read(case);
        case.follower.sources.close_idle(0);
        for number in 1..4 {
            let before = if number == 1 { "app.log".to_owned() } else { format!("app.log.{}", number - 1) };
            fs::rename(case.path(&before), case.path(&format!("app.log.{number}"))).expect("renamed");
            case.append(&format!("app.log.{number}"), "more\n");
            let said = told(case);
            assert!(said.contains(&format!("grew {}", 24 + 5 * number)), "{said:?}");
            case.follower.sources.close_idle(0);
        }
        assert_eq!(case.read(id, 24, 39), "more\nmore\nmore\n");
    });
}

#[test]
fn what_a_link_led_to_before_it_was_switched_is_read_to_its_end() {
    each(|case| {
        alone(case, vec![]);
        case.append("app-1", FIRST);
        symlink("app-1", case.path("app.log")).expect("linked");
        let id = case.found();
        assert_eq!(case.read(id, 0, 24), FIRST);
        case.append("app-2", "the second of all files\n");
        case.append("app-1", "late\n");
        fs::remove_file(case.path("app.log")).expect("deleted");
        symlink("app-2", case.path("app.log")).expect("linked");
        let mut said = told(case);
        said.sort();
        assert_eq!(said, ["found app.log 0..24", "grew 29", "vanished app.log 0"]);
        assert_eq!(case.read(id, 24, 29), "late\n");
        case.append("app-1", "later\n");
        // The engine is down when it happens again.
        case.restart_alone_after(|case| {
            fs::remove_file(case.path("app.log")).expect("deleted");
            case.append("app-3", "the third one of all files\n");
            symlink("app-3", case.path("app.log")).expect("linked");
            case.append("app-2", "more\n");
        });
        let mut said = told(case);
        said.sort();
        assert!(said.contains(&"found app-1 29..35".to_owned()), "{said:?}");
        assert!(said.contains(&"found app-2 0..29".to_owned()), "{said:?}");
    });
}

impl Case {
    fn restart_alone_after(&mut self, meanwhile: impl FnOnce(&Case)) {
        meanwhile(self);
        restarted(self);
    }
}

/// The journal knew the file, and nobody said anything.
#[test]
fn a_file_that_is_renamed_out_of_the_pattern_between_two_runs_is_read_to_its_end() {
    each(|case| {
        let id = read(case);
        case.restart_alone_after(|case| {
            case.append("app.log", "unread\n");
            fs::rename(case.path("app.log"), case.path("app.log.1")).expect("renamed");
            case.append("app.log", "a new file\n");
        });
        let mut said = told(case);
        said.sort();
        assert_eq!(said, ["found app.log 0..11", "found app.log.1 24..31", "vanished app.log 0"]);
        assert_eq!(case.read(id, 24, 31), "unread\n");
        case.follower.let_go = Duration::ZERO;
        assert_eq!(told(case), ["let go"]);
        // All is known of it.
        restarted(case);
        case.follower.let_go = LONG;
        assert!(!told(case).iter().any(|said| said.contains("app.log.1") || said == "let go"));
    });
}

#[test]
fn what_is_gone_between_two_runs_is_said_with_what_was_seen_of_it() {
    each(|case| {
        read(case);
        case.append("app.log", "seen\n");
        assert_eq!(told(case), ["grew 29"]);
        case.restart_alone_after(|case| fs::remove_file(case.path("app.log")).expect("deleted"));
        case.follower.scan();
        let changes = case.follower.scan();
        let said = |changes: &[Change], is: Away, lost: u64| matches!(changes, [Change::Vanished { away, lost_bytes_min, .. }] if *away == is && *lost_bytes_min == lost);
        assert!(said(&changes, Away::Unseen, 5), "{changes:?}");
        // It was said.
        restarted(case);
        case.follower.scan();
        let changes = case.follower.scan();
        assert!(said(&changes, Away::Closed, 0), "{changes:?}");
    });
}

#[test]
fn an_identity_of_the_version_before_is_read() {
    each(|case| {
        let id = read(case);
        let identity = Identity { tail: Tail::default(), ..case.follower.identity(id).expect("known") };
        let mut bytes = identity.encode();
        bytes.truncate(Identity::BYTES - 8 - 9 - 18);
        bytes[0] = 1;
        bytes.extend(xxhash_rust::xxh3::xxh3_64(&bytes).to_le_bytes());
        assert_eq!(Identity::decode(&bytes), Ok(identity));
    });
}

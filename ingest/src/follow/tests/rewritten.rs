//! Files that are written again in place.

use super::*;

/// It was stopped until somebody truncated it.
#[test]
fn a_file_rewritten_in_place_is_another_source_from_its_first_byte() {
    each(|case| {
        case.append("a.log", FIRST);
        case.append("b.log", "an innocent file\n");
        case.follower.scan();
        fs::write(case.path("a.log"), "what is this? it was something else").expect("written");
        assert_eq!(told(case), ["rewritten a.log 24", "found a.log 0..35"]);
        case.append("a.log", "and more\n");
        case.append("b.log", "goes on\n");
        let mut said = told(case);
        said.sort();
        assert_eq!(said, ["grew 25", "grew 44"]);
    });
}

/// An export that is written again under the same header. It was read on in the middle of a line.
#[test]
fn a_file_that_is_rewritten_behind_its_head_is_another_source_also_after_a_restart() {
    let header = "a wide header of an export,".repeat(60);
    let rows = |from: u64, to: u64| (from..to).map(|row| format!("{row},some row of it\n")).collect::<String>();
    for restarted in [false, true] {
        each(|case| {
            case.append("a.log", &format!("{header}\n{}", rows(0, 30)));
            let id = case.found();
            let size = case.path("a.log").metadata().expect("there").len();
            case.read(id, 0, size);
            if restarted {
                case.restart();
                case.follower.scan();
            }
            fs::write(case.path("a.log"), format!("{header}\n{}", rows(100, 150))).expect("written");
            let now = case.path("a.log").metadata().expect("there").len();
            assert!(now > size);
            assert_eq!(told(case), ["rewritten a.log 0".to_owned(), format!("found a.log 0..{now}")]);
        });
    }
}

/// It was rewritten between the look that told of it and the read.
#[test]
fn what_is_rewritten_behind_its_head_before_it_is_read_is_not_confirmed() {
    let head = FIRST.repeat(60);
    each(|case| {
        case.append("a.log", &format!("{head}some rows\n"));
        let id = case.found();
        let size = head.len() as u64 + 10;
        case.read(id, 0, size);
        case.append("a.log", "more\n");
        assert_eq!(told(case), [format!("grew {}", size + 5)]);
        fs::write(case.path("a.log"), format!("{head}other rows and more of them\n")).expect("written");
        let file = case.follower.open(id).expect("open");
        assert!(!case.follower.confirm(id, &file, Position::plain(size + 5), b""));
        let said = told(case);
        assert_eq!((said.len(), &*said[0]), (2, "rewritten a.log 5"), "{said:?}");
    });
}

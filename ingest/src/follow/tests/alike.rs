//! Files that begin alike: copies, and others.

use longshore_core::limits::FOLLOW_COMPARE_BYTES;

use super::*;
use crate::input::Compression;

/// It begins as a file that is written to, so that they have to be compared. All of it was decompressed within one scan.
#[test]
fn a_large_compressed_file_is_compared_over_many_looks() {
    each(|case| {
        let rest = "x".repeat(5 * FOLLOW_COMPARE_BYTES as usize);
        let (one, other) = (format!("{FIRST}{rest}one\n"), format!("{FIRST}{rest}two\n"));
        case.append("a.log", &one);
        let id = case.found();
        case.read(id, 0, one.len() as u64);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(other.as_bytes()).expect("compressed");
        fs::write(case.path("b.log.gz"), encoder.finish().expect("compressed")).expect("written");
        // The second scan sees that it stays as it is.
        case.follower.scan();
        let came = |case: &Case| case.follower.comparing.iter().map(|comparing| comparing.bytes).sum::<u64>();
        for looks in 1..=2 {
            assert!(case.follower.scan().is_empty());
            assert_eq!(came(case), looks * FOLLOW_COMPARE_BYTES);
        }
        while came(case) < 5 * FOLLOW_COMPARE_BYTES {
            let before = came(case);
            assert!(case.follower.compare_on());
            assert!(came(case) <= before + FOLLOW_COMPARE_BYTES);
        }
        while case.follower.compare_on() {}
        assert!(matches!(&case.follower.scan()[..], [Change::Found { .. }]));
        case.follower.scan();
        assert!(case.follower.comparing.is_empty());
    });
}

/// Exports under one wide header were taken for one another: of the second and third, nothing was read, or the end alone.
#[test]
fn files_with_an_equal_beginning_are_each_its_own_compressed_or_not_and_once_one_is_gone() {
    let content = |day: u64, rows: u64| {
        let rows = (0..rows).map(|row| format!("{:06},row of the day\n", day * 100_000 + row)).collect::<String>();
        format!("{}\n{rows}", "a wide header of an export,".repeat(60))
    };
    let pack = |path: PathBuf, text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(File::create(path).expect("made"), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).expect("compressed");
        encoder.finish().expect("compressed");
    };
    each(|case| {
        for day in 0..3 {
            case.append(&format!("{day}.log"), &content(day, 20));
            pack(case.path(&format!("{day}.log.gz")), &content(10 + day, 30));
        }
        let said = told(case);
        assert_eq!(
            said.iter().filter(|said| said.starts_with("found") && said.contains(" 0..")).count(),
            6,
            "{said:?}"
        );
        // All is read, then they are gone; others come that begin like them and are longer or shorter.
        let known = case.follower.known();
        for source in known {
            let id = source.identity.id;
            let file = case.follower.open(id).expect("open");
            let mut text = String::new();
            match source.identity.compression {
                Compression::Plain => (&*file).read_to_string(&mut text),
                _ => flate2::read::MultiGzDecoder::new(&*file).read_to_string(&mut text),
            }
            .expect("read");
            let position = Position { content: text.len() as u64, stored: file.metadata().expect("there").len() };
            assert!(case.follower.confirm(id, &file, position, text.as_bytes()));
        }
        for day in 0..3 {
            fs::remove_file(case.path(&format!("{day}.log"))).expect("removed");
            fs::remove_file(case.path(&format!("{day}.log.gz"))).expect("removed");
        }
        case.follower.let_go = Duration::ZERO;
        told(case);
        case.restart();
        told(case);
        case.append("4.log", &content(4, 25));
        case.append("5.log", &content(5, 50));
        pack(case.path("6.log.gz"), &content(6, 25));
        pack(case.path("7.log.gz"), &content(7, 50));
        // And one that is the same as one that was read, and longer.
        case.append("8.log", &format!("{}more\n", content(1, 20)));
        let said = told(case);
        assert_eq!(
            said.iter().filter(|said| said.starts_with("found") && said.contains(" 0..")).count(),
            4,
            "{said:?}"
        );
        let size = content(1, 20).len();
        assert!(said.contains(&format!("rotated 8.log {size}..{}", size + 5)), "{said:?}");
    });
}

/// A rotation with `compress`: nobody need know that the two were equal for a minute.
#[test]
fn a_compressed_copy_of_a_file_whose_writer_may_go_on_waits_without_a_word() {
    each(|case| {
        let content = FIRST.repeat(100);
        case.append("a.log.1", &content);
        let id = case.found();
        assert_eq!(case.read(id, 0, 2_400), content);
        let mut writer = OpenOptions::new().append(true).open(case.path("a.log.1")).expect("opened");
        zip(&case.path("a.log.1"), &case.path("a.log.1.gz"));
        assert_eq!(told(case), ["vanished a.log.1 0"]);
        assert_eq!(told(case), [""; 0]);
        // What it writes after that is no part of the copy.
        writer.write_all(b"late\n").expect("written");
        assert_eq!(told(case), ["grew 2405"]);
        assert_eq!(case.read(id, 2_400, 2_405), "late\n");
        case.follower.let_go = Duration::ZERO;
        let said = told(case);
        let size = case.path("a.log.1.gz").metadata().expect("there").len();
        // All of it was read, which whoever reads on finds.
        assert_eq!(said, ["let go".to_owned(), format!("rotated a.log.1.gz 0..{size}")]);
        assert_eq!(case.follower.position(id).expect("known").content, 2_405);
        case.restart();
        assert_eq!(told(case), [format!("found a.log.1.gz 2405..{size}")]);
    });
}

#[test]
fn files_that_are_equal_count_as_one_until_they_part_and_the_shorter_waits() {
    let header = "a wide header of an export,".repeat(60);
    each(|case| {
        // Of neither anything was read.
        case.append("a.log", &format!("{header}\nsome\n"));
        case.append("b.log", &format!("{header}\nsome\nmore\n"));
        let size = header.len() as u64 + 11;
        let said = told(case);
        assert_eq!(said[..2], [format!("found a.log 0..{}", size - 5), format!("rotated b.log 0..{size}")], "{said:?}");
        assert_eq!(said[2..], [""; 0]);
        assert_eq!(told(case), ["held a.log"]);
        case.append("a.log", "more\n");
        assert_eq!(told(case), [""; 0]);
        case.append("a.log", "other\n");
        case.append("b.log", "rows\n");
        let mut said = told(case);
        said.sort();
        assert_eq!(said, [format!("found a.log 0..{}", size + 6), format!("grew {}", size + 5)]);
    });
}

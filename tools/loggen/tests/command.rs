//! The command: its outputs, its one line of summary, its exit codes.

mod common;

use std::process::{Command, Output};

use common::{options, run};

fn loggen(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loggen")).args(arguments).output().unwrap()
}

#[test]
fn the_command_writes_what_the_library_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let to_stdout = loggen(&["--records", "3000", "--seed", "51"]);
    assert!(to_stdout.status.success() && to_stdout.stdout == run(&options(51, 3_000)).0);
    let said = String::from_utf8(to_stdout.stderr).unwrap();
    assert!(said.starts_with("loggen: 3000 records") && said.trim_end().ends_with("MB/s") && said.lines().count() == 1);

    let (out, products, expect) = (path("log"), path("products.csv"), path("expect/deep"));
    let flags = ["--records", "3000", "--seed", "51", "--out", &out, "--products-file", &products, "--expect", &expect];
    let to_file = loggen(&flags);
    assert!(to_file.status.success() && to_file.stdout.is_empty());
    assert!(std::fs::read(&out).unwrap() == to_stdout.stdout);
    let dictionary = std::fs::read(&products).unwrap();
    let mut dictionary = csv::Reader::from_reader(dictionary.as_slice());
    assert_eq!(dictionary.headers().unwrap(), vec!["id", "name", "family", "owner", "region"]);
    let ids: Vec<_> = dictionary.records().map(|record| record.unwrap()[0].to_owned()).collect();
    assert_eq!(ids, ["p01", "p02", "p03", "p04", "p05", "p06", "p07", "p08"]);
    assert_eq!(std::fs::read_dir(&expect).unwrap().count(), 8);
}

#[test]
fn wrong_usage_and_failures_have_codes_of_their_own() {
    assert_eq!(loggen(&["--no-such-flag"]).status.code(), Some(64));
    let rate = loggen(&["--records", "1", "--late-rate", "2"]);
    assert_eq!(rate.status.code(), Some(64));
    assert!(String::from_utf8(rate.stderr).unwrap().contains("--late-rate 2"));
    let event = loggen(&["--expect-drop-event", "heart_beat"]);
    assert_eq!(event.status.code(), Some(64));
    assert!(String::from_utf8(event.stderr).unwrap().contains("heartbeat"));
    let nowhere = loggen(&["--records", "1", "--out", "/no/such/folder/log"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(String::from_utf8(nowhere.stderr).unwrap().contains("/no/such/folder/log"));
    let help = loggen(&["--help"]);
    assert!(help.status.success() && String::from_utf8(help.stdout).unwrap().contains("TEST keys"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_once() {
    let full = loggen(&["--records", "100000", "--out", "/dev/full"]);
    assert_eq!(full.status.code(), Some(1));
    let said = String::from_utf8(full.stderr).unwrap();
    assert_eq!(said, "loggen: cannot write the log: No space left on device (os error 28)\n");
}

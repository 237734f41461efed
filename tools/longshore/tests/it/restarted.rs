//! A ClickHouse that was started again may have lost what it acknowledged. What the engine remembers of it is not relied on
//! then, though nothing failed that the engine could have noticed.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::process::Command;

use crate::away::Place;
use crate::support::longshore;
use crate::support::process::await_that;
use crate::support::service::Service;
use crate::support::small::{CONFIG, lines};

#[test]
fn users_that_a_server_lost_while_nothing_was_sent_are_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut place = Place::new(folder.path().join("data"), folder);
    let folder = place.folder.path().to_owned();
    fs::create_dir(folder.join("logs")).unwrap();
    let config = folder.join("longshore.toml");
    let text = format!(
        "version = 1\n[[source]]\npaths = [\"logs/*.log\"]\n{CONFIG}[run]\nslice_age = \"100ms\"\n[clickhouse]\n\
         url = \"http://127.0.0.1:{}\"\nuser = \"longshore\"\npassword = \"${{AWAY_PASSWORD}}\"\n",
        place.http_port
    );
    fs::write(&config, text).unwrap();
    let append = |text: &str| {
        let mut log = OpenOptions::new().create(true).append(true).open(folder.join("logs/app.log")).unwrap();
        log.write_all(text.as_bytes()).unwrap();
    };
    let await_stored = |place: &Place, records: u64| {
        await_that(&format!("{records} records are stored"), || {
            place.ask("SELECT ifNull(sum(records), 0) FROM longshore.ledger").trim() == records.to_string()
        });
    };
    let new_users =
        |place: &Place| place.ask("SELECT sum(new_users) FROM longshore.new_users_by_minute").trim().to_owned();

    append(&lines(0..70));
    let mut command = Command::new(longshore());
    command.env("AWAY_PASSWORD", &place.password).current_dir(&folder);
    let service = Service::start(command, &config);
    await_stored(&place, 70);
    assert_eq!(new_users(&place), "7");
    // They are known: a slice of the same users sends none.
    append(&lines(70..140));
    await_stored(&place, 140);
    let rows = "SELECT count() FROM longshore.new_users_first_seen";
    let sent = place.ask(rows);

    // A slice without dead letters, and one whose dead letters tell that the rollups have it.
    for (round, broken) in [(0, ""), (1, "broken\n")] {
        // Two starts within two seconds are taken for one.
        await_that("it has run for a while", || place.ask("SELECT uptime() >= 5").trim() == "1");
        // Nobody sends anything while it is away, so that nothing fails.
        place.server.take().unwrap().end_by("KILL");
        place.start_again();
        assert_eq!(place.ask(rows), sent, "what was acknowledged survives this");
        // As after a power failure of a server that does not sync, or a backup that was put back.
        assert_eq!(place.ask("TRUNCATE TABLE longshore.new_users_first_seen SYNC"), "");
        append(&(lines(140 + round * 70..210 + round * 70) + broken));
        await_stored(&place, 210 + round * 71);
        assert_eq!(new_users(&place), "7", "round {round}");
    }
    assert!(!service.said("was started again").is_empty());
    assert_eq!(service.said("the connection to ClickHouse failed").len(), 0, "nothing failed");
    assert_eq!(service.stop(), 0);
}

//! Records whose event times are too far from the moment at which their slice was cut.

use super::*;

const DAY_MS: i64 = 86_400_000;
/// 2026-11-20.
const CUT_MS: i64 = 1_795_132_800_000;

fn bounded(format: &str) -> Config {
    let text = format!(
        r#"
version = 1
[decode]
format = "json"
[[column]]
name = "ts"
type = "timestamp"
format = "{format}"
required = true
[[column]]
name = "app"
type = "low_cardinality"
[products]
column = "app"
[table]
time = "ts"
past_max = "30d"
"#
    );
    config::parse(&text, Path::new("test.toml"), &Env::new()).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn cut(times: &[i64], cut: CutAt) -> Slice {
    let lines: String = times.iter().map(|ts| format!("{{\"ts\":{ts},\"app\":\"a\"}}\n")).collect();
    Slice { cut, ..slice(0, lines) }
}

/// Rows that are dead, for that reason.
fn dead(decoded: &DecodedSlice) -> Vec<u32> {
    assert!(decoded.dead.iter().all(|letter| letter.fault.reason == Reason::EventTime), "{:?}", decoded.dead);
    decoded.dead.iter().map(|letter| letter.row).collect()
}

#[test]
fn both_bounds_hold_to_the_millisecond_on_the_fast_way_and_on_the_careful_one() {
    // Enough that the records are walked in blocks, of which one is refused.
    let mut times = vec![CUT_MS; 400];
    (times[130], times[131]) = (CUT_MS + DAY_MS, CUT_MS + DAY_MS + 1);
    (times[132], times[133]) = (CUT_MS - 30 * DAY_MS, CUT_MS - 30 * DAY_MS - 1);
    let config = bounded("epoch_ms");
    for decoder in [Decoder::new(&config, None, None).unwrap(), Decoder::new(&config, None, None).unwrap().careful()] {
        let mut scratch = Scratch::new(&decoder);
        let mut rows = |at| dead(&decoder.decode(&cut(&times, at), &mut scratch));
        assert_eq!(rows(CutAt::Planned(CUT_MS)), [131, 133]);
        assert_eq!(rows(CutAt::Backfill(CUT_MS)), [131], "a repeat may come any time later");
        assert_eq!(rows(CutAt::Unknown), [0; 0]);
        assert_eq!(rows(CutAt::Planned(CUT_MS + 1)), [132, 133], "the bounds are the slice's, not the scratch's");
    }
}

#[test]
fn seconds_and_text_are_bounded_as_milliseconds_are() {
    let seconds = Decoder::new(&bounded("epoch_s"), None, None).unwrap();
    let far = CUT_MS / 1000 + 86_400;
    let decoded = decode(&seconds, &cut(&[far, far + 1], CutAt::Planned(CUT_MS)));
    assert_eq!(dead(&decoded), [1]);
    let text = Decoder::new(&bounded("rfc3339"), None, None).unwrap();
    let lines =
        "{\"ts\":\"2026-11-21T00:00:00Z\",\"app\":\"a\"}\n{\"ts\":\"2026-11-21T00:00:00.001Z\",\"app\":\"a\"}\n";
    let decoded = decode(&text, &Slice { cut: CutAt::Planned(CUT_MS), ..slice(0, lines) });
    assert_eq!(dead(&decoded), [1]);
}

#[test]
fn a_dead_letter_says_which_bound_and_how_far() {
    let decoder = Decoder::new(&bounded("epoch_ms"), None, None).unwrap();
    let decoded = decode(&decoder, &cut(&[CUT_MS + 400 * DAY_MS], CutAt::Planned(CUT_MS)));
    let fault = &decoded.dead[0].fault;
    assert_eq!(fault.column.as_deref(), Some("ts"));
    assert!(fault.detail.starts_with("the event time is 400 d after the moment"), "{}", fault.detail);
    assert!(fault.detail.contains("(table.future_max)"), "{}", fault.detail);
    // Impossible times are what they were.
    let decoded = decode(&decoder, &cut(&[5_000_000_000_000], CutAt::Planned(CUT_MS)));
    assert_eq!(decoded.dead[0].fault.reason, Reason::TypeMismatch);
}

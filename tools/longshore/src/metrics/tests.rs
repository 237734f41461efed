use std::path::Path;
use std::sync::atomic::Ordering;

use hyper::{Method, StatusCode};
use longshore_core::config::{self, Env};

use super::*;

const CONFIG: &str = r#"
version = 1
[[source]]
name = "shop"
paths = ["/logs/shop/*.log*", "/srv/one.log"]
[[source]]
name = "deep"
paths = ["/logs/**/deep.log"]
[[column]]
name = "ts"
type = "timestamp"
required = true
[products]
fixed = "shop"
[table]
time = "ts"
"#;

fn metrics() -> (Arc<Metrics>, Arc<Board>) {
    let config = config::parse(CONFIG, Path::new("test.toml"), &Env::new()).expect("a valid config");
    let board = Arc::new(Board::default());
    (Arc::new(Metrics::new(&config, board.clone())), board)
}

#[test]
fn files_go_by_their_source_and_partitions_by_themselves() {
    let (metrics, _) = metrics();
    let of = |name: &str| metrics.names.of_source(name);
    assert_eq!(of("/logs/shop/app.log.1"), "shop");
    assert_eq!(of("/srv/one.log"), "shop");
    assert_eq!(of("/logs/a/b/deep.log"), "deep");
    // A `*` ends at a folder.
    assert_eq!(of("/logs/shop/old/app.log"), "(not in the config)");
    assert_eq!(of("clicks/3"), "clicks/3");
}

/// A rate over a counter that appears with its first event does not see that event.
#[test]
fn every_counter_is_there_at_zero_before_anything_happens() {
    let text = metrics().0.text();
    for line in [
        "longshore_records_total{source=\"shop\"} 0",
        "longshore_dead_letters_total{source=\"deep\",reason=\"bad_json\"} 0",
        "longshore_failed_attempts_total{kind=\"pause\"} 0",
        "longshore_paused_slices 0",
        "longshore_stopped_inputs{source=\"deep\"} 0",
        "longshore_store_seconds_count 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn what_is_not_served_is_refused_with_what_is() {
    let (metrics, board) = metrics();
    let ask = |method: &Method, path: &str| http::answer(method, path, &metrics);
    assert_eq!(ask(&Method::POST, "/metrics").status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ask(&Method::GET, "/").status(), StatusCode::NOT_FOUND);
    let health = ask(&Method::GET, "/healthz");
    assert_eq!(
        (health.status(), &**health.body()),
        (StatusCode::SERVICE_UNAVAILABLE, "starting: nothing is followed yet\n")
    );
    board.stop.store(true, Ordering::Release);
    let health = ask(&Method::GET, "/healthz");
    assert_eq!(
        (health.status(), &**health.body()),
        (StatusCode::SERVICE_UNAVAILABLE, "stopping: what was cut is being stored\n")
    );
}

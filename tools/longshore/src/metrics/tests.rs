use std::path::Path;
use std::sync::atomic::Ordering;

use hyper::{Method, Request, StatusCode};
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
    let text = metrics().0.openmetrics();
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

fn ask(metrics: &Metrics, method: Method, path: &str, accept: &str) -> (StatusCode, String, String) {
    let request = Request::builder().method(method).uri(path).header("Accept", accept).body(()).expect("a request");
    let answer = http::answer(&request, metrics);
    let kind = answer.headers()["content-type"].to_str().expect("ASCII").to_owned();
    (answer.status(), kind, answer.into_body())
}

#[test]
fn what_is_not_served_is_refused_with_what_is() {
    let (metrics, board) = metrics();
    let get = |path: &str| {
        let (status, _, body) = ask(&metrics, Method::GET, path, "*/*");
        (status, body)
    };
    assert_eq!(ask(&metrics, Method::POST, "/metrics", "*/*").0, StatusCode::METHOD_NOT_ALLOWED);
    let (status, body) = get("/");
    assert_eq!(status, StatusCode::NOT_FOUND);
    for path in ["/metrics", "/livez", "/readyz", "/healthz"] {
        assert!(body.contains(path), "{body}");
    }
    let starting = || (StatusCode::SERVICE_UNAVAILABLE, "starting: nothing is followed yet\n".to_owned());
    let live = || (StatusCode::OK, "ok\n".to_owned());
    assert_eq!((get("/livez"), get("/readyz"), get("/healthz")), (live(), starting(), starting()));
    board.stop.store(true, Ordering::Release);
    let stopping = || (StatusCode::SERVICE_UNAVAILABLE, "stopping: what was cut is being stored\n".to_owned());
    assert_eq!((get("/livez"), get("/readyz"), get("/healthz")), (live(), stopping(), stopping()));
}

#[test]
fn the_format_is_the_one_that_is_asked_for() {
    let (metrics, _) = metrics();
    let (status, kind, text) = ask(&metrics, Method::GET, "/metrics", "*/*");
    assert_eq!((status, &*kind), (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8"));
    for line in ["# TYPE longshore_records_total counter", "# TYPE longshore_build_info gauge"] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    // Every sample is of a family that has a type before it, and every family has words.
    let mut family = "";
    for line in text.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(ty) => {
                family = ty.split(' ').next().expect("a name");
                assert!(text.contains(&format!("# HELP {family} ")), "no help of {family}");
            }
            None => assert!(line.starts_with("# HELP ") || line.starts_with(family), "{line} is not of {family}"),
        }
    }
    let (_, kind, open) = ask(&metrics, Method::GET, "/metrics", "application/openmetrics-text");
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.contains("# TYPE longshore_records counter\n") && open.ends_with("# EOF\n"), "{open}");
    let samples =
        |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(samples(&text), samples(&open));
}

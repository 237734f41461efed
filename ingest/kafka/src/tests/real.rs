//! Against a broker that is no mock, and drops the metadata of offsets: tansu, which `LONGSHORE_TANSU` names.
//!
//! `LONGSHORE_TANSU=$(tools/fetch-program.py tansu) cargo test -p longshore-kafka -- --ignored tansu`

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use longshore_ingest::feed::FeedError;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::broker::{Engine, spec};
use crate::errors;

/// Ends with the test, however that ends.
struct Tansu(Child);

impl Drop for Tansu {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
#[ignore = "needs tansu: see the module"]
fn tansu_drops_metadata_and_is_refused() {
    let program = std::env::var("LONGSHORE_TANSU").expect("LONGSHORE_TANSU names the program");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("tcp://127.0.0.1:{port}");
    let arguments = ["broker", "--listener-url", &url, "--advertised-listener-url", &url];
    let mut command = Command::new(program);
    command.args(arguments).args(["--storage-engine", "memory://tansu/"]).stdout(Stdio::null()).stderr(Stdio::null());
    let _tansu = Tansu(command.spawn().unwrap());

    let addresses = format!("127.0.0.1:{port}");
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &addresses)
        .set("allow.auto.create.topics", "true")
        .create()
        .unwrap();
    producer.send(BaseRecord::<(), str>::to("t").payload("a")).map_err(|(error, _)| error).unwrap();
    producer.flush(Duration::from_secs(60)).unwrap();
    let spec = spec(&addresses, "dropped");
    let mut engine = Engine::join(&spec, 100);
    let begun = Instant::now();
    let error = engine.fails();
    assert_eq!(error, FeedError::Refuse { detail: errors::drops_metadata(&spec) }, "after {:?}", begun.elapsed());
}

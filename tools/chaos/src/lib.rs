//! Faults on purpose: a running `longshore run` is killed, frozen, stopped and cut off from its ClickHouse, which is
//! killed and frozen too if it is ours, while an application writes and rotates its logs. After every fault the engine
//! may catch up, and events, every rollup, dead letters and ledger are compared with the writer's own books.
//!
//! ```text
//!  writer.rs --lines--> logs/ --> longshore run --http--> proxy.rs --> ClickHouse
//!      |                          (engine.rs)                         (server.rs)
//!      v                                                                   |
//!  books.rs ----------------------- audit.rs ------------------------------+
//! ```
//! [`run()`] is the loop. `longshore chaos` makes it for a user's ClickHouse, in a scratch database; the torture tests make
//! it with every right. Nothing here knows how the engine works, but for its config, its exit codes and its tables.
//!
//! All processes are started from the thread that calls [`run()`], and the kernel kills them when that thread ends, however
//! it ends.

mod audit;
mod books;
mod brokers;
mod chance;
mod disk;
mod engine;
mod error;
mod faults;
mod group;
mod proxy;
mod records;
mod report;
mod run;
mod server;
mod site;
mod writer;

pub use audit::Findings;
pub use error::ChaosError;
pub use faults::Fault;
pub use group::{GroupOptions, run_group};
pub use report::{Failed, Report};
pub use run::{Options, run};
pub use server::Target;
pub use site::PURPOSE;

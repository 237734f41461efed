//! What Longshore's benches share: inputs that follow from a seed, the decoder's answer and its serde_json twin's,
//! clocks that count CPU time, and the engine without a server.
//!
//! `src/bin/runner.rs` is what the drivers in `driver/` run, one measurement a line, so that ours and a rival's take
//! turns; the criterion benches in `benches/` time the core's parts one by one.

pub mod answer;
pub mod case;
pub mod clock;
pub mod doubt;
pub mod engine;
pub mod rng;
pub mod service;
pub mod shapes;
pub mod twin;

//! Longshore's benches. `end-to-end` measures files to table against a real ClickHouse; the criterion benches in
//! `benches/` measure the core's parts one by one.

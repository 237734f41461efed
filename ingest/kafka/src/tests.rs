//! The member against librdkafka's mock cluster: real sockets, a real group, no broker's disk.

mod broker;
mod cost;
mod doors;
mod faults;
mod feeds;
mod real;
mod starts;

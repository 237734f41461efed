//! The command as a user has it: the real program against a real ClickHouse. One binary, so that all of it links
//! once; each module is a subject.

mod embedded;
mod fetch;
mod support;

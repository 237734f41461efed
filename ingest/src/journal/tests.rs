//! Tests of the journal.

mod simulation;
mod twin;

use super::format::Record;

//! The follower over real files, case by case.

mod model;

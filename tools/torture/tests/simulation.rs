//! Seeds of the simulation, and tests of the tests: bugs that are put in on purpose must be found.

use longshore_torture::engine::Bug;
use longshore_torture::seeds::{first_found, run};
use longshore_torture::simulation::{Options, simulate};

#[test]
fn nothing_is_lost_and_nothing_is_twice_whatever_dies() {
    let summary = run(0, 300, 2, Options::default(), &|_| {});
    let failed: Vec<String> =
        summary.failed.iter().map(|(seed, findings)| format!("seed {seed}: {findings}")).collect();
    assert!(failed.is_empty(), "`torture simulate --seed N --verbose` replays it\n{}", failed.join("\n"));
    // Otherwise nothing was tested.
    assert!(summary.faults > 300 * 10 && summary.records > 300 * 30, "{summary:?}");
}

#[test]
fn a_seed_does_the_same_again() {
    for seed in 0..20 {
        assert_eq!(simulate(seed, Options::default()), simulate(seed, Options::default()), "seed {seed}");
    }
    assert_ne!(simulate(1, Options::default()).trace, simulate(2, Options::default()).trace);
}

fn is_found(bug: Bug) {
    let (seed, findings) = first_found(1_000, Options { verbose: false, bug: Some(bug) })
        .unwrap_or_else(|| panic!("{bug:?} was not found in 1,000 seeds"));
    println!("{bug:?} is found at seed {seed}: lost {}, twice {}", findings.lost, findings.twice);
}

#[test]
fn a_token_that_is_removed_is_found() {
    is_found(Bug::TokenRemoved);
}

#[test]
fn a_position_that_is_advanced_before_the_acknowledgement_is_found() {
    is_found(Bug::DoneBeforeStored);
}

#[test]
fn a_slice_in_doubt_that_is_skipped_is_found() {
    is_found(Bug::DoubtSkipped);
}

#[test]
fn a_config_that_is_not_kept_is_found() {
    is_found(Bug::ConfigForgotten);
}

#[test]
fn tokens_that_are_forgotten_too_soon_are_found() {
    is_found(Bug::WindowTooSmall);
}

#[test]
fn a_slice_that_is_sent_again_blindly_is_found() {
    is_found(Bug::SentAgainBlindly);
}

#[test]
fn claims_that_do_not_survive_a_power_failure_are_found() {
    is_found(Bug::ClaimsNotSynced);
}

#[test]
fn a_repeat_that_decides_by_its_own_clock_is_found() {
    is_found(Bug::ClockForgotten);
}

#[test]
fn markers_that_are_not_in_the_block_of_their_rows_are_found() {
    is_found(Bug::MarkerElsewhere);
}

#[test]
fn a_marker_that_is_looked_up_for_one_day_alone_is_found() {
    is_found(Bug::MarkerOfOneDay);
}

//! One binary for every target: `SLUICE_FUZZ` says which, so that the heavy crates below are linked once.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("SLUICE_FUZZ").unwrap_or_default();
    let all = gateway::fuzz::TARGETS.iter().chain(sluice_tests::fuzz::TARGETS);
    match all.clone().find(|(known, _)| *known == name) {
        Some((_, run)) => *run,
        None => panic!("SLUICE_FUZZ is one of {:?}", all.map(|(known, _)| *known).collect::<Vec<_>>()),
    }
});

fuzz_target!(|data: &[u8]| TARGET(data));

//! Planted faults are found, and where nothing differs nothing is reported: a part of what `--example faults` measures.

pub(crate) mod measure;
pub(crate) mod world;

use measure::{ask, loud_splits, place};
use std::collections::BTreeSet;
use world::{faults, question, segments};

#[test]
fn planted_faults_are_found() {
    let mut missed = Vec::new();
    let mut kinds = BTreeSet::new();
    for fault in faults() {
        // One of each kind, and the deterministic world of the measurement.
        if !kinds.insert(fault.kind as u8) {
            continue;
        }
        let answer = ask(&segments(&fault, 60_000), question(&fault));
        if place(&fault, &answer).is_none_or(|p| p > 3) {
            missed.push(format!(
                "{:?} {:?}: {:?}",
                fault.kind,
                fault.cause,
                answer.findings.iter().map(|f| &f.sentence).collect::<Vec<_>>()
            ));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn random_splits_of_one_population_stay_quiet() {
    let (loud, said) = loud_splits(60, 6_000, 7);
    assert!(loud <= 1, "{said:#?}");
}

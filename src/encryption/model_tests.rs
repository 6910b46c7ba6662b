//! The exploration, and the faults that it must find.

use std::collections::BTreeMap;

use super::custody::Material;
use super::model::{Bounds, Explorer, Mutant};

const CALM: Bounds = Bounds {
    objects: 2,
    writers: 2,
    losses: false,
};
const LOSSES: Bounds = Bounds {
    objects: 1,
    writers: 0,
    losses: true,
};
/// Some twenty times as much to explore.
const LOSSES_AND_WRITES: Bounds = Bounds { writers: 1, ..LOSSES };

#[test]
fn in_every_interleaving_every_server_reads_every_object() {
    let explored = Explorer::new(Mutant::None, CALM).explore().unwrap();
    eprintln!("{explored:?}");
    assert_eq!(explored.steps.len(), 8);
    assert!(
        explored.retired && explored.settled && explored.states > 4_000,
        "{explored:?}"
    );
}

#[test]
fn also_when_the_secret_the_sealed_copy_or_all_of_etcd_is_lost_or_put_back() {
    let explored = Explorer::new(Mutant::None, LOSSES).explore().unwrap();
    eprintln!("{explored:?}");
    assert!(
        explored.retired && explored.recovered && explored.states > 4_000,
        "{explored:?}"
    );
}

#[test]
#[ignore = "a minute of exploration: make soak"]
fn also_when_objects_are_written_while_something_is_lost() {
    let explored = Explorer::new(Mutant::None, LOSSES_AND_WRITES).explore().unwrap();
    eprintln!("{explored:?}");
    assert!(explored.recovered && explored.states > 100_000, "{explored:?}");
}

#[test]
fn each_fault_of_the_machine_is_found() {
    let faults: BTreeMap<&str, (Mutant, Bounds)> = BTreeMap::from([
        ("promote before agreement", (Mutant::PromoteBeforeAgreement, CALM)),
        ("prune early", (Mutant::PruneEarly, CALM)),
        ("verify by LIST", (Mutant::VerifyByList, CALM)),
        ("reuse a key name", (Mutant::ReuseAKeyName, CALM)),
        (
            "no time for writes that began",
            (Mutant::NoTimeForWritesThatBegan, CALM),
        ),
        (
            "mint when the Secret is missing",
            (Mutant::MintWhenTheSecretIsMissing, LOSSES),
        ),
        ("agent takes an older file", (Mutant::AgentTakesAnOlderFile, LOSSES)),
        ("seal the keys only", (Mutant::SealsTheKeysOnly, LOSSES)),
    ]);
    for (name, (mutant, bounds)) in faults {
        let fault = Explorer::new(mutant, bounds).explore().err();
        eprintln!("{name}: {fault:?}");
        assert!(fault.is_some(), "{name} was not found");
    }
}

#[test]
fn material_does_not_show_itself() {
    assert_eq!(format!("{:?}", Material::new(&[1; 32])), "(key)");
}

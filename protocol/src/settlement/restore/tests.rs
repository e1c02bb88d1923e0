//! Parts that are no snapshot are refused, each for its own reason.

use alloc::vec::Vec;

use super::*;
use crate::settlement::snapshot::tests::objects::{ask, ledger, said};

fn parts() -> (Genesis, SnapshotHead, Vec<Part>) {
    let state = ledger();
    (state.genesis().clone(), state.snapshot_head(), state.parts().collect())
}

fn restored(
    genesis: Genesis,
    head: SnapshotHead,
    parts: impl IntoIterator<Item = Part>,
) -> Result<Settlement, RestoreError> {
    let mut restoring: Restoring = Restoring::new_unchecked(genesis, head)?;
    parts.into_iter().try_for_each(|part| restoring.take(part))?;
    restoring.done()
}

#[test]
fn nothing_but_the_whole_of_it_is_taken() {
    // The objects of this ledger stand under ids of their own making: only what refuses them is looked at here,
    // what is taken, in `check_records` of the games.
    let (genesis, head, parts) = parts();
    let other = Genesis { chain_id: genesis.chain_id + 1, ..genesis.clone() };
    assert_eq!(restored(other, head, []), Err(RestoreError::OtherLedger));
    let by_id = restored(genesis.clone(), head, parts);
    assert!(matches!(by_id, Err(RestoreError::Record { .. })), "{by_id:?}");
    let beside = |kind| Err(RestoreError::Beside { kind });
    for (part, kind) in [
        (Part::Fact { fact: Fact::Opened { tree: *said().tree(), depth: 0, index: 0 } }, "claim"),
        (Part::Descent { descent: Descent::default() }, "claim"),
        (Part::Ask { ask: ask() }, "challenge"),
    ] {
        assert_eq!(restored(genesis.clone(), head, [part]), beside(kind));
    }
    let asks = [Part::Ask { ask: ask() }, Part::Ask { ask: ask() }];
    assert_eq!(restored(genesis.clone(), head, asks), beside("challenge"));
    assert_eq!(restored(genesis, head, []), Err(RestoreError::Money));
}

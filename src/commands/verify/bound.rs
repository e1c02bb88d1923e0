//! Whether a claim's file fits itself.

use dispute::claim_file::ClaimFile;
use inference::Model;
use protocol::hash::Keccak;
use protocol::roots::trace_tree;

/// Whether the states of a claim's file are those of its trace, from input to output.
pub(super) fn bound(claim: &ClaimFile, model: &Model) -> Result<(), &'static str> {
    let tree = trace_tree::<Keccak>(&claim.state_roots);
    let bound = tree.is_some_and(|tree| tree.root() == claim.trace_root)
        && claim.state_roots.first() == Some(&claim.input_root)
        && claim.state_roots.last() == Some(&claim.output_root)
        && claim.state_roots.len() == model.header().state_count() as usize;
    if bound {
        Ok(())
    } else {
        Err("not-bound: the trace is not bound to input and output; no ledger accepts it")
    }
}

//! What people read of an attester that was paid out.

use protocol::settlement::Ether;

/// That an attester's bond came back, with its share of the attention money, or burned.
pub(super) fn collected(sealed: &str, attester: &str, share_wei: u128, burned_wei: u128) -> String {
    match (burned_wei, share_wei) {
        (0, 0) => format!("the bond of {attester} for sealed claim {sealed} given back"),
        (0, share_wei) => format!(
            "{} paid to {attester} for its attention to sealed claim {sealed}",
            Ether(share_wei)
        ),
        (burned_wei, _) => format!(
            "{} of {attester} burned: it proved nothing about sealed claim {sealed}",
            Ether(burned_wei)
        ),
    }
}

//! Words that the others are made of.

/// A number with its noun: `1 proof`, `2 proofs`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The state at a boundary between layers.
pub fn state(boundary: u32) -> String {
    match boundary.checked_sub(1) {
        None => "state before layer 0".to_owned(),
        Some(layer) => format!("state after layer {layer}"),
    }
}

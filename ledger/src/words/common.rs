//! Words that the others are made of.

/// A number with its noun: `1 proof`, `2 proofs`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Text that somebody else wrote, for a terminal or a line of a log: what would move the cursor, begin another line or
/// turn the direction of writing is shown as a replacement character.
///
/// ```
/// assert_eq!(ledger::words::printable("a\u{1b}[2Jb\nc"), "a\u{FFFD}[2Jb\u{FFFD}c");
/// ```
pub fn printable(text: &str) -> String {
    let turns = |letter: char| matches!(letter, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let shown = |letter: char| match letter.is_control() || turns(letter) {
        true => char::REPLACEMENT_CHARACTER,
        false => letter,
    };
    text.chars().map(shown).collect()
}

/// The state at a boundary between layers.
pub fn state(boundary: u32) -> String {
    match boundary.checked_sub(1) {
        None => "state before layer 0".to_owned(),
        Some(layer) => format!("state after layer {layer}"),
    }
}

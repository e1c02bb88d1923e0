//! Ids and addresses, as people write them.

use std::fmt::Display;

use protocol::hash::parse_hex;
use protocol::transaction::Address;

use crate::error::CommandError;

pub(super) fn address(argument: &'static str, text: &str) -> Result<Address, CommandError> {
    let bytes = parse_hex(text).and_then(|bytes| bytes.try_into().ok());
    bytes.map(Address).ok_or_else(|| CommandError::Argument {
        argument,
        reason: format!("{text} is not 0x and 40 hexadecimal digits"),
    })
}

/// The id that a text names among those known: whole, or a beginning that only one of them has.
pub(super) fn named<'a, Id: Copy + Display + 'a>(
    argument: &'static str,
    text: &str,
    kind: &str,
    known: impl Iterator<Item = &'a Id>,
) -> Result<Id, CommandError> {
    let wrong = |reason: String| Err(CommandError::Argument { argument, reason });
    let text = text.trim_end_matches('…').to_ascii_lowercase();
    let digits = text.strip_prefix("0x").unwrap_or_default();
    if !(4..=64).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return wrong(format!(
            "{text} is not 0x and 64 hexadecimal digits, or the first 4 or more"
        ));
    }
    let mut fits = known.filter(|id| id.to_string().starts_with(&text));
    match (fits.next(), fits.next()) {
        (Some(id), None) => Ok(*id),
        (Some(_), Some(_)) => wrong(format!("several {kind}s begin with {text}; add digits")),
        (None, _) => wrong(format!(
            "this ledger has no {kind} {text}; `rebut ledger list {kind}s` shows them"
        )),
    }
}

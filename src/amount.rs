//! Amounts of money as people write them: `10ether`, `0.5 ETH`, `100 milliether`, `20gwei`, `7 wei`, `7`.

use crate::print::quoted;

/// Units with the number of zeros in wei.
const UNITS: [(&str, usize); 6] =
    [("wei", 0), ("gwei", 9), ("milliether", 15), ("finney", 15), ("ether", 18), ("eth", 18)];

/// Wei of an amount; without a unit it is wei already.
///
/// # Errors
/// Says what is accepted.
pub(crate) fn parse(text: &str) -> Result<u128, String> {
    let text = text.trim();
    let split = text.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let (number, unit) = (number.trim().replace('_', ""), unit.trim().to_ascii_lowercase());
    let zeros = match unit.as_str() {
        "" => Some(0),
        unit => UNITS.iter().find(|(name, _)| *name == unit).map(|(_, zeros)| *zeros),
    };
    let wrong = || format!("{} is no amount; write 10ether, 0.5 ETH, 20gwei or wei", quoted(text));
    let zeros = zeros.ok_or_else(wrong)?;
    let (whole, part) = number.split_once('.').unwrap_or((&number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && part.is_empty() || !digits(whole) || !digits(part) {
        return Err(wrong());
    }
    let part = part.trim_end_matches('0');
    if part.len() > zeros {
        return Err(format!("{} has parts of a wei; give it fewer decimals", quoted(text)));
    }
    let all = format!("{whole}{part}{}", "0".repeat(zeros - part.len()));
    all.parse().map_err(|_| format!("{} is more than there is", quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_with_their_units_and_never_rounded() {
        for (text, wei) in [
            ("7", 7),
            ("7wei", 7),
            ("10ether", 10_000_000_000_000_000_000),
            ("0.5 ETH", 500_000_000_000_000_000),
            (".5eth", 500_000_000_000_000_000),
            ("1.000000000000000001 ether", 1_000_000_000_000_000_001),
            ("20gwei", 20_000_000_000),
            ("1_000 milliether", 1_000_000_000_000_000_000),
            ("1.50 finney", 1_500_000_000_000_000),
            ("0", 0),
            ("1.0", 1),
        ] {
            assert_eq!(parse(text), Ok(wei), "{text}");
        }
        for text in [
            "",
            "ether",
            "-1",
            "1.5",
            "1e18",
            "1 btc",
            "1.2.3",
            "0.0000000000000000001eth",
            "9".repeat(40).as_str(),
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

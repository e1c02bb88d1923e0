//! Values that arguments, variables and files may have: what cannot be meant is refused by name.

use protocol::hash::{parse_digest, parse_hex};

use crate::print::quoted;

/// A number of things, one at least.
pub(super) fn count_up_to(
    most: usize,
) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync {
    move |text| match text.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(format!("{} is not a whole number from 1 to {most}", quoted(text))),
    }
}

/// Most units in the last place by which a lie moves an element.
const ULPS_MAX: u64 = 1 << 24;

/// Why a lie of the right form (`1:3:0:+1`) is none all the same: a number of it is out of bounds.
pub(crate) fn lie_out_of_bounds(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (ulps, place) = parts.split_last().filter(|(_, place)| place.len() >= 3)?;
    let number = ulps.strip_prefix(['+', '-']).unwrap_or(ulps);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(number) {
        return None;
    }
    let help = format!("a lie moves an element by 1 to {ULPS_MAX} units in the last place");
    match number.parse::<u64>() {
        Ok(0) => return Some(format!("{}: {ulps} changes nothing; {help}", quoted(text))),
        Ok(1..=ULPS_MAX) => {}
        _ => return Some(format!("{}: {ulps} is too large; {help}", quoted(text))),
    }
    let large = place.iter().find(|part| is_number(part) && part.parse::<u32>().is_err())?;
    let help = "`rebut inspect` lists layers and operators, with their shapes";
    Some(format!("{}: {large} is too large; {help}", quoted(text)))
}

/// A lie to rehearse: a name is known at once, a place (`1:3:0:+1`) is looked for in the models.
pub(super) fn lie_text(text: &str) -> Result<String, String> {
    if !text.contains(':') {
        dispute::parse_lie(text).map_err(|error| error.to_string())?;
    }
    lie_out_of_bounds(text).map_or(Ok(text.to_owned()), Err)
}

/// An address to listen on.
pub(super) fn listen_address(text: &str) -> Result<std::net::SocketAddr, String> {
    let help = "write an address and a port, such as 127.0.0.1:8645 (port 0: any that is free)";
    text.parse().map_err(|_| format!("{} is no place to listen; {help}", quoted(text)))
}

/// Where a ledger answers.
pub(super) fn ledger_url(text: &str) -> Result<String, String> {
    if text.starts_with("https://") {
        return Err(format!(
            "{} wants TLS, which this program does not speak: reach the ledger through a tunnel \
             (WireGuard, ssh -L, stunnel) and name its end as http://…",
            quoted(text)
        ));
    }
    if text.strip_prefix("http://").is_some_and(|rest| !rest.is_empty()) {
        Ok(text.to_owned())
    } else {
        Err(format!("{} is no address; write http://HOST:PORT", quoted(text)))
    }
}

/// Hash of a ledger's genesis.
pub(super) fn genesis_hash(text: &str) -> Result<String, String> {
    match parse_digest(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!(
            "{} is not 0x and 64 hexadecimal digits; `rebut ledger status` prints a ledger's",
            quoted(text)
        )),
    }
}

/// Address of an account.
pub(super) fn account_address(text: &str) -> Result<String, String> {
    if parse_hex(text).is_some_and(|bytes| bytes.len() == 20) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{} is not 0x and 40 hexadecimal digits; `rebut key show` prints a key's address",
            quoted(text)
        ))
    }
}

/// Name of a key that everybody knows.
pub(super) fn well_known_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("the name is empty (a variable that is not set?); write --dev client".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lie_whose_numbers_are_out_of_bounds_is_told_so_and_no_other() {
        for (text, part) in [
            ("1:5:32:+99999999999999", "+99999999999999 is too large"),
            ("1:5:32:-16777217", "-16777217 is too large"),
            ("1:dense:0,3:+99999999999999999999", "is too large"),
            ("1:5:32:+0", "changes nothing"),
            ("99999999999:5:32:+1", "99999999999 is too large"),
        ] {
            let reason = lie_out_of_bounds(text).unwrap_or_default();
            assert!(reason.contains(part), "{text}: {reason}");
        }
        for text in ["1:5:32:+1", "1:5:32:-16777216", "1:5:32:x", "1:5:+1", "a:b:c:d", "surfing"] {
            assert_eq!(lie_out_of_bounds(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_no_hash_and_no_name_is_refused() {
        assert!(ledger_url("http://127.0.0.1:8645").is_ok());
        assert!(ledger_url("https://a").unwrap_err().contains("tunnel"));
        for text in ["", "localhost", "127.0.0.1:8645", "http://"] {
            assert!(ledger_url(text).unwrap_err().contains("http://HOST:PORT"), "{text}");
        }
        let digits = "ab".repeat(32);
        assert!(genesis_hash(&format!("0x{digits}")).is_ok());
        assert!(account_address(&format!("0x{}", &digits[..40])).is_ok());
        for text in ["", "xx", "banana", "0x12", digits.as_str()] {
            assert!(genesis_hash(text).is_err() && account_address(text).is_err(), "{text}");
        }
        assert!(well_known_name("client").is_ok());
        assert!(well_known_name(" ").is_err());
    }
}

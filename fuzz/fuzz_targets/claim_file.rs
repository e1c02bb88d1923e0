//! Claim files.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(claim) = executor::files::ClaimFile::parse("fuzz", bytes) {
        let _ = claim.terms(protocol::hash::Digest::default());
    }
});

//! Verdict files.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = ledger::verdict::replay_bytes("fuzz", bytes);
});

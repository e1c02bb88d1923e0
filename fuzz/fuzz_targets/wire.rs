//! The wire and disk envelope.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(entry) = ledger::wire::decode::<ledger::LogEntry>(bytes) {
        assert_eq!(ledger::wire::encode(&entry).expect("it fits"), bytes);
    }
});

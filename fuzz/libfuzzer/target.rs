//! One target for libFuzzer: its name is the binary's.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static RUN: std::sync::OnceLock<fn(&[u8])> = std::sync::OnceLock::new();
    let run = RUN.get_or_init(|| {
        let name = std::env::args().next().unwrap_or_default();
        let name = name.rsplit('/').next().unwrap_or_default();
        fuzz::target(name).unwrap_or_else(|| panic!("there is no target {name}")).run
    });
    run(bytes);
});

//! Configuration files: no panic, and every problem names a line that is there.
#![no_main]

#[path = "../../src/configuration/file.rs"]
#[allow(dead_code)]
mod file;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let lines = 1 + text.bytes().filter(|byte| *byte == b'\n').count();
    let (settings, problems) = file::parse(text);
    for line in settings.iter().map(|one| one.line).chain(problems.iter().map(|one| one.line)) {
        assert!((1..=lines).contains(&line));
    }
    for setting in settings {
        assert!(setting.section.split('.').count() <= 2);
    }
});

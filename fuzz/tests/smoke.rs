//! Every target, given seeds and changed seeds for some seconds (`REBUT_FUZZ_SECONDS`, 2 unless given).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::{Duration, Instant};

use fuzz::mutation::Mutator;

/// What a length that nobody checked would ask for is refused by the system: the test ends loudly.
const MEMORY_BYTES_MAX: u64 = 16 << 30;
/// Longest time for one input.
const ONE_MAX: Duration = Duration::from_secs(20);

fn limit_memory() {
    static LIMITED: Once = Once::new();
    LIMITED.call_once(|| {
        let limit = rustix::process::Rlimit {
            current: Some(MEMORY_BYTES_MAX),
            maximum: Some(MEMORY_BYTES_MAX),
        };
        rustix::process::setrlimit(rustix::process::Resource::As, limit).unwrap();
    });
}

fn play(name: &str) {
    limit_memory();
    let seconds = std::env::var("REBUT_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(2));
    let target = fuzz::target(name).unwrap();
    let seeds = (target.seeds)();
    // A number of one's own finds other inputs; a gate does not fail by luck.
    let number = std::env::var("REBUT_FUZZ_SEED").ok().and_then(|text| text.parse().ok());
    let mut mutator = Mutator::new(seeds.clone(), number.unwrap_or(7));
    let mut inputs = seeds.into_iter();
    let mut count = 0u64;
    while Instant::now() < until {
        let bytes = inputs.next().unwrap_or_else(|| mutator.next_bytes());
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(&bytes)));
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(outcome.is_ok(), "{name} fails on input {count}: {digits}");
        assert!(begun.elapsed() < ONE_MAX, "{name} is slow on input {count}: {digits}");
        count += 1;
    }
    println!("{name}: {count} inputs");
    assert!(count > 20, "{count} inputs only");
}

macro_rules! smoke {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                play(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_played() {
            let played = [$(stringify!($name)),*];
            for target in fuzz::TARGETS {
                assert!(played.contains(&target.name), "{} is not", target.name);
            }
        }
    };
}

smoke!(
    transaction,
    records,
    referee,
    wire,
    published,
    verdict_file,
    claim_file,
    onnx,
    tensor_file,
    configuration,
    http,
    snapshot,
);

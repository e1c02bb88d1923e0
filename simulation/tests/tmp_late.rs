#![allow(clippy::unwrap_used, clippy::panic, dead_code)]
#[path = "../../node/src/late.rs"]
mod late;
#[path = "../../node/src/testing.rs"]
mod testing;

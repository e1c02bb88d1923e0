//! Says whether anything is inlined: a fused multiply-add is an instruction only where it is.

fn main() {
    println!("cargo:rustc-check-cfg=cfg(unoptimised)");
    println!("cargo:rerun-if-env-changed=OPT_LEVEL");
    if std::env::var("OPT_LEVEL").is_ok_and(|level| level == "0") {
        println!("cargo:rustc-cfg=unoptimised");
    }
}

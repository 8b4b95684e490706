//! Has the program `nslab` begin in `src/entry.rs` where that is of use: where it is static, and can be placed anywhere all the same.

use std::env::var;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(begins_in_entry)");
    let is = |name: &str, value: &str| var(name).is_ok_and(|values| values.split(',').any(|one| one == value));
    let is_gnu_linux = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if is_gnu_linux && is("CARGO_CFG_TARGET_ARCH", "x86_64") && is("CARGO_CFG_TARGET_FEATURE", "crt-static") {
        println!("cargo::rustc-cfg=begins_in_entry");
        println!("cargo::rustc-link-arg-bin=nslab=-Wl,--entry=nslab_entry");
    }
}

//! Where the C library looks for users and hosts (nsswitch.conf(5)).
//!
//! What /etc/nsswitch.conf names, glibc loads as shared libraries, which may bring down a program that is linked statically:
//! libnss_systemd does. Such a program looks in what is part of the C library itself, from glibc 2.34 on: the files in /etc, and DNS.

/// Has users and hosts looked up by the C library's own services alone, where this program is linked statically. To be called
/// before anybody is looked up.
#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
pub(crate) fn without_libraries() {
    static DONE: std::sync::Once = std::sync::Once::new();
    DONE.call_once(|| {
        configure(c"passwd", c"files");
        configure(c"group", c"files");
        configure(c"initgroups", c"files");
        configure(c"hosts", c"files dns");
    });
}

/// Other programs load what they are told to.
#[cfg(not(all(target_env = "gnu", target_feature = "crt-static")))]
pub(crate) fn without_libraries() {}

#[cfg(all(target_env = "gnu", target_feature = "crt-static"))]
#[allow(unsafe_code, reason = "neither libc nor nix has the call")]
fn configure(database: &std::ffi::CStr, services: &std::ffi::CStr) {
    unsafe extern "C" {
        /// nss.h of glibc.
        fn __nss_configure_lookup(database: *const nix::libc::c_char, services: *const nix::libc::c_char) -> i32;
    }
    // SAFETY: it takes two strings, of which it keeps a copy. Who is to look somebody up has this done before, and it is done once.
    let refused = unsafe { __nss_configure_lookup(database.as_ptr(), services.as_ptr()) };
    debug_assert_eq!(refused, 0, "{database:?} is a database of glibc's");
}

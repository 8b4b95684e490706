//! A hash that names can be made of: the same on every machine and for all time.

/// FNV-1a, its halves folded so that the low bits are as good as the high ones. The standard library's hashers do not
/// promise to stay the same from release to release; a lab that is up when nslab is updated wants that they do.
pub(crate) fn stable(text: &str) -> u64 {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash ^ (hash >> 32)
}

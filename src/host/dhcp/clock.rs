//! The clock that leases are measured by: it goes on while the machine sleeps (CLOCK_BOOTTIME, clock_gettime(2)).

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// How long a wait goes without a look at the clock: the runtime's timers stand still while the machine sleeps.
const SLICE: Duration = Duration::from_secs(10);

/// The time since the machine was started, in milliseconds.
pub(in crate::host) fn now_ms() -> u64 {
    // It can't fail: the clock is in every kernel that has network namespaces.
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// How long it is until then.
pub(super) fn left_until(then_ms: u64) -> Duration {
    Duration::from_millis(then_ms.saturating_sub(now_ms()))
}

/// Waits until then.
pub(super) async fn sleep_until(then_ms: u64) {
    loop {
        let left = left_until(then_ms);
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(SLICE)).await;
    }
}

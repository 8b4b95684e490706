//! Holding a lease: taking it, renewing it, and what happens when nobody does, or somebody takes it back.

use super::carrier::Carrier;
use super::clock;
use super::error::DhcpError;
use super::exchange::{self, Answer, Grant};
use super::kernel;
use super::lease::Lease;
use super::options::{LeaseEvent, LeaseOptions};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long it is waited for an answer to the wish for a certain address, before any is taken. Servers that don't know of
/// it say nothing.
const WISHING: Duration = Duration::from_secs(3);

/// How long the server that gave a lease may take to prolong it, before all are asked, and how long these may take.
const RENEWING: Duration = Duration::from_secs(3);
const REBINDING: Duration = Duration::from_secs(9);

/// How soon it is asked again at the soonest (RFC 2131 section 4.4.5), unless the lease or its T1 ends before.
const AGAIN: Duration = Duration::from_mins(1);

/// How long it is asked for any lease before it is looked whether the interface is still there. In the first round it is
/// asked three times; later ones begin anew with short times.
const ROUND: Duration = Duration::from_secs(20);
const LONGEST_ROUND: Duration = Duration::from_secs(80);

/// Takes a lease for an interface of the calling thread's network namespace, puts it on the interface, and holds it. Tells
/// each turn after the kernel knows it. Needs a runtime with timers and I/O all of whose threads are in that namespace, and
/// CAP_NET_ADMIN, CAP_NET_RAW and CAP_NET_BIND_SERVICE there.
///
/// Whatever of a former lease is on the interface, it is taken for its own: it asks for that address first, and it goes
/// where there is another. It is asked again when the interface is on its link again after it was not.
///
/// # Errors
/// [`DhcpError::NoAnswer`] where there is no lease by the deadline; [`DhcpError::NoInterface`] where the interface is not
/// there, or not any more; when the kernel refuses what a lease says.
///
/// # Cancel safety
/// The interface keeps what it has until the lease ends; [`let_go`](super::let_go) takes it away before.
pub(crate) async fn hold(
    options: &LeaseOptions,
    on_event: impl FnMut(LeaseEvent) + Send,
) -> Result<Infallible, DhcpError> {
    let mut carrier = Carrier::watch(&options.interface, options.port.as_ref())?;
    let mut told = Told { held: None, has_begun: false, on_event };
    loop {
        tokio::select! {
            result = hold_on(options, &mut told) => return result,
            returned = carrier.returned() => returned?,
        }
    }
}

/// What was told so far.
struct Told<F> {
    /// The lease, for as long as it has not ended.
    held: Option<Lease>,
    /// Whether there was any.
    has_begun: bool,
    on_event: F,
}

impl<F: FnMut(LeaseEvent) + Send> Told<F> {
    fn tell(&mut self, event: LeaseEvent) {
        match &event {
            LeaseEvent::Obtained(lease) | LeaseEvent::Renewed(lease) => {
                (self.held, self.has_begun) = (Some(lease.clone()), true);
            }
            LeaseEvent::Expired(_) => self.held = None,
            LeaseEvent::Unanswered(_) | LeaseEvent::Refused(_) => {}
        }
        (self.on_event)(event);
    }

    /// Puts a lease on the interface, and tells of it.
    fn take(&mut self, options: &LeaseOptions, lease: &Lease) -> Result<(), DhcpError> {
        kernel::apply(&options.interface, lease, options.metric)?;
        let is_same = self.held.as_ref().is_some_and(|held| held.address == lease.address);
        let lease = lease.clone();
        self.tell(if is_same { LeaseEvent::Renewed(lease) } else { LeaseEvent::Obtained(lease) });
        Ok(())
    }
}

/// Holds a lease for as long as the interface stays on its link.
async fn hold_on(
    options: &LeaseOptions,
    told: &mut Told<impl FnMut(LeaseEvent) + Send>,
) -> Result<Infallible, DhcpError> {
    let mut grant = match (told.held.clone(), told.has_begun) {
        (Some(held), _) => again(options, &held, told).await?,
        (None, true) => any(options).await?,
        (None, false) => first(options).await?,
    };
    loop {
        told.take(options, &grant.lease)?;
        grant.until_renewal(options).await?;
        grant = match prolong(options, &mut grant, told).await? {
            Prolonged::ByItsServer => grant,
            Prolonged::ByAny(next) => *next,
            Prolonged::Refused => {
                told.tell(LeaseEvent::Refused(grant.lease.clone()));
                another(options, &grant.lease, told).await?
            }
            Prolonged::NotAtAll => another(options, &grant.lease, told).await?,
        };
    }
}

/// The lease that there was before the interface was off its link, or another.
async fn again(
    options: &LeaseOptions,
    held: &Lease,
    told: &mut Told<impl FnMut(LeaseEvent) + Send>,
) -> Result<Grant, DhcpError> {
    match exchange::verify(options, held.address.ip(), REBINDING.min(held.left())).await? {
        Answer::Granted(grant) => return Ok(*grant),
        Answer::Refused => told.tell(LeaseEvent::Refused(held.clone())),
        Answer::Silence => told.tell(LeaseEvent::Unanswered(held.clone())),
    }
    another(options, held, told).await
}

/// The first lease.
async fn first(options: &LeaseOptions) -> Result<Grant, DhcpError> {
    let former = kernel::leased(&options.interface)?;
    let wanted = options.wanted.or(former.first().copied());
    let Some(deadline) = options.deadline else { return wanted_or_any(options, wanted).await };
    let begin = Instant::now();
    timeout(deadline, wanted_or_any(options, wanted)).await.unwrap_or_else(|_| {
        let (interface, seconds) = (options.interface.clone(), begin.elapsed().as_secs());
        Err(DhcpError::NoAnswer { interface, seconds })
    })
}

async fn wanted_or_any(options: &LeaseOptions, wanted: Option<Ipv4Addr>) -> Result<Grant, DhcpError> {
    if let Some(wanted) = wanted
        && let Answer::Granted(grant) = exchange::verify(options, wanted, WISHING).await?
    {
        return Ok(*grant);
    }
    any(options).await
}

/// A lease of any address. Where nobody answers it is asked less often by and by.
async fn any(options: &LeaseOptions) -> Result<Grant, DhcpError> {
    let mut round = ROUND;
    loop {
        if let Ok(result) = timeout(round, exchange::discover(options)).await {
            return result;
        }
        round = (round * 2).min(LONGEST_ROUND);
    }
}

/// What came of the wish for more of a lease.
enum Prolonged {
    /// The server that gave it has prolonged it.
    ByItsServer,
    /// Some server has.
    ByAny(Box<Grant>),
    /// A server takes it back.
    Refused,
    /// The lease is over.
    NotAtAll,
}

/// Asks for more of a lease until somebody answers, or it ends.
async fn prolong(
    options: &LeaseOptions,
    grant: &mut Grant,
    told: &mut Told<impl FnMut(LeaseEvent) + Send>,
) -> Result<Prolonged, DhcpError> {
    loop {
        let until_any = clock::left_until(grant.lease.rebinds_at_ms());
        if !until_any.is_zero() && grant.renew(options, RENEWING.min(until_any)).await? {
            return Ok(Prolonged::ByItsServer);
        }
        let left = grant.lease.left();
        if left.is_zero() {
            return Ok(Prolonged::NotAtAll);
        }
        match exchange::verify(options, grant.lease.address.ip(), REBINDING.min(left)).await? {
            Answer::Granted(next) => return Ok(Prolonged::ByAny(next)),
            Answer::Refused => return Ok(Prolonged::Refused),
            Answer::Silence => told.tell(LeaseEvent::Unanswered(grant.lease.clone())),
        }
        clock::sleep_until(ask_again_at_ms(&grant.lease)).await;
    }
}

/// When to ask again: after half of what is left until T2, or until the end (RFC 2131 section 4.4.5).
fn ask_again_at_ms(lease: &Lease) -> u64 {
    let (now, mark) = (clock::now_ms(), lease.rebinds_at_ms());
    let mark = if now < mark { mark } else { lease.ends_at_ms() };
    let half = Duration::from_millis(mark.saturating_sub(now) / 2).max(AGAIN);
    mark.min(now.saturating_add(u64::try_from(half.as_millis()).unwrap_or(u64::MAX)))
}

/// A lease in place of one that can't be had any more. What there is stays on the interface until that ends.
async fn another(
    options: &LeaseOptions,
    former: &Lease,
    told: &mut Told<impl FnMut(LeaseEvent) + Send>,
) -> Result<Grant, DhcpError> {
    let mut search = std::pin::pin!(any(options));
    tokio::select! {
        found = &mut search => return found,
        () = clock::sleep_until(former.ends_at_ms()) => {}
    }
    kernel::let_go(&options.interface)?;
    told.tell(LeaseEvent::Expired(former.clone()));
    search.await
}

//! One exchange with servers: asking for any lease, for a certain one, or for more of one.

use super::error::DhcpError;
use super::kernel;
use super::lease::Lease;
use super::options::LeaseOptions;
use crate::model::ClientId;
use mozim::{DhcpV4Client, DhcpV4Config, DhcpV4Lease, DhcpV4State};
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::time::timeout;

/// How long a server may take to acknowledge what it has offered. It refuses unheard: it is asked anew then.
const ACKNOWLEDGING: Duration = Duration::from_secs(6);

/// The type of a client's ID that is a MAC address (RFC 2132 section 9.14).
const ETHERNET: u8 = 1;

/// The option that asks for a broadcast address (RFC 2132 section 5.3), which mozim does not by itself.
const BROADCAST_ADDRESS: u8 = 28;

/// A lease, with the client that may ask its server for more.
pub(super) struct Grant {
    pub(super) lease: Lease,
    client: DhcpV4Client,
}

/// What servers say to a client that knows what it wants.
pub(super) enum Answer {
    Granted(Box<Grant>),
    /// It is not to have it.
    Refused,
    /// Nothing.
    Silence,
}

impl Grant {
    fn new(given: &DhcpV4Lease, client: DhcpV4Client) -> Option<Self> {
        Lease::new(given).map(|lease| Self { lease, client })
    }

    /// Waits until it is time to ask for more (T1).
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn until_renewal(&mut self, options: &LeaseOptions) -> Result<(), DhcpError> {
        self.client.run().await.map(drop).map_err(failed(options))
    }

    /// Asks the server that gave the lease for more of it, once it is time (RFC 2131's RENEWING). Returns whether it gave.
    /// A refusal is not heard.
    ///
    /// # Cancel safety
    /// An answer may be lost.
    pub(super) async fn renew(&mut self, options: &LeaseOptions, patience: Duration) -> Result<bool, DhcpError> {
        let Ok(result) = timeout(patience, self.client.run()).await else { return Ok(false) };
        let given = match result.map_err(failed(options))? {
            DhcpV4State::Done(given) => Lease::new(&given),
            _ => None, // T2 has come
        };
        let has_more = given.is_some();
        self.lease = given.unwrap_or_else(|| self.lease.clone());
        Ok(has_more)
    }
}

/// Asks for a lease of any address, until there is one (RFC 2131's INIT and SELECTING).
///
/// # Errors
/// [`DhcpError::NoInterface`]; [`DhcpError::Client`].
///
/// # Cancel safety
/// A lease that was just given is lost to the client; the server gives it the same again.
pub(super) async fn discover(options: &LeaseOptions) -> Result<Grant, DhcpError> {
    loop {
        let mut client = client(options, None).await?;
        let offered = client.run().await.map_err(failed(options))?;
        let state = match offered {
            DhcpV4State::Selecting => match timeout(ACKNOWLEDGING, client.run()).await {
                Err(_) => continue,
                Ok(result) => result.map_err(failed(options))?,
            },
            other => other,
        };
        if let DhcpV4State::Done(given) = state
            && let Some(grant) = Grant::new(&given, client)
        {
            return Ok(grant);
        }
    }
}

/// Asks all servers whether the client may have this address (RFC 2131's INIT-REBOOT).
///
/// # Errors
/// [`DhcpError::NoInterface`]; [`DhcpError::Client`].
///
/// # Cancel safety
/// An answer may be lost.
pub(super) async fn verify(options: &LeaseOptions, address: Ipv4Addr, patience: Duration) -> Result<Answer, DhcpError> {
    let mut known = DhcpV4Lease::default();
    known.yiaddr = address;
    let mut client = client(options, Some(known)).await?;
    match timeout(patience, client.run()).await {
        Err(_) => Ok(Answer::Silence),
        Ok(Err(error)) => Err(failed(options)(error)),
        Ok(Ok(DhcpV4State::Done(given))) => {
            Ok(Grant::new(&given, client).map_or(Answer::Silence, |grant| Answer::Granted(Box::new(grant))))
        }
        // It begins anew when it was refused, and after four attempts in a minute, which is longer than it is waited for.
        Ok(Ok(_)) => Ok(Answer::Refused),
    }
}

fn failed(options: &LeaseOptions) -> impl Fn(mozim::DhcpError) -> DhcpError {
    |source| DhcpError::Client { interface: options.interface.clone(), source }
}

async fn client(options: &LeaseOptions, known: Option<DhcpV4Lease>) -> Result<DhcpV4Client, DhcpError> {
    let LeaseOptions { interface, port: _, mac, client_id, host_name, wanted: _, metric: _, deadline: _ } = options;
    let mut config = DhcpV4Config::new(interface.as_str());
    config.set_iface_index(kernel::index_of(interface)?);
    config.set_iface_mac_raw(&mac.octets()).map_err(failed(options))?;
    match client_id.as_ref().map(ClientId::as_bytes) {
        Some([kind, id @ ..]) => config.set_client_id(*kind, id),
        _ => config.set_client_id(ETHERNET, &mac.octets()),
    };
    if let Some(name) = host_name {
        config.set_host_name(name);
    }
    config.request_extra_dhcp_opts(&[BROADCAST_ADDRESS]);
    DhcpV4Client::init(config, known).await.map_err(failed(options))
}

//! From a name to addresses that may be dialled: asked once a connection, and the answer is what is dialled.
//!
//! SECURITY: WHK-05. There is no second lookup between the check and the connection, so that a name which
//! changes its address in between (rebinding) gains nothing.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::guard::{Guard, Reach};

/// LIMIT: ours; a host with more addresses is tried on these.
const ADDRESSES_MAX: usize = 32;

/// The addresses that were found, or why none were.
pub type Found = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Finds the addresses of a name.
pub trait Lookup: Send + Sync {
    /// All addresses of `name`, in the order in which they are to be tried.
    fn lookup(&self, name: &str) -> Found;
}

/// The resolver of the system.
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: &str) -> Found {
        let name = name.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// A name stands for an address that may not be called.
#[derive(Debug, thiserror::Error)]
#[error("the name stands for an address that may not be called")]
pub(super) struct AddressRefused;

/// A name stands for nothing.
#[derive(Debug, thiserror::Error)]
#[error("the name has no address")]
struct NoAddress;

/// The resolver that the connector asks.
pub(super) struct Guarded {
    pub(super) guard: Arc<Guard>,
    pub(super) reach: Reach,
    pub(super) lookup: Arc<dyn Lookup>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, reach) = (Arc::clone(&self.guard), self.reach);
        let found = self.lookup.lookup(name.as_str());
        Box::pin(async move {
            let addresses = found.await?;
            if addresses.is_empty() {
                return Err(Box::from(NoAddress));
            }
            // SECURITY: WHK-05. One bad address spoils all: a mixed answer is an attack or a mistake.
            if !addresses.iter().all(|address| guard.admits(*address, reach)) {
                return Err(Box::from(AddressRefused) as Box<dyn Error + Send + Sync>);
            }
            let port_of_the_url = 0;
            let dialled = addresses
                .into_iter()
                .take(ADDRESSES_MAX)
                .map(move |ip| SocketAddr::new(ip, port_of_the_url));
            Ok(Box::new(dialled) as Addrs)
        })
    }
}

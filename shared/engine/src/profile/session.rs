//! The client attributes a session is bound to.

use crate::id::{Asn, CountryCode, DeviceId, Fingerprint, Prefix, short_hash};
use crate::signal::{Agent, Client, NetworkClass};

/// Where a session began, or was met from, or is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// Hash of the address.
    pub address: Option<u64>,
    pub prefix: Option<Prefix>,
    pub asn: Option<Asn>,
    pub country: Option<CountryCode>,
    pub class: NetworkClass,
    pub agent: Agent,
    pub device: Option<DeviceId>,
    pub ja4: Option<Fingerprint>,
    pub certificate: Option<Fingerprint>,
}

impl Bound {
    pub fn of(client: &Client) -> Self {
        Self {
            address: client
                .address
                .map(|address| short_hash(&[address.to_canonical().to_string().as_bytes()])),
            prefix: client.prefix(),
            asn: client.place.asn,
            country: client.place.country,
            class: client.place.class,
            agent: client.agent.clone(),
            device: client.device.clone(),
            ja4: client.ja4.clone(),
            certificate: client.certificate.clone(),
        }
    }
}

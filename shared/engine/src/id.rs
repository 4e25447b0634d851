//! Names of things: tenants, subjects, events. This room knows nothing of time, risk or storage.

use core::fmt;
use core::hash::Hasher;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher13};

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is; its length and characters are checked where it enters (`wire`).
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &*self.0)
            }
        }
    )*};
}

text_id! {
    /// Whose data it is; every key and every statistic begins with it.
    TenantId
    /// A person's account, as the tenant's identity provider names it.
    UserId
    /// A session, as the enforcement points see it.
    SessionId
    DeviceId
    /// A SPIFFE ID.
    WorkloadId
    AppId
    ResourceId
    /// Unique within tenant and source.
    EventId
    /// Who reports an event, e.g. `okta`.
    SourceId
    /// A policy's `@id`.
    RuleId
    /// The revision of a policy set, e.g. `sha256:…`.
    RevisionId
    /// An authentication context class (`acr`).
    AcrValue
    /// A client fingerprint (JA4) or certificate digest, only ever compared.
    Fingerprint
    /// A person or credential that acted, e.g. an operator.
    PrincipalId
}

/// ISO 3166-1 alpha-2, upper case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountryCode(pub [u8; 2]);

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{}", char::from(byte))?;
        }
        Ok(())
    }
}

/// An autonomous system's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asn(pub u32);

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{}", self.0)
    }
}

/// The network an address is in: its /24, or for IPv6 its /48.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The prefix that holds `address`; an IPv4-mapped IPv6 address counts as IPv4.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self {
                address: IpAddr::V4(Ipv4Addr::from(u32::from(v4) & 0xffff_ff00)),
                length: 24,
            },
            IpAddr::V6(v6) => Self {
                address: IpAddr::V6(Ipv6Addr::from(u128::from(v6) & !((1u128 << 80) - 1))),
                length: 48,
            },
        }
    }

    pub fn address(self) -> IpAddr {
        self.address
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// Whose record a signal belongs to. A subject is a key in the log, and a key has one writer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectKey {
    User {
        tenant: TenantId,
        user: UserId,
    },
    Device {
        tenant: TenantId,
        device: DeviceId,
    },
    Network {
        tenant: TenantId,
        prefix: Prefix,
    },
    Workload {
        tenant: TenantId,
        workload: WorkloadId,
    },
    /// A tenant's statistics are spread over [`crate::limits::TENANT_SHARDS`] records.
    Tenant {
        tenant: TenantId,
        shard: u16,
    },
}

/// Separates the parts of a key's text; no id may hold a control character (checked in `wire`).
const KEY_SEPARATOR: char = '\u{1f}';

impl SubjectKey {
    pub fn tenant(&self) -> &TenantId {
        match self {
            Self::User { tenant, .. }
            | Self::Device { tenant, .. }
            | Self::Network { tenant, .. }
            | Self::Workload { tenant, .. }
            | Self::Tenant { tenant, .. } => tenant,
        }
    }

    /// The 128-bit name under which the subject's record is kept and its partition is chosen.
    pub fn hash(&self) -> SubjectHash {
        SubjectHash(stable_hash(&[self.to_string().as_bytes()]))
    }
}

/// The canonical text of the key: kind, tenant, name, separated by U+001F.
impl fmt::Display for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sep = KEY_SEPARATOR;
        match self {
            Self::User { tenant, user } => write!(f, "user{sep}{tenant}{sep}{user}"),
            Self::Device { tenant, device } => write!(f, "device{sep}{tenant}{sep}{device}"),
            Self::Network { tenant, prefix } => write!(f, "network{sep}{tenant}{sep}{prefix}"),
            Self::Workload { tenant, workload } => {
                write!(f, "workload{sep}{tenant}{sep}{workload}")
            }
            Self::Tenant { tenant, shard } => write!(f, "tenant{sep}{tenant}{sep}{shard}"),
        }
    }
}

/// A subject's key, hashed: stable over releases, never seeded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectHash(pub u128);

impl SubjectHash {
    /// The partition of the log, `0..partitions`; `partitions` of 0 counts as 1.
    pub fn partition(self, partitions: u32) -> u32 {
        let index = self.0 % u128::from(partitions.max(1));
        u32::try_from(index).unwrap_or(0)
    }
}

impl fmt::Display for SubjectHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SubjectHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectHash({self})")
    }
}

/// A decision's name: its owning subject's hash, then a hash of tenant, target, generation, mode and cause.
///
/// *Shape*: `d-` and 48 lower-case hex digits; the first 32 are the owner's [`SubjectHash`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecisionId {
    pub owner: SubjectHash,
    pub suffix: u64,
}

impl DecisionId {
    /// Reads the text form; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("d-")?;
        if hex.len() != 48 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        Some(Self {
            owner: SubjectHash(u128::from_str_radix(hex.get(..32)?, 16).ok()?),
            suffix: u64::from_str_radix(hex.get(32..)?, 16).ok()?,
        })
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d-{}{:016x}", self.owner, self.suffix)
    }
}

impl fmt::Debug for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecisionId({self})")
    }
}

/// SipHash-1-3 with a zero key over length-prefixed parts: the one hash of names in Caerus.
pub fn stable_hash(parts: &[&[u8]]) -> u128 {
    let mut hasher = SipHasher13::new();
    for part in parts {
        hasher.write_u64(part.len() as u64);
        hasher.write(part);
    }
    hasher.finish128().as_u128()
}

/// The lower half of [`stable_hash`], for tables that hold many.
pub fn short_hash(parts: &[&[u8]]) -> u64 {
    let [low, ..] = split(stable_hash(parts));
    low
}

fn split(wide: u128) -> [u64; 2] {
    let bytes = wide.to_le_bytes();
    let (low, high) = bytes.split_at(8);
    let half = |half: &[u8]| <[u8; 8]>::try_from(half).map_or(0, u64::from_le_bytes);
    [half(low), half(high)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_id_reads_back_and_names_its_owner() {
        let owner = SubjectKey::User {
            tenant: TenantId::new("acme"),
            user: UserId::new("alice"),
        };
        let id = DecisionId {
            owner: owner.hash(),
            suffix: 7,
        };
        assert_eq!(DecisionId::parse(&id.to_string()), Some(id));
        assert_eq!(DecisionId::parse("d-xyz"), None);
    }

    #[test]
    fn names_that_look_alike_across_tenants_and_kinds_hash_apart() {
        let tenants = ["a", "b"].map(TenantId::new);
        let [a, b] = tenants;
        let same = |tenant: TenantId| SubjectKey::User {
            tenant,
            user: UserId::new("x"),
        };
        assert_ne!(same(a.clone()).hash(), same(b).hash());
        let device = SubjectKey::Device {
            tenant: a.clone(),
            device: DeviceId::new("x"),
        };
        assert_ne!(same(a).hash(), device.hash());
    }

    #[test]
    fn an_address_falls_into_its_24_or_48() {
        let of = |text: &str| Prefix::of(text.parse().unwrap()).to_string();
        assert_eq!(of("203.0.113.77"), "203.0.113.0/24");
        assert_eq!(of("::ffff:203.0.113.77"), "203.0.113.0/24");
        assert_eq!(of("2001:db8:1:2::5"), "2001:db8:1::/48");
    }
}

//! The places of the world and the networks in them: a small fixed table, invented but consistent. Knows no people.
//!
//! Every address lies in a range that belongs to nobody: documentation (RFC 5737, RFC 3849), benchmarking (RFC 2544)
//! and class E (RFC 1112); every AS number is from the private range of RFC 6996. So nothing made here can be mistaken
//! for somebody's real traffic.

pub(crate) mod tables;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::draw::Draw;

/// *Units*: degrees; minutes east of UTC, without summer time.
#[derive(Debug)]
pub(crate) struct City {
    pub(crate) name: &'static str,
    /// ISO 3166-1 alpha-2.
    pub(crate) country: &'static str,
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    pub(crate) utc_offset_min: i64,
}

/// What kind of network an address is in, as `geo.network` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Residential,
    Mobile,
    Corporate,
    Hosting,
    Vpn,
    Proxy,
    Tor,
    Relay,
}

impl Class {
    /// How well a database places such an address. *Units*: km, the radius of 67 % confidence.
    pub(crate) fn radius_km(self) -> u32 {
        match self {
            Self::Corporate => 5,
            Self::Residential => 20,
            Self::Hosting | Self::Vpn | Self::Proxy => 50,
            Self::Relay | Self::Tor => 100,
            Self::Mobile => 200,
        }
    }
}

/// An autonomous system with its addresses, spread over its cities block by block.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) asn: u32,
    pub(crate) organisation: &'static str,
    pub(crate) class: Class,
    pub(crate) cities: &'static [&'static City],
    pub(crate) range: Range,
}

/// Where a network's blocks lie.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Range {
    /// /24s in class E, 4,096 to a network, by the network's number.
    Wide(u32),
    /// /48s of 2001:db8::/32, 256 to a network, by the network's number.
    Six(u16),
    /// One /24: an office's.
    Single([u8; 3]),
}

const WIDE_BLOCKS: u32 = 4_096;
const SIX_BLOCKS: u32 = 256;

/// Out of which of a network's blocks in a city addresses are given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pool {
    All,
    First(u32),
}

/// An address with all that is known of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) address: IpAddr,
    pub(crate) network: &'static Network,
    pub(crate) city: &'static City,
}

impl Network {
    /// A block of this network in `city` (in any of its cities, where it has none there), one of its first `pool`
    /// there: a carrier's gateway or a VPN's exit serves many out of few blocks.
    pub(crate) fn block_in(&self, city: &City, pool: Pool, draw: &mut Draw) -> u32 {
        let stride = u32::try_from(self.cities.len()).unwrap_or(1).max(1);
        let at = self.cities.iter().position(|c| c.name == city.name);
        let rows = match pool {
            Pool::All => self.blocks() / stride,
            Pool::First(rows) => rows.min(self.blocks() / stride),
        };
        let row = draw.below(rows.max(1)) * stride;
        match at.and_then(|at| u32::try_from(at).ok()) {
            Some(at) => row + at,
            None => row + draw.below(stride),
        }
    }

    /// A host of a block; IPv6 hosts have 64 random bits.
    pub(crate) fn host(&'static self, block: u32, draw: &mut Draw) -> Spot {
        let block = block % self.blocks();
        let cities = u32::try_from(self.cities.len()).unwrap_or(1).max(1);
        let index = usize::try_from(block % cities).unwrap_or(0);
        let city = self.cities.get(index).copied().unwrap_or(&tables::BERLIN);
        Spot {
            address: self.address(block, draw),
            network: self,
            city,
        }
    }

    fn blocks(&self) -> u32 {
        match self.range {
            Range::Wide(_) => WIDE_BLOCKS,
            Range::Six(_) => SIX_BLOCKS,
            Range::Single(_) => 1,
        }
    }

    fn address(&self, block: u32, draw: &mut Draw) -> IpAddr {
        let host = 2 + draw.below(250);
        match self.range {
            Range::Wide(number) => {
                let base = 0xf000_0000 | (number * WIDE_BLOCKS + block) << 8;
                IpAddr::V4(Ipv4Addr::from(base | host))
            }
            Range::Six(number) => {
                let head = 0x2001_0db8_u128 << 96 | u128::from(number) << 88;
                let subnet = u128::from(block) << 80 | u128::from(draw.below(65_536)) << 64;
                IpAddr::V6(Ipv6Addr::from(head | subnet | u128::from(draw.word())))
            }
            // An office has one egress address, whoever sits behind it.
            Range::Single([a, b, c]) => IpAddr::V4(Ipv4Addr::new(a, b, c, 10)),
        }
    }
}

/// Where people of one office live, and how they are connected there.
#[derive(Debug)]
pub(crate) struct Site {
    /// Its one egress.
    pub(crate) office: &'static Network,
    pub(crate) homes: &'static [&'static City],
    pub(crate) providers: &'static [&'static Network],
    pub(crate) carriers: &'static [&'static Network],
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Range::{Single, Six, Wide};
    use super::tables::{
        FAR_HOMES, GUEST_NETWORKS, HIDEOUTS, HOSTERS, PROXY_HOMES, RELAY, SITES, VPNS,
    };
    use super::*;
    use crate::seed::Seed;

    fn all() -> Vec<&'static Network> {
        let mut all: Vec<&Network> = [
            GUEST_NETWORKS,
            FAR_HOMES,
            PROXY_HOMES,
            HOSTERS,
            VPNS,
            HIDEOUTS,
            &[RELAY],
        ]
        .concat();
        for (site, _) in SITES {
            all.push(site.office);
            all.extend(site.providers);
            all.extend(site.carriers);
        }
        all.sort_by_key(|n| n.organisation);
        all.dedup_by_key(|n| n.organisation);
        all
    }

    #[test]
    fn no_two_networks_share_an_as_number_or_a_block() {
        let (mut ranges, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        for network in all() {
            let range = match network.range {
                Wide(number) => format!("wide {number}"),
                Six(number) => format!("six {number}"),
                Single(block) => format!("{block:?}"),
            };
            let name = network.organisation;
            assert!(ranges.insert(range), "{name} shares its range");
            assert!(numbers.insert(network.asn), "{name} shares its AS number");
            assert!((64_512..=65_534).contains(&network.asn), "{}", network.asn);
        }
    }

    #[test]
    fn an_address_is_nobodys_and_its_city_follows_from_its_block() {
        let mut draw = Seed::root(1).draw();
        for network in all() {
            for city in network.cities {
                let block = network.block_in(city, Pool::All, &mut draw);
                let spot = network.host(block, &mut draw);
                assert_eq!(spot.city.name, city.name, "{}", network.organisation);
                let is_nobodys = match spot.address {
                    IpAddr::V4(v4) => {
                        v4.is_documentation() || v4.octets()[0] >= 240 || v4.octets()[0] == 198
                    }
                    IpAddr::V6(v6) => v6.segments()[..2] == [0x2001, 0x0db8],
                };
                assert!(
                    is_nobodys && !spot.address.is_loopback(),
                    "{}",
                    spot.address
                );
            }
        }
    }
}

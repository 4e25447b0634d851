//! The rows of the atlas: cities, offices, providers, carriers, hosts and hideouts.

use super::Class::{Corporate, Hosting, Mobile, Proxy, Relay, Residential, Tor, Vpn};
use super::Range::{Single, Six, Wide};
use super::{City, Class, Network, Range, Site};

const fn city(
    name: &'static str,
    country: &'static str,
    latitude: f64,
    longitude: f64,
    utc_offset_min: i64,
) -> City {
    City {
        name,
        country,
        latitude,
        longitude,
        utc_offset_min,
    }
}

pub(crate) static BERLIN: City = city("Berlin", "DE", 52.52, 13.405, 60);
static HAMBURG: City = city("Hamburg", "DE", 53.551, 9.994, 60);
static MUNICH: City = city("Munich", "DE", 48.137, 11.575, 60);
static FRANKFURT: City = city("Frankfurt am Main", "DE", 50.11, 8.682, 60);
pub(crate) static LONDON: City = city("London", "GB", 51.507, -0.128, 0);
static MANCHESTER: City = city("Manchester", "GB", 53.481, -2.243, 0);
pub(crate) static NEW_YORK: City = city("New York", "US", 40.713, -74.006, -300);
static BOSTON: City = city("Boston", "US", 42.36, -71.058, -300);
static ASHBURN: City = city("Ashburn", "US", 39.044, -77.487, -300);
pub(crate) static BENGALURU: City = city("Bengaluru", "IN", 12.972, 77.594, 330);
static CHENNAI: City = city("Chennai", "IN", 13.083, 80.27, 330);
static PARIS: City = city("Paris", "FR", 48.857, 2.352, 60);
static MADRID: City = city("Madrid", "ES", 40.417, -3.704, 60);
static AMSTERDAM: City = city("Amsterdam", "NL", 52.368, 4.904, 60);
static STOCKHOLM: City = city("Stockholm", "SE", 59.329, 18.069, 60);
static WARSAW: City = city("Warsaw", "PL", 52.23, 21.012, 60);
static TORONTO: City = city("Toronto", "CA", 43.653, -79.383, -300);
static SINGAPORE: City = city("Singapore", "SG", 1.352, 103.82, 480);
static TOKYO: City = city("Tokyo", "JP", 35.677, 139.65, 540);
static BUCHAREST: City = city("Bucharest", "RO", 44.427, 26.103, 120);
static LAGOS: City = city("Lagos", "NG", 6.524, 3.379, 60);
static HANOI: City = city("Hanoi", "VN", 21.028, 105.834, 420);
static SAO_PAULO: City = city("São Paulo", "BR", -23.551, -46.633, -180);
static JAKARTA: City = city("Jakarta", "ID", -6.209, 106.846, 420);

const fn network(
    asn: u32,
    organisation: &'static str,
    class: Class,
    cities: &'static [&'static City],
    range: Range,
) -> Network {
    Network {
        asn,
        organisation,
        class,
        cities,
        range,
    }
}

static OFFICE_BERLIN: Network = network(
    64_512,
    "Caerus Berlin",
    Corporate,
    &[&BERLIN],
    Single([203, 0, 113]),
);
static OFFICE_LONDON: Network = network(
    64_513,
    "Caerus London",
    Corporate,
    &[&LONDON],
    Single([198, 51, 100]),
);
static OFFICE_NEW_YORK: Network = network(
    64_514,
    "Caerus New York",
    Corporate,
    &[&NEW_YORK],
    Single([192, 0, 2]),
);
static OFFICE_BENGALURU: Network = network(
    64_515,
    "Caerus Bengaluru",
    Corporate,
    &[&BENGALURU],
    Single([198, 18, 7]),
);

static SPREENETZ: Network = network(
    64_600,
    "Spreenetz",
    Residential,
    &[&BERLIN, &HAMBURG, &FRANKFURT, &MUNICH],
    Wide(0),
);
static HANSEKABEL: Network = network(
    64_601,
    "Hansekabel",
    Residential,
    &[&HAMBURG, &BERLIN],
    Wide(1),
);
static THAMES_FIBRE: Network = network(
    64_602,
    "Thames Fibre",
    Residential,
    &[&LONDON, &MANCHESTER],
    Wide(2),
);
static PENNINE_BROADBAND: Network = network(
    64_603,
    "Pennine Broadband",
    Residential,
    &[&MANCHESTER, &LONDON],
    Wide(3),
);
static LIBERTY_CABLE: Network = network(
    64_604,
    "Liberty Cable",
    Residential,
    &[&NEW_YORK, &BOSTON],
    Wide(4),
);
static BAY_STATE_FIBER: Network = network(
    64_605,
    "Bay State Fiber",
    Residential,
    &[&BOSTON, &NEW_YORK],
    Wide(5),
);
static KAVERI_BROADBAND: Network = network(
    64_606,
    "Kaveri Broadband",
    Residential,
    &[&BENGALURU, &CHENNAI],
    Wide(6),
);
static COROMANDEL_NET: Network = network(
    64_607,
    "Coromandel Net",
    Residential,
    &[&CHENNAI, &BENGALURU],
    Wide(7),
);

static NORDFUNK: Network = network(
    64_620,
    "Nordfunk",
    Mobile,
    &[&BERLIN, &FRANKFURT, &HAMBURG],
    Wide(8),
);
static ALPENFUNK: Network = network(64_621, "Alpenfunk", Mobile, &[&MUNICH, &BERLIN], Six(0));
static ALBION_MOBILE: Network = network(
    64_622,
    "Albion Mobile",
    Mobile,
    &[&LONDON, &MANCHESTER],
    Wide(9),
);
static GREATER_CELL: Network = network(
    64_623,
    "Greater Cell",
    Mobile,
    &[&NEW_YORK, &BOSTON],
    Six(1),
);
static EMPIRE_WIRELESS: Network = network(
    64_624,
    "Empire Wireless",
    Mobile,
    &[&NEW_YORK, &ASHBURN],
    Wide(10),
);
static DECCAN_MOBILE: Network = network(
    64_625,
    "Deccan Mobile",
    Mobile,
    &[&BENGALURU, &CHENNAI],
    Six(2),
);

/// The offices, with the share of the staff that belongs to each.
pub(crate) static SITES: &[(&Site, u32)] = &[
    (
        &Site {
            office: &OFFICE_BERLIN,
            homes: &[&BERLIN, &BERLIN, &HAMBURG],
            providers: &[&SPREENETZ, &HANSEKABEL],
            carriers: &[&NORDFUNK, &ALPENFUNK],
        },
        40,
    ),
    (
        &Site {
            office: &OFFICE_LONDON,
            homes: &[&LONDON, &LONDON, &MANCHESTER],
            providers: &[&THAMES_FIBRE, &PENNINE_BROADBAND],
            carriers: &[&ALBION_MOBILE],
        },
        25,
    ),
    (
        &Site {
            office: &OFFICE_NEW_YORK,
            homes: &[&NEW_YORK, &NEW_YORK, &BOSTON],
            providers: &[&LIBERTY_CABLE, &BAY_STATE_FIBER],
            carriers: &[&GREATER_CELL, &EMPIRE_WIRELESS],
        },
        20,
    ),
    (
        &Site {
            office: &OFFICE_BENGALURU,
            homes: &[&BENGALURU, &BENGALURU, &CHENNAI],
            providers: &[&KAVERI_BROADBAND, &COROMANDEL_NET],
            carriers: &[&DECCAN_MOBILE],
        },
        15,
    ),
];

static SEINE_TELECOM: Network = network(64_640, "Seine Télécom", Residential, &[&PARIS], Wide(11));
static MESETA_FIBRA: Network = network(64_641, "Meseta Fibra", Residential, &[&MADRID], Wide(12));
static AMSTEL_NET: Network = network(64_642, "Amstel Net", Residential, &[&AMSTERDAM], Wide(13));
static MALAREN_BREDBAND: Network = network(
    64_643,
    "Mälaren Bredband",
    Residential,
    &[&STOCKHOLM],
    Wide(14),
);
static WISLA_NET: Network = network(64_644, "Wisła Net", Residential, &[&WARSAW], Wide(15));
static ONTARIO_CABLE: Network =
    network(64_645, "Ontario Cable", Residential, &[&TORONTO], Wide(16));
static MERLION_BROADBAND: Network = network(
    64_646,
    "Merlion Broadband",
    Residential,
    &[&SINGAPORE],
    Wide(17),
);
static KANTO_HIKARI: Network = network(64_647, "Kanto Hikari", Residential, &[&TOKYO], Wide(18));
static DAMBOVITA_NET: Network = network(
    64_660,
    "Dâmbovița Net",
    Residential,
    &[&BUCHAREST],
    Wide(19),
);
static LAGOON_BROADBAND: Network =
    network(64_661, "Lagoon Broadband", Residential, &[&LAGOS], Wide(20));
static RED_RIVER_NET: Network = network(64_662, "Red River Net", Residential, &[&HANOI], Wide(21));
static PAULISTA_FIBRA: Network = network(
    64_663,
    "Paulista Fibra",
    Residential,
    &[&SAO_PAULO],
    Wide(22),
);
static CILIWUNG_NET: Network = network(64_664, "Ciliwung Net", Residential, &[&JAKARTA], Wide(23));

/// Networks of hotels and hosts where business trips lead.
pub(crate) static GUEST_NETWORKS: &[&Network] = &[
    &SPREENETZ,
    &THAMES_FIBRE,
    &LIBERTY_CABLE,
    &KAVERI_BROADBAND,
    &SEINE_TELECOM,
    &MESETA_FIBRA,
    &AMSTEL_NET,
    &MALAREN_BREDBAND,
    &WISLA_NET,
    &ONTARIO_CABLE,
    &MERLION_BROADBAND,
    &KANTO_HIKARI,
];

/// Homes far from every office, out of which rented machines and stolen passwords are used.
pub(crate) static FAR_HOMES: &[&Network] = &[
    &DAMBOVITA_NET,
    &LAGOON_BROADBAND,
    &RED_RIVER_NET,
    &PAULISTA_FIBRA,
    &CILIWUNG_NET,
];

/// What a residential proxy service offers: machines in homes everywhere.
pub(crate) static PROXY_HOMES: &[&Network] = &[
    &DAMBOVITA_NET,
    &LAGOON_BROADBAND,
    &RED_RIVER_NET,
    &PAULISTA_FIBRA,
    &CILIWUNG_NET,
    &SPREENETZ,
    &THAMES_FIBRE,
    &LIBERTY_CABLE,
    &SEINE_TELECOM,
    &WISLA_NET,
    &ONTARIO_CABLE,
];

static POLDER_HOSTING: Network =
    network(64_680, "Polder Hosting", Hosting, &[&AMSTERDAM], Wide(24));
static MAIN_SERVERS: Network = network(64_681, "Main Servers", Hosting, &[&FRANKFURT], Wide(25));
static POTOMAC_CLOUD: Network = network(64_682, "Potomac Cloud", Hosting, &[&ASHBURN], Wide(26));
static STRAITS_CLOUD: Network = network(64_683, "Straits Cloud", Hosting, &[&SINGAPORE], Wide(27));
static CARPATHIAN_VPS: Network =
    network(64_684, "Carpathian VPS", Hosting, &[&BUCHAREST], Wide(28));

/// Rented servers.
pub(crate) static HOSTERS: &[&Network] = &[
    &POLDER_HOSTING,
    &MAIN_SERVERS,
    &POTOMAC_CLOUD,
    &STRAITS_CLOUD,
    &CARPATHIAN_VPS,
];

/// A rented server in the country of `city`, where there is one.
pub(crate) fn hoster_near(city: &City) -> &'static Network {
    match city.country {
        "DE" => &MAIN_SERVERS,
        "US" => &POTOMAC_CLOUD,
        "IN" => &STRAITS_CLOUD,
        _ => &POLDER_HOSTING,
    }
}

static HARBOUR_VPN: Network = network(
    64_700,
    "Harbour VPN",
    Vpn,
    &[&AMSTERDAM, &FRANKFURT, &LONDON, &NEW_YORK, &SINGAPORE],
    Wide(29),
);
static LANTERN_VPN: Network = network(
    64_701,
    "Lantern VPN",
    Vpn,
    &[&STOCKHOLM, &PARIS, &TORONTO, &BERLIN],
    Wide(30),
);

/// Commercial VPN services with exits in many cities.
pub(crate) static VPNS: &[&Network] = &[&HARBOUR_VPN, &LANTERN_VPN];

static MASK_PROXY: Network = network(
    64_702,
    "Mask Proxy",
    Proxy,
    &[&BUCHAREST, &AMSTERDAM],
    Wide(31),
);
static ONION_EXITS: Network = network(
    64_703,
    "Onion Exits",
    Tor,
    &[&STOCKHOLM, &BUCHAREST, &AMSTERDAM],
    Wide(32),
);

/// What hides where one is.
pub(crate) static HIDEOUTS: &[&Network] = &[&MASK_PROXY, &ONION_EXITS];

static VEIL_RELAY: Network = network(
    64_704,
    "Veil Relay",
    Relay,
    &[&BERLIN, &LONDON, &NEW_YORK, &BENGALURU],
    Six(3),
);

/// A phone maker's privacy relay; its exits keep the user's region.
pub(crate) static RELAY: &Network = &VEIL_RELAY;

//! What people work with: applications with their sensitivity and volumes, and the roles that use them. Knows no one.

/// An application behind the proxy.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) name: &'static str,
    /// 0–4, as the enforcement point classes it.
    pub(crate) sensitivity: u8,
    /// *Units*: bytes of an answer.
    pub(crate) bytes_median: u32,
    /// How many resources it has.
    pub(crate) resources: u32,
    /// What a resource is called in its path.
    pub(crate) noun: &'static str,
}

const fn app(
    name: &'static str,
    sensitivity: u8,
    bytes_median: u32,
    resources: u32,
    noun: &'static str,
) -> App {
    App {
        name,
        sensitivity,
        bytes_median,
        resources,
        noun,
    }
}

static MAIL: App = app("mail", 1, 90_000, 40_000, "messages");
static CALENDAR: App = app("calendar", 0, 20_000, 5_000, "events");
static CHAT: App = app("chat", 1, 35_000, 900, "channels");
static WIKI: App = app("wiki", 1, 120_000, 6_000, "pages");
static CODE: App = app("code", 3, 400_000, 700, "repositories");
static BUILDS: App = app("builds", 2, 250_000, 9_000, "runs");
static CRM: App = app("crm", 2, 110_000, 12_000, "accounts");
static TICKETS: App = app("tickets", 1, 60_000, 30_000, "tickets");
static REPORTS: App = app("reports", 2, 700_000, 800, "dashboards");
static LEDGER: App = app("ledger", 3, 150_000, 15_000, "postings");
static PAYROLL: App = app("payroll", 4, 90_000, 2_500, "statements");
static PEOPLE: App = app("people", 3, 70_000, 2_500, "files");
static VAULT: App = app("vault", 4, 8_000, 600, "secrets");
pub(crate) static DRIVE: App = app("drive", 2, 1_500_000, 50_000, "documents");
static WAREHOUSE: App = app("warehouse", 1, 25_000, 20_000, "orders");

/// What somebody does, and how much of each application it takes.
#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) apps: &'static [(&'static App, u32)],
    /// Works at shared terminals of the site and has no laptop.
    pub(crate) station: Station,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Station {
    OwnLaptop,
    SharedKiosk,
}

const fn desk(apps: &'static [(&'static App, u32)]) -> Role {
    Role {
        apps,
        station: Station::OwnLaptop,
    }
}

static ENGINEER: Role = desk(&[
    (&CODE, 35),
    (&BUILDS, 20),
    (&CHAT, 15),
    (&MAIL, 10),
    (&WIKI, 10),
    (&TICKETS, 8),
    (&VAULT, 2),
]);
static SELLER: Role = desk(&[
    (&CRM, 45),
    (&MAIL, 20),
    (&CHAT, 10),
    (&CALENDAR, 10),
    (&DRIVE, 10),
    (&REPORTS, 5),
]);
static ACCOUNTANT: Role = desk(&[
    (&LEDGER, 45),
    (&MAIL, 20),
    (&PAYROLL, 10),
    (&REPORTS, 10),
    (&DRIVE, 10),
    (&CHAT, 5),
]);
static RECRUITER: Role = desk(&[
    (&PEOPLE, 40),
    (&MAIL, 25),
    (&CALENDAR, 15),
    (&DRIVE, 10),
    (&PAYROLL, 5),
    (&CHAT, 5),
]);
static SUPPORTER: Role = desk(&[
    (&TICKETS, 50),
    (&CRM, 20),
    (&CHAT, 15),
    (&WIKI, 10),
    (&MAIL, 5),
]);
static MANAGER: Role = desk(&[
    (&REPORTS, 30),
    (&MAIL, 30),
    (&CALENDAR, 20),
    (&DRIVE, 15),
    (&PEOPLE, 5),
]);
static FLOOR: Role = Role {
    apps: &[(&WAREHOUSE, 85), (&CHAT, 10), (&CALENDAR, 5)],
    station: Station::SharedKiosk,
};

/// The roles with their shares of the staff.
pub(crate) static ROLES: &[(&Role, u32)] = &[
    (&ENGINEER, 34),
    (&SELLER, 18),
    (&ACCOUNTANT, 10),
    (&RECRUITER, 6),
    (&SUPPORTER, 16),
    (&MANAGER, 10),
    (&FLOOR, 6),
];

/// Where a thief looks first.
pub(crate) static TREASURES: &[(&App, u32)] = &[
    (&MAIL, 30),
    (&DRIVE, 30),
    (&VAULT, 12),
    (&PAYROLL, 10),
    (&CODE, 10),
    (&PEOPLE, 8),
];

/// What can be carried away by the gigabyte.
pub(crate) static STORES: &[(&App, u32)] = &[(&DRIVE, 60), (&CODE, 20), (&CRM, 20)];

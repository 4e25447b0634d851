//! What people and attackers hold in their hands: models of devices with their browsers, user agents and TLS
//! fingerprints. Knows nobody who holds one.

use crate::draw::Draw;
use crate::moment::Moment;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Laptop,
    Desktop,
    Phone,
    Tablet,
    Kiosk,
    /// A program, not a person: no browser in front of it.
    Script,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Browser {
    Chrome,
    Edge,
    Firefox,
    Safari,
    Tool,
}

/// A model of device with the browser used on it.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) kind: Kind,
    pub(crate) browser: Browser,
    /// The operating system's name and version, as device management reports them.
    pub(crate) os: &'static str,
    pub(crate) os_version: &'static str,
    /// What the user agent says between the first brackets.
    platform: &'static str,
    /// The fingerprint of this TLS stack.
    pub(crate) ja4: &'static str,
}

macro_rules! model {
    ($kind:ident, $browser:ident, $os:literal, $version:literal, $platform:literal, $ja4:literal) => {
        Model {
            kind: Kind::$kind,
            browser: Browser::$browser,
            os: $os,
            os_version: $version,
            platform: $platform,
            ja4: $ja4,
        }
    };
}

#[rustfmt::skip]
static WINDOWS_CHROME: Model = model!(Laptop, Chrome, "Windows", "11.24H2", "Windows NT 10.0; Win64; x64", "t13d1516h2_8daaf6152771_02713d6af862");
#[rustfmt::skip]
static WINDOWS_EDGE: Model = model!(Laptop, Edge, "Windows", "11.24H2", "Windows NT 10.0; Win64; x64", "t13d1516h2_8daaf6152771_d8a2da3f94cd");
#[rustfmt::skip]
static MAC_CHROME: Model = model!(Laptop, Chrome, "macOS", "26.1", "Macintosh; Intel Mac OS X 10_15_7", "t13d1516h2_8daaf6152771_e5627efa2ab1");
#[rustfmt::skip]
static MAC_SAFARI: Model = model!(Laptop, Safari, "macOS", "26.1", "Macintosh; Intel Mac OS X 10_15_7", "t13d2014h2_a09f3c656075_14788d8d241b");
#[rustfmt::skip]
static MAC_FIREFOX: Model = model!(Laptop, Firefox, "macOS", "26.1", "Macintosh; Intel Mac OS X 10.15", "t13d1715h2_5b57614c22b0_3d5424432f57");
#[rustfmt::skip]
static LINUX_FIREFOX: Model = model!(Laptop, Firefox, "Linux", "6.12", "X11; Linux x86_64", "t13d1715h2_5b57614c22b0_5c2c66f702b0");
#[rustfmt::skip]
static LINUX_CHROME: Model = model!(Laptop, Chrome, "Linux", "6.12", "X11; Linux x86_64", "t13d1517h2_8daaf6152771_b0da82dd1658");
#[rustfmt::skip]
static HOME_DESKTOP: Model = model!(Desktop, Firefox, "Windows", "11.23H2", "Windows NT 10.0; Win64; x64", "t13d1715h2_5b57614c22b0_7121afd63204");
#[rustfmt::skip]
static IPHONE: Model = model!(Phone, Safari, "iOS", "26.1", "iPhone; CPU iPhone OS 18_7 like Mac OS X", "t13d2014h2_a09f3c656075_7f0f34a4126d");
#[rustfmt::skip]
static ANDROID: Model = model!(Phone, Chrome, "Android", "16", "Linux; Android 10; K", "t13d1516h2_8daaf6152771_9b887d9acb53");
#[rustfmt::skip]
static IPAD: Model = model!(Tablet, Safari, "iPadOS", "26.1", "iPad; CPU OS 18_7 like Mac OS X", "t13d2014h2_a09f3c656075_e42f34c56612");
#[rustfmt::skip]
static KIOSK: Model = model!(Kiosk, Edge, "Windows", "10.22H2", "Windows NT 10.0; Win64; x64", "t13d1516h2_8daaf6152771_f91b0a6c1de9");
#[rustfmt::skip]
static SCRIPT: Model = model!(Script, Tool, "Linux", "5.15", "", "t13d1812h1_85036bcba153_b26ce05bbdd6");

/// Laptops the organisation hands out, with their shares.
pub(crate) static LAPTOPS: &[(&Model, u32)] = &[
    (&WINDOWS_CHROME, 30),
    (&WINDOWS_EDGE, 25),
    (&MAC_CHROME, 20),
    (&MAC_SAFARI, 10),
    (&MAC_FIREFOX, 5),
    (&LINUX_FIREFOX, 5),
    (&LINUX_CHROME, 5),
];

pub(crate) static PHONES: &[(&Model, u32)] = &[(&IPHONE, 55), (&ANDROID, 45)];

/// Third devices: somebody's own, at home.
pub(crate) static EXTRAS: &[(&Model, u32)] = &[(&IPAD, 60), (&HOME_DESKTOP, 40)];

pub(crate) static SHARED: &Model = &KIOSK;

/// What attackers sit at.
pub(crate) static ATTACKERS: &[&Model] = &[&LINUX_FIREFOX, &LINUX_CHROME, &HOME_DESKTOP, &ANDROID];

/// What tries passwords by the thousand.
pub(crate) static ROBOT: &Model = &SCRIPT;

/// A device, or what stands for one: a model, its name in device management, and the version its browser is at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gadget {
    pub(crate) model: &'static Model,
    /// `None` where nothing on it tells a device id.
    pub(crate) device: Option<u64>,
    pub(crate) browser_major: u16,
}

impl Gadget {
    /// A model without a device id, its browser a few days behind the newest.
    pub(crate) fn unnamed(model: &'static Model, at: Moment, draw: &mut Draw) -> Self {
        let lag_days = draw.between(0, 10);
        Self {
            model,
            device: None,
            browser_major: model.browser.major(at.day() - lag_days),
        }
    }

    pub(crate) fn user_agent(&self) -> String {
        let platform = self.model.platform;
        let major = self.browser_major;
        let blink = "AppleWebKit/537.36 (KHTML, like Gecko)";
        let mobile = if self.model.kind == Kind::Phone {
            " Mobile"
        } else {
            ""
        };
        match self.model.browser {
            Browser::Chrome => {
                format!(
                    "Mozilla/5.0 ({platform}) {blink} Chrome/{major}.0.0.0{mobile} Safari/537.36"
                )
            }
            Browser::Edge => format!(
                "Mozilla/5.0 ({platform}) {blink} Chrome/{major}.0.0.0 Safari/537.36 Edg/{major}.0.0.0"
            ),
            Browser::Firefox => {
                format!("Mozilla/5.0 ({platform}; rv:{major}.0) Gecko/20100101 Firefox/{major}.0")
            }
            Browser::Safari => format!(
                "Mozilla/5.0 ({platform}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{major}.0{} Safari/605.1.15",
                if matches!(self.model.kind, Kind::Phone | Kind::Tablet) {
                    " Mobile/15E148"
                } else {
                    ""
                }
            ),
            Browser::Tool => format!("python-requests/2.{major}.0"),
        }
    }
}

impl Browser {
    /// The major version that was newest on a day (days since 1970). Four-week trains; Safari by the year.
    pub(crate) fn major(self, day: i64) -> u16 {
        let (first, since, every) = match self {
            Self::Chrome | Self::Edge => (131, 20_039, 28),
            Self::Firefox => (132, 20_025, 28),
            Self::Safari => (26, 20_346, 365),
            Self::Tool => (32, 20_089, 180),
        };
        u16::try_from(first + (day - since).div_euclid(every))
            .unwrap_or(1)
            .max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_agents_name_browser_and_version_as_browsers_do() {
        let at = |model| {
            Gadget {
                model,
                device: None,
                browser_major: 150,
            }
            .user_agent()
        };
        assert_eq!(
            at(&WINDOWS_EDGE),
            format!(
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36 Edg/150.0.0.0"
            )
        );
        assert!(at(&ANDROID).ends_with("Chrome/150.0.0.0 Mobile Safari/537.36"));
        assert!(at(&LINUX_FIREFOX).contains("rv:150.0) Gecko/20100101 Firefox/150.0"));
        assert!(at(&IPHONE).contains("Version/150.0 Mobile/15E148 Safari/"));
    }

    #[test]
    fn browsers_grow_older_every_four_weeks() {
        assert_eq!(Browser::Chrome.major(20_039), 131);
        assert_eq!(Browser::Chrome.major(20_039 + 27), 131);
        assert_eq!(Browser::Chrome.major(20_039 + 28), 132);
        assert_eq!(Browser::Safari.major(0), 1);
    }
}

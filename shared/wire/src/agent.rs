//! Families of user agents: operating system, browser, major version. A table, first match wins; knows no risk.
//!
//! Only ever compared with what the same user showed before, so that a stable name matters more than a fine one.

use caerus_engine::signal::Agent;

/// *Units*: bytes of a header that are looked at; browsers' are below 300.
const HEADER_BYTES_MAX: usize = 1_024;
/// *Units*: bytes of a product's name that is taken from the header itself.
const PRODUCT_BYTES_MAX: usize = 32;

/// Marks of operating systems. Phones and tablets come before what they also claim to be.
const SYSTEMS: [(&str, &str); 14] = [
    ("Windows Phone", "Windows Phone"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("iPod", "iOS"),
    ("Android", "Android"),
    ("HarmonyOS", "HarmonyOS"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("Darwin", "Darwin"),
    ("FreeBSD", "FreeBSD"),
    ("OpenBSD", "OpenBSD"),
    ("Linux", "Linux"),
];

/// Marks of browsers, each before the version. Browsers that also name the one they derive from come before it.
const BROWSERS: [(&str, &str); 25] = [
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("Edg/", "Edge"),
    ("Edge/", "Edge"),
    ("OPR/", "Opera"),
    ("OPiOS/", "Opera"),
    ("Opera Mini/", "Opera"),
    ("Opera/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex"),
    ("Brave/", "Brave"),
    ("UCBrowser/", "UC Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Ddg/", "DuckDuckGo"),
    ("HeadlessChrome/", "Headless Chrome"),
    ("Electron/", "Electron"),
    ("CriOS/", "Chrome"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("Chromium/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("MSIE ", "Internet Explorer"),
    ("Trident/", "Internet Explorer"),
    // Safari's own version stands under this name; `Safari/` is its engine's.
    ("Version/", "Safari"),
];

/// Reads a `User-Agent` header; what is not recognised stays unknown.
pub fn parse(header: &str) -> Agent {
    let header = shortened(header.trim());
    let (browser, browser_major) = browser(header);
    let system = SYSTEMS.iter().find(|(mark, _)| header.contains(mark));
    Agent {
        os: system.map(|(_, name)| (*name).to_owned()),
        browser,
        browser_major,
    }
}

fn shortened(header: &str) -> &str {
    header
        .get(..header.floor_char_boundary(HEADER_BYTES_MAX))
        .unwrap_or(header)
}

fn browser(header: &str) -> (Option<String>, Option<u32>) {
    let marked = BROWSERS.iter().find_map(|(mark, name)| {
        let (_, version) = header.split_once(mark)?;
        Some((*name, version))
    });
    match marked {
        Some(("Internet Explorer", version)) => {
            // Trident counts differently; the browser's own version stands after `rv:`.
            let own = header.split_once("rv:").map_or(version, |(_, own)| own);
            (Some(String::from("Internet Explorer")), major(own))
        }
        Some((name, version)) => (Some(name.to_owned()), major(version)),
        None => product(header),
    }
}

/// Tools and libraries name themselves first, e.g. `curl/8.5.0`. Browsers begin with `Mozilla`, which says nothing.
fn product(header: &str) -> (Option<String>, Option<u32>) {
    let token = header.split([' ', '(']).next().unwrap_or_default();
    let (name, version) = token.split_once('/').unwrap_or((token, ""));
    let is_name = !name.is_empty()
        && name != "Mozilla"
        && name.len() <= PRODUCT_BYTES_MAX
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if is_name {
        (Some(name.to_owned()), major(version))
    } else {
        (None, None)
    }
}

fn major(version: &str) -> Option<u32> {
    let end = version
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(version.len());
    version.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn families_are_told_from_what_browsers_and_tools_send() {
        for (header, os, browser, major) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
                "Windows",
                "Chrome",
                141,
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.3537.71",
                "Windows",
                "Edge",
                141,
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
                "macOS",
                "Safari",
                26,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/141.0.7390.41 Mobile/15E148 Safari/604.1",
                "iOS",
                "Chrome",
                141,
            ),
            (
                "Mozilla/5.0 (Linux; Android 15; SM-S931B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
                "Android",
                "Samsung Internet",
                28,
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
                "Linux",
                "Firefox",
                144,
            ),
            (
                "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36",
                "ChromeOS",
                "Chrome",
                139,
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
                "Windows",
                "Internet Explorer",
                11,
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/141.0.0.0 Safari/537.36",
                "Linux",
                "Headless Chrome",
                141,
            ),
        ] {
            let expected = Agent {
                os: Some(os.to_owned()),
                browser: Some(browser.to_owned()),
                browser_major: Some(major),
            };
            assert_eq!(parse(header), expected, "{header}");
        }
        for (header, browser, major) in [
            ("curl/8.5.0", Some("curl"), Some(8)),
            ("python-requests/2.32.3", Some("python-requests"), Some(2)),
            ("Go-http-client/2.0", Some("Go-http-client"), Some(2)),
            ("kubectl", Some("kubectl"), None),
            ("Mozilla/5.0", None, None),
            ("", None, None),
            ("<script>alert(1)</script>", None, None),
        ] {
            let expected = Agent {
                os: None,
                browser: browser.map(str::to_owned),
                browser_major: major,
            };
            assert_eq!(parse(header), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_the_reader_fall_over(header: String, times in 1_usize..200) {
            let agent = parse(&format!("{header}Chrome/99999999999").repeat(times));
            prop_assert!(agent.browser.is_some_and(|browser| browser.len() <= PRODUCT_BYTES_MAX));
        }
    }
}

//! User agents as families: operating system, browser, major version. Knows no event; a text it cannot place is no error.

use caerus_engine::signal::Agent;

/// *Units*: characters of a family read off a product token.
const FAMILY_CHARS_MAX: usize = 64;

/// First match wins: what imitates another stands before it.
const SYSTEMS: [(&str, &str); 12] = [
    ("Windows Phone", "Windows Phone"),
    ("Windows", "Windows"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("iPod", "iOS"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("Mac OS X", "macOS"),
    ("FreeBSD", "FreeBSD"),
    ("Linux", "Linux"),
    ("X11", "Linux"),
];

/// The product token that carries the version, and the family it stands for. Nearly all claim to be Chrome and Safari, so
/// those stand last.
const BROWSERS: [(&str, &str); 17] = [
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("Edg/", "Edge"),
    ("Edge/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Headless Chrome"),
    ("Chrome/", "Chrome"),
    ("Trident/", "Internet Explorer"),
    ("MSIE ", "Internet Explorer"),
];

/// Safari's own version stands behind another word.
const SAFARI: (&str, &str) = ("Safari/", "Version/");

pub(crate) fn families(user_agent: &str) -> Agent {
    let os = SYSTEMS
        .iter()
        .find(|(sign, _)| user_agent.contains(sign))
        .map(|(_, family)| (*family).to_owned());
    let (browser, browser_major) = browser(user_agent);
    Agent {
        os,
        browser,
        browser_major,
    }
}

fn browser(user_agent: &str) -> (Option<String>, Option<u32>) {
    for (sign, family) in BROWSERS {
        if let Some((_, version)) = user_agent.split_once(sign) {
            return (Some(family.to_owned()), major(version));
        }
    }
    let (sign, version) = SAFARI;
    if user_agent.contains(sign) {
        let version = user_agent.split_once(version);
        return (
            Some("Safari".to_owned()),
            version.and_then(|(_, text)| major(text)),
        );
    }
    product(user_agent)
}

/// What is no browser names itself first: `curl/8.4.0`, `python-requests/2.31`. A bare `Mozilla` says nothing.
fn product(user_agent: &str) -> (Option<String>, Option<u32>) {
    let token = user_agent.split_whitespace().next().unwrap_or_default();
    let (name, version) = token.split_once('/').unwrap_or((token, ""));
    if name.is_empty() || name == "Mozilla" {
        return (None, None);
    }
    let name = name.chars().take(FAMILY_CHARS_MAX).collect();
    (Some(name), major(version))
}

fn major(version: &str) -> Option<u32> {
    let end = version
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(version.len());
    version.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_read_off_what_browsers_send() {
        let table = [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
                "Windows Chrome 130",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.2849.56",
                "Windows Edge 130",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
                "macOS Safari 18",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/130.0.6723.90 Mobile/15E148 Safari/604.1",
                "iOS Chrome 130",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
                "Linux Firefox 132",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36",
                "Android Samsung Internet 26",
            ),
            ("curl/8.4.0", "- curl 8"),
            ("python-requests/2.31.0", "- python-requests 2"),
            ("Mozilla/5.0", "- - -"),
            ("", "- - -"),
            ("Firefox/99999999999999999999", "- Firefox -"),
            ("日本/五", "- 日本 -"),
        ];
        for (user_agent, expected) in table {
            let Agent {
                os,
                browser,
                browser_major,
            } = families(user_agent);
            let dash = || "-".to_owned();
            let found = format!(
                "{} {} {}",
                os.unwrap_or_else(dash),
                browser.unwrap_or_else(dash),
                browser_major.map_or_else(dash, |major| major.to_string())
            );
            assert_eq!(found, expected, "{user_agent}");
        }
    }
}

//! What the proxy says about the request it asks for: which headers are believed, and how a path is read. Knows no
//! identity and no decision.
//!
//! Only the headers of the configured family are read. Its headers given twice, or another family's that would name
//! the request differently, are refused: a client could have sent them, and the proxy merely passed them on.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use serde::Deserialize;

use crate::limit;

/// The proxy in front. It fixes which forwarding headers are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyKind {
    /// `auth_request`: `X-Original-URI` (or, by ingress-nginx, `X-Original-URL`), `X-Original-Host`, `X-Real-IP`.
    #[default]
    Nginx,
    /// `forward_auth`: `X-Forwarded-Uri`, `X-Forwarded-Host`, `X-Forwarded-For`.
    Caddy,
    /// `ForwardAuth`: as Caddy.
    Traefik,
    /// With the headers set as for Caddy.
    Haproxy,
}

impl ProxyKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "caddy",
            Self::Traefik => "traefik",
            Self::Haproxy => "haproxy",
        }
    }

    fn family(self) -> &'static Family {
        match self {
            Self::Nginx => &ORIGINAL,
            Self::Caddy | Self::Traefik | Self::Haproxy => &FORWARDED,
        }
    }
}

struct Family {
    /// Any of them names the path; more than one is refused.
    paths: &'static [&'static str],
    host: &'static str,
    address: &'static str,
    /// Read by nobody here, but refused when doubled.
    method: &'static str,
    /// Headers by which other proxies, or frameworks behind them, name the request.
    foreign: &'static [&'static str],
}

const X_ORIGINAL_URI: &str = "x-original-uri";
const X_ORIGINAL_URL: &str = "x-original-url";
const X_ORIGINAL_METHOD: &str = "x-original-method";
const X_ORIGINAL_HOST: &str = "x-original-host";
const X_REAL_IP: &str = "x-real-ip";
const X_FORWARDED_URI: &str = "x-forwarded-uri";
const X_FORWARDED_METHOD: &str = "x-forwarded-method";
const X_FORWARDED_HOST: &str = "x-forwarded-host";
const X_FORWARDED_FOR: &str = "x-forwarded-for";
const X_ENVOY_ORIGINAL_PATH: &str = "x-envoy-original-path";
const X_ENVOY_ORIGINAL_METHOD: &str = "x-envoy-original-method";
const X_ENVOY_ORIGINAL_HOST: &str = "x-envoy-original-host";
const X_REWRITE_URL: &str = "x-rewrite-url";

static ORIGINAL: Family = Family {
    paths: &[X_ORIGINAL_URI, X_ORIGINAL_URL],
    host: X_ORIGINAL_HOST,
    address: X_REAL_IP,
    method: X_ORIGINAL_METHOD,
    foreign: &[
        X_FORWARDED_URI,
        X_FORWARDED_METHOD,
        X_ENVOY_ORIGINAL_PATH,
        X_ENVOY_ORIGINAL_METHOD,
        X_ENVOY_ORIGINAL_HOST,
        X_REWRITE_URL,
    ],
};

static FORWARDED: Family = Family {
    paths: &[X_FORWARDED_URI],
    host: X_FORWARDED_HOST,
    address: X_FORWARDED_FOR,
    method: X_FORWARDED_METHOD,
    foreign: &[
        X_ORIGINAL_URI,
        X_ORIGINAL_URL,
        X_ORIGINAL_METHOD,
        X_ORIGINAL_HOST,
        X_ENVOY_ORIGINAL_PATH,
        X_ENVOY_ORIGINAL_METHOD,
        X_ENVOY_ORIGINAL_HOST,
        X_REWRITE_URL,
    ],
};

/// The request that is asked about, as far as the proxy named it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    pub path: Option<Path>,
    /// Lower case, without port.
    pub host: Option<String>,
    pub address: Option<IpAddr>,
}

/// Why a request's forwarding headers are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    #[error("header `{header}` was given more than once")]
    Duplicate { header: &'static str },
    #[error("headers `{first}` and `{second}` both name the path")]
    TwoPaths {
        first: &'static str,
        second: &'static str,
    },
    #[error("header `{header}` belongs to another kind of proxy than the one configured")]
    Foreign { header: &'static str },
    #[error("header `{header}` cannot be read: {reason}")]
    Unreadable {
        header: &'static str,
        reason: &'static str,
    },
}

/// Reads the forwarding headers of the configured kind of proxy.
pub fn read(kind: ProxyKind, headers: &HeaderMap) -> Result<Forwarded, ForwardError> {
    let family = kind.family();
    if let Some(header) = family
        .foreign
        .iter()
        .find(|name| headers.contains_key(**name))
    {
        return Err(ForwardError::Foreign { header });
    }
    only(headers, family.method)?;
    let mut named: Option<(&'static str, &str)> = None;
    for &header in family.paths {
        let Some(text) = only(headers, header)? else {
            continue;
        };
        if let Some((first, _)) = named {
            return Err(ForwardError::TwoPaths {
                first,
                second: header,
            });
        }
        named = Some((header, text));
    }
    let path = match named {
        Some((header, text)) => {
            let path =
                Path::parse(text).map_err(|reason| ForwardError::Unreadable { header, reason })?;
            Some(path)
        }
        None => None,
    };
    // An address is only told onward with a report; one that cannot be read is left out.
    let address = headers
        .get_all(family.address)
        .iter()
        .next_back()
        .and_then(|value| value.to_str().ok())
        .and_then(|list| list.rsplit(',').next())
        .and_then(|text| text.trim().parse().ok());
    Ok(Forwarded {
        path,
        host: only(headers, family.host)?.map(host_of),
        address,
    })
}

/// The header's one value; an empty one counts as absent.
fn only<'a>(headers: &'a HeaderMap, header: &'static str) -> Result<Option<&'a str>, ForwardError> {
    let mut values = headers.get_all(header).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(ForwardError::Duplicate { header });
    }
    let text = text_of(value).ok_or(ForwardError::Unreadable {
        header,
        reason: "not UTF-8 text",
    })?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// A header's value as text; proxies pass UTF-8 on as it came.
pub(crate) fn text_of(value: &HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok().map(str::trim)
}

fn host_of(text: &str) -> String {
    let name = match text.rsplit_once(':') {
        // The colons inside an IPv6 literal are no port's.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => text,
    };
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// A request's path, in every way the upstream might read it.
///
/// Upstreams disagree about dot segments, encoded slashes, backslashes and path parameters. A route is only found when
/// all readings find the same one, so that no spelling of `/admin` is judged as something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    readings: Vec<String>,
}

impl Path {
    /// Reads a path, with or without query, or an absolute URL.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > limit::PATH_BYTES_MAX {
            return Err("longer than 8192 bytes");
        }
        let path = match text.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => match rest.find(['/', '?', '#']) {
                Some(start) => rest.get(start..).unwrap_or("/"),
                None => "/",
            },
            _ => text,
        };
        let path = path.split(['?', '#']).next().unwrap_or(path);
        let path = if path.is_empty() { "/" } else { path };
        if !path.starts_with('/') {
            return Err("a path begins with `/`");
        }
        let is_plain =
            !path.contains(['%', '\\', ';']) && !path.contains("//") && !path.contains("/.");
        if is_plain && !path.chars().any(char::is_control) {
            return Ok(Self {
                readings: vec![path.to_owned()],
            });
        }
        let bare = decode(path, Slashes::Kept)?;
        let full = decode(path, Slashes::Decoded)?;
        let without_parameters: Vec<&str> = full
            .split('/')
            .map(|segment| segment.split(';').next().unwrap_or(segment))
            .collect();
        let mut readings = vec![
            resolve(&bare, Dots::Kept),
            resolve(&bare, Dots::Resolved),
            resolve(&full, Dots::Resolved),
            resolve(&without_parameters.join("/"), Dots::Resolved),
        ];
        readings.sort();
        readings.dedup();
        Ok(Self { readings })
    }

    pub fn readings(&self) -> impl Iterator<Item = &str> {
        self.readings.iter().map(String::as_str)
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Slashes {
    Kept,
    Decoded,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dots {
    Kept,
    Resolved,
}

/// Percent-decodes once. With `Kept`, encoded slashes and backslashes stay encoded.
fn decode(path: &str, slashes: Slashes) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |digit: Option<u8>| {
            digit
                .and_then(|digit| char::from(digit).to_digit(16))
                .and_then(|digit| u8::try_from(digit).ok())
        };
        let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
            return Err("a `%` is followed by two hexadecimal digits");
        };
        let decoded = high * 16 + low;
        if slashes == Slashes::Kept && matches!(decoded, b'/' | b'\\') {
            bytes.extend_from_slice(if decoded == b'/' { b"%2f" } else { b"%5c" });
        } else {
            bytes.push(decoded);
        }
    }
    if slashes == Slashes::Decoded {
        for byte in &mut bytes {
            if *byte == b'\\' {
                *byte = b'/';
            }
        }
    }
    if bytes.iter().any(u8::is_ascii_control) {
        return Err("a path holds no control characters");
    }
    Ok(match String::from_utf8_lossy(&bytes) {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => text,
    })
}

/// Merges slashes and, where asked, takes dot segments away (RFC 3986, 5.2.4). Keeps a trailing slash.
fn resolve(path: &str, dots: Dots) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut is_directory = true;
    for segment in path.split('/') {
        is_directory = true;
        match segment {
            "" => {}
            "." if dots == Dots::Resolved => {}
            ".." if dots == Dots::Resolved => {
                kept.pop();
            }
            _ => {
                kept.push(segment);
                is_directory = false;
            }
        }
    }
    let mut resolved = String::with_capacity(path.len() + 1);
    for segment in &kept {
        resolved.push('/');
        resolved.push_str(segment);
    }
    if is_directory {
        resolved.push('/');
    }
    resolved
}

/// The peers that are believed, as networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers(Vec<Network>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    length: u32,
}

impl Peers {
    /// Reads addresses and CIDR networks, e.g. `10.0.0.7` and `fd00::/8`. *Errors*: the text that is neither.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        texts
            .into_iter()
            .map(|text| Network::parse(text).ok_or_else(|| text.to_owned()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub fn contains(&self, peer: IpAddr) -> bool {
        self.0
            .iter()
            .any(|network| network.contains(peer.to_canonical()))
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(length) => length.parse().ok().filter(|length| *length <= whole)?,
            None => whole,
        };
        Some(Self { address, length })
    }

    fn contains(self, peer: IpAddr) -> bool {
        match (self.address, peer) {
            (IpAddr::V4(own), IpAddr::V4(peer)) => {
                (own.to_bits() ^ peer.to_bits()).leading_zeros() >= self.length
            }
            (IpAddr::V6(own), IpAddr::V6(peer)) => {
                (own.to_bits() ^ peer.to_bits()).leading_zeros() >= self.length
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;

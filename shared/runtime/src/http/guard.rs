//! What every request passes: whose name it uses, where its page came from, and which headers the answer carries. Knows no route.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, UPGRADE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{Browsers, ServerSettings};
use crate::refusal::Refusal;

/// A rejection's sentence, as the framework words it, is never longer.
const SENTENCE_BYTES_MAX: usize = 4 * 1024;
const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Probes come by whatever address they know, and learn nothing but readiness.
const OPEN_TO_ANY_NAME: &str = "/health/";

/// Which names are ours. `None` guards nothing.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    names: Option<Arc<BTreeSet<String>>>,
    is_tls: bool,
}

impl Guard {
    pub(super) fn new(settings: &ServerSettings, local: SocketAddr) -> Self {
        let names = match &settings.browsers {
            Browsers::ProxiesOnly => None,
            Browsers::Guarded(configured) => {
                let own = local.ip().to_canonical().to_string();
                let loopback = LOOPBACK_NAMES.map(str::to_owned);
                let all = configured.iter().cloned().chain(loopback).chain([own]);
                Some(Arc::new(all.collect()))
            }
        };
        Self {
            names,
            is_tls: settings.tls.is_some(),
        }
    }

    fn check(&self, request: &Request) -> Result<(), Refusal> {
        let Some(names) = &self.names else {
            return Ok(());
        };
        if request.uri().path().starts_with(OPEN_TO_ANY_NAME) {
            return Ok(());
        }
        let host = host(request)?;
        if !names.contains(&host.name) {
            return Err(Refusal::new(
                StatusCode::MISDIRECTED_REQUEST,
                "unknown_host",
                "the request's host is not a name of this server",
            ));
        }
        let is_upgrade = request.headers().contains_key(UPGRADE);
        if is_upgrade || !request.method().is_safe() {
            same_origin(request.headers(), &host)?;
        }
        Ok(())
    }
}

pub(super) async fn keep(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let mut response = match guard.check(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    put_headers(response.headers_mut(), guard.is_tls);
    response
}

/// A name and, where given, a port.
#[derive(Debug, PartialEq, Eq)]
struct Authority {
    name: String,
    port: Option<u16>,
}

impl Authority {
    /// *Shape*: `name`, `name:port`, `[v6]`, `[v6]:port`.
    fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (name, rest) = rest.split_once(']')?;
                let port = match rest {
                    "" => None,
                    rest => Some(rest.strip_prefix(':')?),
                };
                (name, port)
            }
            None => match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let port = port.map(str::parse).transpose().ok()?;
        (!name.is_empty() && !name.contains(['/', '@'])).then_some(Self { name, port })
    }
}

/// One `Host`, or the target's own authority, which then counts alone. *Source*: RFC 9112, section 3.2.
fn host(request: &Request) -> Result<Authority, Refusal> {
    let unreadable = || Refusal::bad_request("the request has no readable host");
    if let Some(authority) = request.uri().authority() {
        return Authority::parse(authority.as_str()).ok_or_else(unreadable);
    }
    let mut all = request.headers().get_all(HOST).iter();
    let only = all.next().ok_or_else(unreadable)?;
    let text = only.to_str().ok().filter(|_| all.next().is_none());
    text.and_then(Authority::parse).ok_or_else(unreadable)
}

/// *Errors*: where an `Origin` is given and is not the host's; `null` and repeated ones are never.
fn same_origin(headers: &HeaderMap, host: &Authority) -> Result<(), Refusal> {
    let mut all = headers.get_all(ORIGIN).iter();
    let Some(only) = all.next() else {
        return Ok(());
    };
    let is_same = all.next().is_none() && only.to_str().is_ok_and(|text| is_origin_of(text, host));
    if is_same {
        Ok(())
    } else {
        Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "foreign_origin",
            "the request comes from a page of another origin",
        ))
    }
}

fn is_origin_of(origin: &str, host: &Authority) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    Authority::parse(authority).is_some_and(|origin| {
        origin.name == host.name && origin.port.unwrap_or(default) == host.port.unwrap_or(default)
    })
}

const HEADERS: [(HeaderName, &str); 5] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
];
const HSTS: &str = "max-age=31536000";

/// A route that sets one of these itself knows better.
fn put_headers(headers: &mut HeaderMap, is_tls: bool) {
    for (name, value) in HEADERS {
        let entry = headers.entry(name);
        entry.or_insert(HeaderValue::from_static(value));
    }
    if is_tls {
        let entry = headers.entry(STRICT_TRANSPORT_SECURITY);
        entry.or_insert(HeaderValue::from_static(HSTS));
    }
}

/// Makes problem documents of the framework's own refusals: plain sentences, and bare 404 and 405. What a handler
/// answered with a type of its own, or on purpose without a body, is left as it is.
pub(super) async fn explain(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let content_type = response.headers().get(CONTENT_TYPE);
    let is_plain = content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/plain"));
    let is_bare = content_type.is_none() && response.body().size_hint().exact() == Some(0);
    match status {
        StatusCode::NOT_FOUND if is_bare => {
            Refusal::not_found("there is nothing at this path").into_response()
        }
        StatusCode::METHOD_NOT_ALLOWED if is_bare => {
            let refusal = Refusal::method_not_allowed("this path does not take this method");
            let allowed = response.headers().get(ALLOW).cloned();
            match allowed {
                Some(allowed) => refusal.with_header(ALLOW, allowed).into_response(),
                None => refusal.into_response(),
            }
        }
        _ if is_plain => reworded(status, response).await,
        _ => response,
    }
}

async fn reworded(status: StatusCode, response: Response) -> Response {
    let code = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "media_type",
        StatusCode::UNPROCESSABLE_ENTITY => "unprocessable",
        _ if status.is_server_error() => "internal",
        _ => "bad_request",
    };
    let (parts, body) = response.into_parts();
    let sentence = to_bytes(body, SENTENCE_BYTES_MAX).await.unwrap_or_default();
    let sentence = String::from_utf8_lossy(&sentence);
    let mut refusal = Refusal::new(status, code, sentence.trim()).into_response();
    for (name, value) in &parts.headers {
        let entry = refusal.headers_mut().entry(name);
        if *name != http::header::CONTENT_LENGTH {
            entry.or_insert_with(|| value.clone());
        }
    }
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_name_and_a_port() {
        let read = |text| Authority::parse(text).map(|found| (found.name, found.port));
        let some = |name: &str, port| Some((name.to_owned(), port));
        assert_eq!(read("Caerus.Example."), some("caerus.example", None));
        assert_eq!(read("localhost:7400"), some("localhost", Some(7400)));
        assert_eq!(read("[::1]:7400"), some("::1", Some(7400)));
        assert_eq!(read("[::1]"), some("::1", None));
        for text in ["", ":80", "a:b", "a:99999", "[::1", "[::1]x", "u@a", "a/b"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn an_origin_is_the_same_by_name_and_port() {
        for (origin, host, is_same) in [
            ("http://localhost:7400", "localhost:7400", true),
            ("http://LOCALHOST:7400", "localhost:7400", true),
            ("https://caerus.example", "caerus.example", true),
            ("https://caerus.example", "caerus.example:443", true),
            ("https://caerus.example:443", "caerus.example", true),
            ("http://localhost:3000", "localhost:7400", false),
            ("http://localhost", "localhost:7400", false),
            ("https://evil.example", "caerus.example", false),
            ("null", "localhost:7400", false),
            ("file://localhost:7400", "localhost:7400", false),
            (
                "http://localhost:7400.evil.example",
                "localhost:7400",
                false,
            ),
        ] {
            let host = Authority::parse(host).unwrap();
            assert_eq!(is_origin_of(origin, &host), is_same, "{origin} at {host:?}");
        }
    }
}

//! The HTTP and TLS shell around every role's routes. Knows no route but `/metrics` and `/health/…`, and no service.

mod guard;
mod observe;
mod pages;
pub mod serve;
pub mod tls;
mod transport;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};

use crate::auth::{TokenTable, identify};
use crate::health::Health;
use crate::metric::Metrics;

pub use serve::{ServeError, Server};
pub use tls::TlsFiles;

/// Open connections, streams included.
pub const CONNECTIONS_MAX: usize = 4_096;
/// A body, unless a route allows more of its own.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// For a request's headers, a TLS handshake, and between requests of one connection.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// For what is under way when the shutdown begins.
pub const DRAIN: Duration = Duration::from_secs(10);

/// How a listener listens.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Port 0 takes any that is free.
    pub address: SocketAddr,
    pub tls: Option<TlsFiles>,
    pub browsers: Browsers,
    pub connections_max: usize,
    pub body_bytes_max: usize,
    pub header_timeout: Duration,
    pub drain: Duration,
}

impl ServerSettings {
    /// The defaults for an address, guarded against foreign pages by loopback's names.
    pub fn at(address: SocketAddr) -> Self {
        Self {
            address,
            tls: None,
            browsers: Browsers::Guarded(BTreeSet::new()),
            connections_max: CONNECTIONS_MAX,
            body_bytes_max: BODY_BYTES_MAX,
            header_timeout: HEADER_TIMEOUT,
            drain: DRAIN,
        }
    }
}

/// Whether pages from elsewhere, opened in a browser on this machine, are kept out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Browsers {
    /// `Host` must be one of these, a name of loopback, or the listener's own address; `Origin`, where present, must
    /// be the same on whatever changes state and on upgrades. *Shape*: lower-case names without port.
    Guarded(BTreeSet<String>),
    /// Every request is a proxy's, carrying its client's `Host` and `Origin`: nothing to compare with.
    ProxiesOnly,
}

/// What the shell itself answers from.
#[derive(Clone, Debug)]
pub struct Shell {
    pub metrics: Metrics,
    pub health: Health,
    /// `None` where the role knows no credentials; then `/metrics` is for loopback alone.
    pub tokens: Option<TokenTable>,
}

/// A listener that strangers could reach without being kept out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{address} is not loopback and has {}: configure it, or listen on 127.0.0.1",
    missing.name()
)]
pub struct Exposed {
    pub address: SocketAddr,
    pub missing: Missing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Tls,
    Authentication,
}

impl Missing {
    fn name(self) -> &'static str {
        match self {
            Self::Tls => "no TLS certificate and key",
            Self::Authentication => "no authentication",
        }
    }
}

/// The rule for every listener: loopback, or TLS and authentication.
pub fn demand_protection(
    address: SocketAddr,
    tls: Option<&TlsFiles>,
    tokens: Option<&TokenTable>,
) -> Result<(), Exposed> {
    let missing = match (tls, tokens) {
        _ if is_loopback(address.ip()) => return Ok(()),
        (Some(_), Some(_)) => return Ok(()),
        (None, _) => Missing::Tls,
        (Some(_), None) => Missing::Authentication,
    };
    Err(Exposed { address, missing })
}

/// An IPv4 loopback address written as IPv6 is one too.
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// The routes, dressed: problems for what is not found, identification, guards, limits, headers, metrics, spans, and
/// the pages of every role. `local` is where the listener came to listen.
pub fn dress(
    routes: Router,
    settings: &ServerSettings,
    shell: &Shell,
    local: SocketAddr,
) -> Router {
    let guard = guard::Guard::new(settings, local);
    let router = routes
        .merge(pages::routes(shell, local))
        .layer(DefaultBodyLimit::max(settings.body_bytes_max));
    let router = match &shell.tokens {
        Some(tokens) => identify(router, tokens.clone(), shell.metrics.clone()),
        None => router,
    };
    router
        .layer(from_fn(guard::explain))
        .layer(from_fn_with_state(guard, guard::keep))
        .layer(from_fn_with_state(shell.metrics.clone(), observe::observe))
}

#[cfg(test)]
mod tests;

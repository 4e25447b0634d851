//! Which rules hold for which path. Knows no identity and no decision.

use caerus_engine::decide::Requires;
use caerus_engine::id::{AppId, TenantId};
use caerus_engine::time::Span;
use serde::Deserialize;

use crate::forward::{Forwarded, Path};

/// What answers when the picture is older than the route bears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnStale {
    /// Judge by the old picture alone.
    Allow,
    /// Ask for a recent authentication, beside what the old picture says.
    StepUp,
    /// Refuse.
    #[default]
    Deny,
}

/// What answers a request that names nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnAnonymous {
    Allow,
    #[default]
    Deny,
}

/// The rules of one host and path prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Lower case; `None` holds for every host.
    pub host: Option<String>,
    /// A prefix as text: `/pay` holds for `/payroll` too.
    pub path: String,
    pub tenant: TenantId,
    pub app: Option<AppId>,
    pub sensitivity: u8,
    pub max_staleness: Span,
    pub on_stale: OnStale,
    /// What a step-up for staleness asks for.
    pub stale_requires: Requires,
    pub on_anonymous: OnAnonymous,
    /// `iat` stands in for an absent `auth_time`.
    pub is_iat_auth_time: bool,
}

/// All routes, and the one for what none of them names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    /// Those that name a host first, then the longest prefix first.
    routes: Vec<Route>,
    fallback: Route,
}

/// Why no route can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    #[error("the proxy does not name the path, and the routes depend on it")]
    NoPath,
    #[error("the proxy does not name the host, and the routes depend on it")]
    NoHost,
    #[error("the path can be read in several ways that lead to different routes")]
    Ambiguous,
}

impl Routes {
    pub fn new(mut routes: Vec<Route>, fallback: Route) -> Self {
        routes.sort_by_key(|route| (route.host.is_none(), std::cmp::Reverse(route.path.len())));
        Self { routes, fallback }
    }

    /// The route of the request: among those that name its host, else among the others, the longest prefix wins.
    pub fn find(&self, forwarded: &Forwarded) -> Result<&Route, RouteError> {
        let needs_host = self.routes.iter().any(|route| route.host.is_some());
        if needs_host && forwarded.host.is_none() {
            return Err(RouteError::NoHost);
        }
        match &forwarded.path {
            None if self.routes.is_empty() => Ok(&self.fallback),
            None => Err(RouteError::NoPath),
            Some(path) => self.of_path(forwarded.host.as_deref(), path),
        }
    }

    fn of_path(&self, host: Option<&str>, path: &Path) -> Result<&Route, RouteError> {
        let mut found: Option<&Route> = None;
        for reading in path.readings() {
            let route = self.of_reading(host, reading);
            if found.is_some_and(|found| !std::ptr::eq(found, route)) {
                return Err(RouteError::Ambiguous);
            }
            found = Some(route);
        }
        Ok(found.unwrap_or(&self.fallback))
    }

    fn of_reading(&self, host: Option<&str>, reading: &str) -> &Route {
        let is_hosts = |route: &&Route| {
            route
                .host
                .as_deref()
                .is_none_or(|wanted| host == Some(wanted))
        };
        self.routes
            .iter()
            .filter(is_hosts)
            .find(|route| reading.starts_with(&route.path))
            .unwrap_or(&self.fallback)
    }

    /// The route of an application, for those who name no path: the first that names it, else the one for the rest.
    pub fn of_app(&self, app: &AppId) -> &Route {
        self.routes
            .iter()
            .find(|route| route.app.as_ref() == Some(app))
            .unwrap_or(&self.fallback)
    }

    pub fn fallback(&self) -> &Route {
        &self.fallback
    }

    /// In the order in which they are looked at; the one for the rest comes last.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().chain(std::iter::once(&self.fallback))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn route(host: Option<&str>, path: &str) -> Route {
        Route {
            host: host.map(ToOwned::to_owned),
            path: path.to_owned(),
            tenant: TenantId::new("acme"),
            app: None,
            sensitivity: 0,
            max_staleness: Span::seconds(60),
            on_stale: OnStale::Deny,
            stale_requires: crate::sample::requires(&[], Some(300)),
            on_anonymous: OnAnonymous::Deny,
            is_iat_auth_time: false,
        }
    }

    fn forwarded(host: Option<&str>, path: Option<&str>) -> Forwarded {
        Forwarded {
            path: path.map(|path| Path::parse(path).unwrap()),
            host: host.map(ToOwned::to_owned),
            address: None,
        }
    }

    fn found(routes: &Routes, host: Option<&str>, path: Option<&str>) -> String {
        match routes.find(&forwarded(host, path)) {
            Ok(route) => format!("{}{}", route.host.as_deref().unwrap_or("*"), route.path),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_longest_prefix_wins_within_the_host_that_is_named() {
        let routes = Routes::new(
            vec![
                route(None, "/a"),
                route(None, "/admin/keys"),
                route(Some("pay.example"), "/"),
                route(Some("pay.example"), "/admin"),
                route(None, "/admin"),
            ],
            route(None, "/"),
        );
        let cases = [
            ("x", "/admin/keys/1", "*/admin/keys"),
            ("x", "/administrators", "*/admin"),
            ("x", "/about", "*/a"),
            ("x", "/z", "*/"),
            ("pay.example", "/admin/keys", "pay.example/admin"),
            ("pay.example", "/z", "pay.example/"),
        ];
        for (host, path, expected) in cases {
            assert_eq!(found(&routes, Some(host), Some(path)), expected);
        }
    }

    #[test]
    fn a_path_that_could_be_two_routes_is_none() {
        let routes = Routes::new(vec![route(None, "/admin")], route(None, "/"));
        let ambiguous = "the path can be read in several ways that lead to different routes";
        for (path, expected) in [
            ("/public/../admin", ambiguous),
            ("/admin/..;/x", ambiguous),
            ("/x%2f..%2fadmin", ambiguous),
            ("/%61dmin/%2e/x", "*/admin"),
            ("/x/../y", "*/"),
        ] {
            assert_eq!(found(&routes, None, Some(path)), expected, "{path}");
        }
    }

    #[test]
    fn what_routes_depend_on_must_be_named() {
        let only_one = Routes::new(Vec::new(), route(None, "/"));
        assert_eq!(found(&only_one, None, None), "*/");
        let by_path = Routes::new(vec![route(None, "/admin")], route(None, "/"));
        assert_eq!(found(&by_path, None, None), RouteError::NoPath.to_string());
        let by_host = Routes::new(vec![route(Some("a"), "/")], route(None, "/"));
        assert_eq!(
            found(&by_host, None, Some("/")),
            RouteError::NoHost.to_string()
        );
    }
}

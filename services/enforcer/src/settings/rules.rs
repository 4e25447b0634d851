//! The part of the configuration that says who is asking and what holds where. Knows no file and no socket.

use std::time::Duration;

use caerus_engine::decide::Requires;
use caerus_engine::id::{AcrValue, AppId, TenantId};
use caerus_engine::number::quantise;
use caerus_engine::time::Span;
use caerus_runtime::config::{Merged, Problem};
use http::HeaderName;
use jsonwebtoken::Algorithm;

use super::Tokens;
use crate::identity::{CookieRule, HeaderNames, SessionForm};
use crate::keys::KeySource;
use crate::net::{Address, Scheme};
use crate::route::{OnAnonymous, OnStale, Route, Routes};
use crate::token::{ClaimNames, TokenRules};

/// Headers that every client sends or the answer depends on: none of them can be the proxy's word.
const CLIENTS_OWN: [&str; 4] = ["authorization", "cookie", "host", "origin"];

pub(super) fn headers(merged: &Merged) -> Result<HeaderNames, Problem> {
    let header = |key: &str| {
        let Some(text) = merged.text_if_any(key) else {
            return Ok(None);
        };
        let name: HeaderName = text
            .parse()
            .map_err(|_malformed| merged.problem(key, "is no name of a header"))?;
        if CLIENTS_OWN.contains(&name.as_str()) {
            return Err(merged.problem(key, "is a header of the client's own"));
        }
        Ok(Some(name))
    };
    Ok(HeaderNames {
        user: header("identity.user_header")?,
        session: header("identity.session_header")?,
        device: header("identity.device_header")?,
        workload: header("identity.workload_header")?,
        tenant: header("identity.tenant_header")?,
    })
}

pub(super) fn cookie(merged: &Merged) -> Result<Option<CookieRule>, Problem> {
    let key = "identity.session_cookie";
    let Some(name) = merged.text_if_any(key) else {
        return Ok(None);
    };
    if name.contains(|one: char| one.is_control() || " =;,\"".contains(one)) {
        return Err(merged.problem(key, "is no name of a cookie"));
    }
    let form = match merged.text("identity.session_form")? {
        "sha256_hex" => SessionForm::Sha256Hex,
        "sha256_base64url" => SessionForm::Sha256Base64url,
        _ => SessionForm::Plain,
    };
    Ok(Some(CookieRule {
        name: name.to_owned(),
        form,
    }))
}

pub(super) fn tokens(merged: &Merged) -> Result<Tokens, Problem> {
    let rules = token_rules(merged)?;
    let url = merged.text_if_any("jwt.jwks_url");
    let file = merged.path_if_any("jwt.jwks_file");
    let is_unverified = merged.flag("unverified_jwt")?;
    let source = match (url, file) {
        (None, None) if is_unverified => return Ok(Tokens::Unverified(rules)),
        (None, None) => return Ok(Tokens::Ignored),
        _ if is_unverified => {
            return Err(merged.problem(
                "unverified_jwt",
                "is true, and there are keys to verify by: take one of them out",
            ));
        }
        (Some(_), Some(_)) => {
            return Err(merged.problem("jwt.jwks_file", "is given beside `jwt.jwks_url`"));
        }
        (None, Some(file)) => KeySource::File(file),
        (Some(url), None) => {
            Address::parse(url, Scheme::Http).map_err(|error| {
                merged.problem("jwt.jwks_url", format!("does not fit: {error}"))
            })?;
            KeySource::Url(url.to_owned())
        }
    };
    Ok(Tokens::Verified {
        rules,
        source,
        refresh_every: Duration::from_secs(merged.integer("jwt.refresh_s")?),
    })
}

fn token_rules(merged: &Merged) -> Result<TokenRules, Problem> {
    const KNOWN: [(&str, Algorithm); 4] = [
        ("RS256", Algorithm::RS256),
        ("PS256", Algorithm::PS256),
        ("ES256", Algorithm::ES256),
        ("EdDSA", Algorithm::EdDSA),
    ];
    let mut algorithms = Vec::new();
    for text in merged.texts("jwt.algorithms")? {
        let known = KNOWN.iter().find(|(name, _)| name == text);
        let (_, algorithm) = known.ok_or_else(|| {
            merged.problem(
                "jwt.algorithms",
                format!("holds `{text}`: expected some of RS256, PS256, ES256, EdDSA"),
            )
        })?;
        algorithms.push(*algorithm);
    }
    if algorithms.is_empty() {
        return Err(merged.problem("jwt.algorithms", "must not be empty"));
    }
    let claim = |key: &str| merged.text(key).map(ToOwned::to_owned);
    Ok(TokenRules {
        algorithms,
        issuers: merged.texts("jwt.issuers")?.iter().cloned().collect(),
        audiences: merged.texts("jwt.audiences")?.iter().cloned().collect(),
        leeway: Span::seconds(merged.integer("jwt.leeway_s")?),
        claims: ClaimNames {
            user: claim("jwt.user_claim")?,
            session: claim("jwt.session_claim")?,
            device: claim("jwt.device_claim")?,
            workload: claim("jwt.workload_claim")?,
            tenant: claim("jwt.tenant_claim")?,
            acr: claim("jwt.acr_claim")?,
            amr: claim("jwt.amr_claim")?,
            auth_time: claim("jwt.auth_time_claim")?,
            acrs: claim("jwt.acrs_claim")?,
            xms_cc: claim("jwt.capabilities_claim")?,
        },
    })
}

pub(super) fn routes(merged: &Merged) -> Result<Routes, Problem> {
    let fallback = fallback(merged)?;
    let mut routes: Vec<Route> = Vec::new();
    for row in 0..merged.rows("route") {
        let route = one_route(merged, row, &fallback)?;
        let is_twin = |other: &Route| other.host == route.host && other.path == route.path;
        if routes.iter().any(is_twin) {
            let key = format!("route[{row}].path");
            return Err(merged.problem(&key, "is given twice for one host"));
        }
        routes.push(route);
    }
    Ok(Routes::new(routes, fallback))
}

fn fallback(merged: &Merged) -> Result<Route, Problem> {
    let tenant = merged.text_if_any("tenant");
    let tenant = tenant.ok_or_else(|| merged.problem("tenant", "must not be empty"))?;
    Ok(Route {
        host: None,
        path: "/".to_owned(),
        tenant: TenantId::new(tenant),
        app: merged.text_if_any("defaults.app").map(AppId::new),
        sensitivity: merged.integer("defaults.sensitivity")?,
        max_staleness: seconds(merged.number("defaults.max_staleness")?),
        on_stale: on_stale(merged.text("defaults.on_stale")?),
        stale_requires: Requires {
            acr_values: merged
                .texts("defaults.stale_acr_values")?
                .iter()
                .map(|class| AcrValue::new(class.as_str()))
                .collect(),
            max_age_s: Some(merged.integer("defaults.stale_max_age_s")?),
        },
        on_anonymous: on_anonymous(merged.text("defaults.on_anonymous")?),
        is_iat_auth_time: merged.flag("defaults.iat_is_auth_time")?,
    })
}

/// What a row does not say is as in `defaults`: there are no values of the wrong kind here, only absent ones.
fn one_route(merged: &Merged, row: usize, fallback: &Route) -> Result<Route, Problem> {
    let key = |name: &str| format!("route[{row}].{name}");
    let path = merged.text_if_any(&key("path")).unwrap_or("/");
    if !path.starts_with('/') {
        return Err(merged.problem(&key("path"), "must begin with `/`"));
    }
    if path.contains(['?', '#', '%']) {
        return Err(merged.problem(
            &key("path"),
            "must be a plain path: paths are decoded before they are compared",
        ));
    }
    let mut route = fallback.clone();
    path.clone_into(&mut route.path);
    route.host = merged
        .text_if_any(&key("host"))
        .map(str::to_ascii_lowercase);
    if let Some(tenant) = merged.text_if_any(&key("tenant")) {
        route.tenant = TenantId::new(tenant);
    }
    if let Some(app) = merged.text_if_any(&key("app")) {
        route.app = Some(AppId::new(app));
    }
    if let Ok(sensitivity) = merged.integer(&key("sensitivity")) {
        route.sensitivity = sensitivity;
    }
    if let Ok(number) = merged.number(&key("max_staleness")) {
        route.max_staleness = seconds(number);
    }
    if let Ok(text) = merged.text(&key("on_stale")) {
        route.on_stale = on_stale(text);
    }
    if let Ok(classes) = merged.texts(&key("stale_acr_values")) {
        route.stale_requires.acr_values = classes
            .iter()
            .map(|class| AcrValue::new(class.as_str()))
            .collect();
    }
    if let Ok(age) = merged.integer(&key("stale_max_age_s")) {
        route.stale_requires.max_age_s = Some(age);
    }
    if let Ok(text) = merged.text(&key("on_anonymous")) {
        route.on_anonymous = on_anonymous(text);
    }
    if let Ok(flag) = merged.flag(&key("iat_is_auth_time")) {
        route.is_iat_auth_time = flag;
    }
    Ok(route)
}

fn seconds(number: f64) -> Span {
    Span::millis(quantise(number * 1_000.0))
}

fn on_stale(text: &str) -> OnStale {
    match text {
        "allow" => OnStale::Allow,
        "step_up" => OnStale::StepUp,
        _ => OnStale::Deny,
    }
}

fn on_anonymous(text: &str) -> OnAnonymous {
    match text {
        "allow" => OnAnonymous::Allow,
        _ => OnAnonymous::Deny,
    }
}

//! The enforcer's configuration as types: checked once, no strings to interpret afterwards. Knows no socket.

mod fields;
mod rules;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use caerus_engine::id::AcrValue;
use caerus_runtime::config::{ConfigError, Layout, LogFormat, Merged, Problem, Sources, Telemetry};
use caerus_runtime::http::{Browsers, ServerSettings, TlsFiles, is_loopback};
use caerus_wire::stream::{CLIENT_CHARS_MAX, Filter};

use crate::answer::MicrosoftRules;
use crate::forward::{Peers, ProxyKind};
use crate::identity::{CookieRule, HeaderNames};
use crate::judge::Classes;
use crate::keys::KeySource;
use crate::net::{Address, Scheme};
use crate::route::Routes;
use crate::token::TokenRules;

/// The enforcer's configuration as data: every key, and its default.
pub const LAYOUT: Layout = Layout {
    program: "caerus-enforcer",
    prefix: "CAERUS_ENFORCER__",
    fields: fields::FIELDS,
    defaults: include_str!("settings/default.toml"),
};

/// All of it.
#[derive(Clone, Debug)]
pub struct Settings {
    pub url: String,
    pub stream: Address,
    pub events: Address,
    pub token_file: PathBuf,
    pub ca_file: Option<PathBuf>,
    /// `None` for the host's name.
    pub client: Option<String>,
    pub filter: Filter,
    pub reports: bool,
    pub state_dir: Option<PathBuf>,
    pub listen: Listen,
    pub proxy: ProxyKind,
    pub trusted: Peers,
    pub headers: HeaderNames,
    pub cookie: Option<CookieRule>,
    pub tokens: Tokens,
    pub classes: Classes,
    pub microsoft: MicrosoftRules,
    pub routes: Routes,
    pub telemetry: Telemetry,
}

#[derive(Clone, Debug)]
pub struct Listen {
    pub address: SocketAddr,
    pub tls: Option<TlsFiles>,
    pub operator_token_file: Option<PathBuf>,
    pub connections_max: usize,
}

/// What bearer tokens are.
#[derive(Clone, Debug)]
pub enum Tokens {
    Ignored,
    Unverified(TokenRules),
    Verified {
        rules: TokenRules,
        source: KeySource,
        refresh_every: Duration,
    },
}

impl Listen {
    pub fn server_settings(&self) -> ServerSettings {
        ServerSettings {
            tls: self.tls.clone(),
            // Proxies ask with their clients' `Host` and `Origin`; pages on this host learn nothing from a refusal.
            browsers: Browsers::ProxiesOnly,
            connections_max: self.connections_max,
            ..ServerSettings::at(self.address)
        }
    }
}

impl Settings {
    /// All layers, checked. *Errors*: what is wrong; the program then exits with 78.
    pub fn load(sources: &Sources<'_>) -> Result<Self, ConfigError> {
        Self::from_merged(&LAYOUT.load(sources)?)
    }

    /// False when every request would count as anonymous.
    pub fn knows_identities(&self) -> bool {
        let headers = &self.headers;
        let is_named =
            headers.user.is_some() || headers.session.is_some() || headers.workload.is_some();
        is_named || self.cookie.is_some() || !matches!(self.tokens, Tokens::Ignored)
    }

    /// What is wrong with a file's text; nothing when it would do.
    pub fn check(text: &str, path: &Path) -> Vec<Problem> {
        let checked = LAYOUT.check(text, path);
        match checked.and_then(|merged| Self::from_merged(&merged)) {
            Ok(_) => Vec::new(),
            Err(error) => error.problems().to_vec(),
        }
    }

    pub fn from_merged(merged: &Merged) -> Result<Self, ConfigError> {
        read(merged).map_err(|problem| ConfigError::Wrong {
            problems: vec![problem],
        })
    }
}

fn read(merged: &Merged) -> Result<Settings, Problem> {
    let url = merged.text("url")?.trim_end_matches('/').to_owned();
    let (stream, events) = addresses(merged, &url)?;
    let token_file = merged.path_if_any("token_file");
    Ok(Settings {
        url,
        stream,
        events,
        token_file: token_file.ok_or_else(|| merged.problem("token_file", "must not be empty"))?,
        ca_file: merged.path_if_any("ca_file"),
        client: client(merged)?,
        filter: Filter {
            tenants: merged.texts("filter_tenants")?.iter().cloned().collect(),
            apps: merged.texts("filter_apps")?.iter().cloned().collect(),
        },
        reports: merged.flag("report_met_step_ups")?,
        state_dir: merged.path_if_any("state_dir"),
        listen: listen(merged)?,
        proxy: proxy(merged)?,
        trusted: trusted(merged)?,
        headers: rules::headers(merged)?,
        cookie: rules::cookie(merged)?,
        tokens: rules::tokens(merged)?,
        classes: classes(merged)?,
        microsoft: microsoft(merged)?,
        routes: rules::routes(merged)?,
        telemetry: Telemetry {
            log_format: match merged.text("telemetry.log_format")? {
                "json" => LogFormat::Json,
                _ => LogFormat::Text,
            },
            otlp: None,
        },
    })
}

fn addresses(merged: &Merged, url: &str) -> Result<(Address, Address), Problem> {
    let wrong =
        |error: crate::net::NetError| merged.problem("url", format!("does not fit: {error}"));
    let events = Address::parse(&format!("{url}/v1/events"), Scheme::Http).map_err(wrong)?;
    // `http` becomes `ws`, and `https` `wss`.
    let socket_url = url.replacen("http", "ws", 1);
    let stream =
        Address::parse(&format!("{socket_url}/v1/stream"), Scheme::WebSocket).map_err(wrong)?;
    Ok((stream, events))
}

fn client(merged: &Merged) -> Result<Option<String>, Problem> {
    let Some(client) = merged.text_if_any("client") else {
        return Ok(None);
    };
    if client.chars().count() > CLIENT_CHARS_MAX || client.chars().any(char::is_control) {
        let message = format!(
            "must be at most {CLIENT_CHARS_MAX} characters, none of them a control character"
        );
        return Err(merged.problem("client", message));
    }
    Ok(Some(client.to_owned()))
}

fn listen(merged: &Merged) -> Result<Listen, Problem> {
    let address = merged.address("listen")?;
    let certificate = merged.path_if_any("tls_certificate");
    let key = merged.path_if_any("tls_key");
    let tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        (None, None) => None,
        (Some(_), None) => {
            return Err(merged.problem("tls_certificate", "is given, and `tls_key` is not"));
        }
        (None, Some(_)) => {
            return Err(merged.problem("tls_key", "is given, and `tls_certificate` is not"));
        }
    };
    let operator_token_file = merged.path_if_any("operator_token_file");
    if !is_loopback(address.ip()) {
        if tls.is_none() {
            return Err(merged.problem(
                "listen",
                "is not loopback, and there is no TLS: set `tls_certificate` and `tls_key`, or listen on 127.0.0.1",
            ));
        }
        if operator_token_file.is_none() {
            return Err(merged.problem(
                "listen",
                "is not loopback, and nothing guards `/status`, `/metrics` and AuthZEN: set `operator_token_file`, or listen on 127.0.0.1",
            ));
        }
    }
    Ok(Listen {
        address,
        tls,
        operator_token_file,
        connections_max: merged.integer("connections_max")?,
    })
}

fn proxy(merged: &Merged) -> Result<ProxyKind, Problem> {
    Ok(match merged.text("proxy")? {
        "caddy" => ProxyKind::Caddy,
        "traefik" => ProxyKind::Traefik,
        "haproxy" => ProxyKind::Haproxy,
        _ => ProxyKind::Nginx,
    })
}

fn trusted(merged: &Merged) -> Result<Peers, Problem> {
    let texts = merged.texts("trusted_proxies")?;
    if texts.is_empty() {
        return Err(merged.problem("trusted_proxies", "must not be empty: nobody could ask"));
    }
    Peers::parse(texts.iter().map(String::as_str)).map_err(|text| {
        merged.problem(
            "trusted_proxies",
            format!(
                "holds `{text}`: expected an address or a network, e.g. 10.0.0.7 or 10.0.0.0/8"
            ),
        )
    })
}

fn classes(merged: &Merged) -> Result<Classes, Problem> {
    let mut classes = Classes::new();
    for row in 0..merged.rows("class") {
        let key = |name: &str| format!("class[{row}].{name}");
        let methods: BTreeSet<String> = merged.texts(&key("amr"))?.iter().cloned().collect();
        if methods.is_empty() {
            return Err(merged.problem(&key("amr"), "must not be empty: everybody would reach it"));
        }
        classes
            .entry(AcrValue::new(merged.text(&key("acr"))?))
            .or_default()
            .push(methods);
    }
    Ok(classes)
}

fn microsoft(merged: &Merged) -> Result<MicrosoftRules, Problem> {
    let mut rules = MicrosoftRules {
        authorization_uri: merged
            .text_if_any("microsoft.authorization_uri")
            .map(ToOwned::to_owned),
        ..MicrosoftRules::default()
    };
    for row in 0..merged.rows("context") {
        let key = |name: &str| format!("context[{row}].{name}");
        let value = merged.text(&key("value"))?.to_owned();
        let class = AcrValue::new(merged.text(&key("acr"))?);
        if rules.contexts.insert(class, value).is_some() {
            return Err(merged.problem(&key("acr"), "is given twice"));
        }
    }
    Ok(rules)
}

#[cfg(test)]
mod tests;

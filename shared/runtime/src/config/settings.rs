//! The server's configuration as types: checked once, no strings to interpret afterwards. Knows no service.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use caerus_engine::id::{DeviceId, SubjectKey, TenantId, UserId, WorkloadId};
use caerus_engine::score::Model;
use caerus_engine::score::model::{Costs, Criticality};
use caerus_engine::time::Span;

use super::LAYOUT;
use super::layers::{Merged, Sources};
use super::problem::{ConfigError, Problem};
use super::servers::Servers;
use crate::http::{self, Browsers, ServerSettings, TlsFiles};
use crate::secret::Secret;

const DEFAULT_TENANT: &str = "default";

/// All of it.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: Listen,
    pub data: Data,
    /// Of the log, where this start creates it.
    pub partitions: u32,
    pub servers: Servers,
    /// `None` for the default set.
    pub policies_dir: Option<PathBuf>,
    pub geo: Geo,
    pub model: Model,
    /// *Units*: bytes, over all partitions.
    pub cache_bytes_max: usize,
    pub stream: Stream,
    pub telemetry: Telemetry,
}

#[derive(Clone, Debug)]
pub struct Listen {
    pub address: SocketAddr,
    pub hosts: BTreeSet<String>,
    pub tls: Option<TlsFiles>,
    pub connections_max: usize,
    pub drain: Duration,
}

#[derive(Clone, Debug)]
pub struct Data {
    pub dir: PathBuf,
    pub log_kept: Span,
    pub dead_letters_kept: Span,
    pub dead_letters_bytes_max: u64,
}

/// In the order in which they are asked.
#[derive(Clone, Debug)]
pub struct Geo {
    pub databases: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug)]
pub struct Stream {
    pub heartbeat: Duration,
    pub max_unacked: u16,
    pub acknowledge: Duration,
    pub queued_bytes_max: usize,
    pub subscribers_max: usize,
}

#[derive(Clone, Debug)]
pub struct Telemetry {
    pub log_format: LogFormat,
    /// `None` where spans go nowhere.
    pub otlp: Option<Otlp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Where spans go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    pub endpoint: String,
    pub authorization: Option<Secret>,
}

impl Settings {
    /// All layers, checked. *Errors*: everything that is wrong, at once; the program then exits with 78.
    pub fn load(sources: &Sources<'_>) -> Result<Self, ConfigError> {
        Self::from_merged(&LAYOUT.load(sources)?)
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
        let parts = (
            listen(merged),
            model(merged),
            telemetry(merged),
            rest(merged),
        );
        match parts {
            (Ok(listen), Ok(model), Ok(telemetry), Ok(rest)) => Ok(Self {
                listen,
                model,
                telemetry,
                data: rest.data,
                partitions: rest.partitions,
                servers: rest.servers,
                policies_dir: rest.policies_dir,
                geo: rest.geo,
                cache_bytes_max: rest.cache_bytes_max,
                stream: rest.stream,
            }),
            (listen, model, telemetry, rest) => {
                let problems = [listen.err(), model.err(), telemetry.err(), rest.err()];
                Err(ConfigError::Wrong {
                    problems: problems.into_iter().flatten().collect(),
                })
            }
        }
    }
}

impl Listen {
    /// For [`http::Server::bind`].
    pub fn server_settings(&self) -> ServerSettings {
        ServerSettings {
            tls: self.tls.clone(),
            browsers: Browsers::Guarded(self.hosts.clone()),
            connections_max: self.connections_max,
            drain: self.drain,
            ..ServerSettings::at(self.address)
        }
    }
}

fn listen(merged: &Merged) -> Result<Listen, Problem> {
    let address = merged.address("listen.address")?;
    let tls = tls_files(merged, "listen.tls_certificate", "listen.tls_key")?;
    if tls.is_none() && !http::is_loopback(address.ip()) {
        return Err(merged.problem(
            "listen.address",
            "is not loopback, and there is no TLS: set `listen.tls_certificate` and `listen.tls_key`, or listen on 127.0.0.1",
        ));
    }
    let hosts = merged.texts("listen.hosts")?;
    let is_name = |host: &String| !host.is_empty() && !host.contains([':', '/', ' ']);
    if let Some(wrong) = hosts.iter().find(|host| !is_name(host)) {
        let message = format!("holds `{wrong}`: expected a name without scheme or port");
        return Err(merged.problem("listen.hosts", message));
    }
    Ok(Listen {
        address,
        hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        tls,
        connections_max: merged.integer("listen.connections_max")?,
        drain: Duration::from_secs(merged.integer("listen.drain_s")?),
    })
}

/// Both files or neither. For any program whose layout has two such keys.
pub fn tls_files(
    merged: &Merged,
    certificate: &str,
    key: &str,
) -> Result<Option<TlsFiles>, Problem> {
    let files = (merged.path_if_any(certificate), merged.path_if_any(key));
    match files {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(merged.problem(certificate, format!("is given, and `{key}` is not")))
        }
        (None, Some(_)) => {
            Err(merged.problem(key, format!("is given, and `{certificate}` is not")))
        }
    }
}

fn model(merged: &Merged) -> Result<Model, Problem> {
    let costs = Costs {
        step_up: merged.number("model.step_up_cost")?,
        wrongful_revoke: merged.number("model.wrongful_revoke_cost")?,
        missed_takeover: merged.number("model.missed_takeover_cost")?,
    };
    let mut model = Model::from_costs(costs).map_err(|error| {
        merged.problem(
            "model.missed_takeover_cost",
            format!("does not fit: {error}"),
        )
    })?;
    model.criticality = criticality(merged)?;
    Ok(model)
}

fn criticality(merged: &Merged) -> Result<BTreeMap<SubjectKey, Criticality>, Problem> {
    let mut found = BTreeMap::new();
    for row in 0..merged.rows("criticality") {
        let key = |name: &str| format!("criticality[{row}].{name}");
        let tenant = merged.text_if_any(&key("tenant")).unwrap_or(DEFAULT_TENANT);
        let tenant = TenantId::new(tenant);
        let name = merged.text(&key("name"))?;
        let subject = match merged.text(&key("kind"))? {
            "user" => SubjectKey::User {
                tenant,
                user: UserId::new(name),
            },
            "device" => SubjectKey::Device {
                tenant,
                device: DeviceId::new(name),
            },
            _ => SubjectKey::Workload {
                tenant,
                workload: WorkloadId::new(name),
            },
        };
        let level = match merged.text(&key("level"))? {
            "low" => Criticality::Low,
            "normal" => Criticality::Normal,
            "high" => Criticality::High,
            "very_high" => Criticality::VeryHigh,
            _ => Criticality::Extreme,
        };
        if found.insert(subject, level).is_some() {
            return Err(merged.problem(&key("name"), "is given twice"));
        }
    }
    Ok(found)
}

fn telemetry(merged: &Merged) -> Result<Telemetry, Problem> {
    let endpoint = merged.text_if_any("telemetry.otlp_endpoint");
    if endpoint.is_some_and(|endpoint| !endpoint.starts_with("http://")) {
        return Err(merged.problem(
            "telemetry.otlp_endpoint",
            "must begin with `http://`: spans go to a collector nearby, which encrypts onward",
        ));
    }
    let authorization = merged.text_if_any("telemetry.otlp_authorization");
    Ok(Telemetry {
        log_format: match merged.text("telemetry.log_format")? {
            "json" => LogFormat::Json,
            _ => LogFormat::Text,
        },
        otlp: endpoint.map(|endpoint| Otlp {
            endpoint: endpoint.to_owned(),
            authorization: authorization.map(Secret::new),
        }),
    })
}

/// What needs no look at anything else.
struct Rest {
    data: Data,
    partitions: u32,
    servers: Servers,
    policies_dir: Option<PathBuf>,
    geo: Geo,
    cache_bytes_max: usize,
    stream: Stream,
}

fn rest(merged: &Merged) -> Result<Rest, Problem> {
    let dir = merged.path_if_any("data.dir");
    let databases = merged.texts("geo.databases")?;
    Ok(Rest {
        data: Data {
            dir: dir.ok_or_else(|| merged.problem("data.dir", "must not be empty"))?,
            log_kept: Span::days(merged.integer("data.log_days")?),
            dead_letters_kept: Span::days(merged.integer("data.dead_letters_days")?),
            dead_letters_bytes_max: merged.integer("data.dead_letters_bytes_max")?,
        },
        partitions: merged.integer("log.partitions")?,
        servers: Servers::from_merged(merged)?,
        policies_dir: merged.path_if_any("policies.dir"),
        geo: Geo {
            databases: databases.iter().map(PathBuf::from).collect(),
        },
        cache_bytes_max: merged.integer("evaluator.cache_bytes_max")?,
        stream: Stream {
            heartbeat: Duration::from_millis(merged.integer("stream.heartbeat_ms")?),
            max_unacked: merged.integer("stream.max_unacked")?,
            acknowledge: Duration::from_secs(merged.integer("stream.acknowledge_s")?),
            queued_bytes_max: merged.integer("stream.queued_bytes_max")?,
            subscribers_max: merged.integer("stream.subscribers_max")?,
        },
    })
}

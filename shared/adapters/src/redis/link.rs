//! The connections: to one server, to the master that sentinels name, to a cluster. Knows no keys.

use std::time::Duration;

use caerus_runtime::config::{Redis, RedisArrangement};
use caerus_runtime::port::PortErrorKind;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue,
    IntoConnectionInfo, Pipeline, RedisConnectionInfo, RedisError, TlsMode,
};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::fault::{Fault, is_spent};
use super::inspect::{self, Persistence};

/// How long one answer may take; a commit of the greatest size is well within it.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// How long one server may take to accept a connection.
const CONNECT_TIME: Duration = Duration::from_secs(2);
/// How long it may take to find the master, connect and ask it what it is.
const DIAL_TIME: Duration = Duration::from_secs(6);
/// The cluster client's own attempts, where slots move or a node is gone; whoever calls the port tries again anyway.
const CLUSTER_RETRIES: u32 = 3;
/// Connections to one server. A partition keeps to one of them; a large answer to one does not hold up all others.
const LINES: u32 = 4;

/// The way to the servers.
pub(super) enum Link {
    Lines(Vec<Line>),
    Cluster(ClusterConnection),
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Lines(_) => "Lines",
            Self::Cluster(_) => "Cluster",
        })
    }
}

impl Link {
    pub(super) async fn connect(settings: &Redis, addresses: &Addresses) -> Result<Self, Fault> {
        let dial = match &settings.arrangement {
            RedisArrangement::Cluster => return cluster(addresses).await.map(Self::Cluster),
            RedisArrangement::Single => Dial::single(addresses)?,
            RedisArrangement::Sentinel(name) => Dial::sentinel(addresses, name),
        };
        Ok(Self::Lines(
            (0..LINES).map(|_| Line::new(dial.clone())).collect(),
        ))
    }

    /// What the servers are. In a cluster it is asked each time: a replica may have become a master.
    pub(super) async fn inspect(&self) -> Result<Persistence, Fault> {
        match self {
            Self::Cluster(connection) => inspect::masters(&mut connection.clone()).await,
            Self::Lines(lines) => {
                // Each connection's server is asked when it is made.
                Ok(line(lines, 0)?.connection().await?.persistence)
            }
        }
    }

    /// One command about a partition.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        partition: u32,
        command: &Cmd,
    ) -> Result<T, Fault> {
        match self {
            Self::Cluster(connection) => Ok(command.query_async(&mut connection.clone()).await?),
            Self::Lines(lines) => {
                let line = line(lines, partition)?;
                let mut open = line.connection().await?;
                let answer = command.query_async(&mut open.connection).await;
                line.judged(open.serial, answer).await
            }
        }
    }

    /// Several commands about one partition, in one round trip.
    pub(super) async fn ask_all<T: FromRedisValue>(
        &self,
        partition: u32,
        commands: &Pipeline,
    ) -> Result<T, Fault> {
        match self {
            Self::Cluster(connection) => Ok(commands.query_async(&mut connection.clone()).await?),
            Self::Lines(lines) => {
                let line = line(lines, partition)?;
                let mut open = line.connection().await?;
                let answer = commands.query_async(&mut open.connection).await;
                line.judged(open.serial, answer).await
            }
        }
    }
}

fn line(lines: &[Line], partition: u32) -> Result<&Line, Fault> {
    let index = usize::try_from(partition % LINES).unwrap_or(0);
    let missing = || Fault::new(PortErrorKind::Unavailable, "there is no connection");
    lines.get(index).ok_or_else(missing)
}

async fn cluster(addresses: &Addresses) -> Result<ClusterConnection, Fault> {
    let client = ClusterClient::builder(addresses.nodes.clone())
        .connection_timeout(CONNECT_TIME)
        .response_timeout(ANSWER_TIME)
        .retries(CLUSTER_RETRIES)
        .build()?;
    let connect = client.get_async_connection();
    timeout(DIAL_TIME, connect)
        .await
        .map_err(out_of_time)?
        .map_err(Fault::from)
}

fn out_of_time(_: tokio::time::error::Elapsed) -> Fault {
    Fault::new(PortErrorKind::Unavailable, "redis does not answer in time")
}

/// One connection that many share, made anew when it is spent.
pub(super) struct Line {
    state: Mutex<LineState>,
}

struct LineState {
    dial: Dial,
    /// Of the last connection, so that late news of a former one do not close its successor.
    serial: u64,
    open: Option<Open>,
    /// The last attempt that failed: those who waited for it share its failure rather than wait for one of their own.
    failed: Option<(Instant, Fault)>,
}

#[derive(Clone)]
struct Open {
    serial: u64,
    connection: MultiplexedConnection,
    persistence: Persistence,
}

impl Line {
    fn new(dial: Dial) -> Self {
        Self {
            state: Mutex::new(LineState {
                dial,
                serial: 0,
                open: None,
                failed: None,
            }),
        }
    }

    async fn connection(&self) -> Result<Open, Fault> {
        let asked_at = Instant::now();
        let mut state = self.state.lock().await;
        if let Some(open) = &state.open {
            return Ok(open.clone());
        }
        if let Some((failed_at, fault)) = &state.failed
            && *failed_at >= asked_at
        {
            return Err(fault.clone());
        }
        let dialled = timeout(DIAL_TIME, state.dial.connect()).await;
        match dialled.map_err(out_of_time).flatten() {
            Ok((connection, persistence)) => {
                state.serial = state.serial.wrapping_add(1);
                let open = Open {
                    serial: state.serial,
                    connection,
                    persistence,
                };
                state.open = Some(open.clone());
                state.failed = None;
                Ok(open)
            }
            Err(fault) => {
                state.failed = Some((Instant::now(), fault.clone()));
                Err(fault)
            }
        }
    }

    /// Lets go of a connection that is of no more use.
    async fn judged<T>(&self, serial: u64, answer: Result<T, RedisError>) -> Result<T, Fault> {
        if let Err(error) = &answer
            && is_spent(error)
        {
            let mut state = self.state.lock().await;
            if state.serial == serial {
                state.open = None;
            }
        }
        answer.map_err(Fault::from)
    }
}

/// How the server is found, each time.
#[derive(Clone)]
enum Dial {
    Single(Client),
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        master: String,
        node: SentinelNodeConnectionInfo,
    },
}

impl Dial {
    fn single(addresses: &Addresses) -> Result<Self, Fault> {
        let [node] = addresses.nodes.as_slice() else {
            return Err(Fault::new(
                PortErrorKind::Refused,
                format!(
                    "{} addresses are given for a single server; several need the arrangement of a cluster or of sentinels",
                    addresses.nodes.len()
                ),
            ));
        };
        Ok(Self::Single(Client::open(node.clone())?))
    }

    /// User name, password, database and TLS of the first address are those of the master.
    fn sentinel(addresses: &Addresses, master: &str) -> Self {
        let mut node = SentinelNodeConnectionInfo::default();
        if let Some(first) = addresses.nodes.first() {
            node = node.set_redis_connection_info(first.redis_settings().clone());
            if matches!(first.addr(), ConnectionAddr::TcpTls { .. }) {
                node = node.set_tls_mode(TlsMode::Secure);
            }
        }
        Self::Sentinel {
            sentinels: addresses.nodes.clone(),
            master: master.to_owned(),
            node,
        }
    }

    /// A connection to a server that keeps what it is given.
    async fn connect(&self) -> Result<(MultiplexedConnection, Persistence), Fault> {
        let client = match self {
            Self::Single(client) => client.clone(),
            Self::Sentinel {
                sentinels,
                master,
                node,
            } => find_master(sentinels, master, node).await?,
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIME))
            .set_response_timeout(Some(ANSWER_TIME));
        let address = client.get_connection_info().addr();
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|error| match address {
                // A port without TLS waits for the end of what it takes for a command.
                ConnectionAddr::TcpTls { .. } if error.is_timeout() => Fault::new(
                    PortErrorKind::Unavailable,
                    "redis does not answer in time; does this port speak TLS",
                ),
                _ => Fault::from(error),
            })?;
        let address = address.to_string();
        let persistence = inspect::server(&mut connection, &address).await?;
        Ok((connection, persistence))
    }
}

/// Asks the sentinels with the password of their addresses and, where they have none of their own, without.
async fn find_master(
    sentinels: &[ConnectionInfo],
    master: &str,
    node: &SentinelNodeConnectionInfo,
) -> Result<Client, Fault> {
    let ask = async |with_password: bool| {
        let known = sentinels.iter().map(|sentinel| {
            let mut login = RedisConnectionInfo::default();
            if with_password {
                // A sentinel has no databases.
                login = sentinel.redis_settings().clone().set_db(0);
            }
            sentinel.clone().set_redis_settings(login)
        });
        let kind = SentinelServerType::Master;
        SentinelClient::build(known.collect(), master, Some(node.clone()), kind)?
            .async_get_client()
            .await
    };
    let has_password = sentinels
        .iter()
        .any(|sentinel| sentinel.redis_settings().password().is_some());
    let with_password = match ask(true).await {
        Err(error) if has_password => error,
        found => return Ok(found?),
    };
    // Sentinels without a password of their own take none; those with one are told a wrong one.
    match ask(false).await.map_err(Fault::from) {
        Err(fault) if fault.is_about_password() => Err(with_password.into()),
        found => found,
    }
}

/// Where the servers are, checked.
#[derive(Debug)]
pub(super) struct Addresses {
    nodes: Vec<ConnectionInfo>,
}

impl Addresses {
    pub(super) fn parse(settings: &Redis) -> Result<Self, Fault> {
        let mut nodes = Vec::new();
        for (place, url) in (1..).zip(&settings.urls) {
            let node = url.expose().into_connection_info();
            // What is wrong with it may be its password, so only its place is told.
            let node = node.map_err(|error| {
                let kind = error.kind();
                Fault::new(
                    PortErrorKind::Refused,
                    format!("address {place} is not `redis://host:port` or `rediss://host:port` ({kind:?})"),
                )
            })?;
            nodes.push(node);
        }
        if nodes.is_empty() {
            return Err(Fault::new(PortErrorKind::Refused, "no address is given"));
        }
        Ok(Self { nodes })
    }
}

/// Without user names and passwords.
impl std::fmt::Display for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, node) in self.nodes.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{}", node.addr())?;
        }
        Ok(())
    }
}

//! What a server is, asked before anything is entrusted to it. Knows no keys.

use std::collections::BTreeMap;

use caerus_runtime::port::PortErrorKind;
use redis::aio::ConnectionLike;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::{ErrorKind, RedisError, ServerErrorKind, Value};

use super::fault::Fault;

/// `XTRIM … MINID` is of 6.2.
const VERSION_MIN: (u32, u32) = (6, 2);
const POLICY: &str = "maxmemory_policy";
const KEEPING: &str = "noeviction";

/// What a restart of the server leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persistence {
    AppendOnlyFile,
    /// Snapshots at most: whatever followed the last is folded from the log again.
    Snapshots,
}

/// *Errors*: `Refused` for a server that would drop records, is too old, or is one node of a cluster.
pub(super) async fn server(
    connection: &mut impl ConnectionLike,
    address: &str,
) -> Result<Persistence, Fault> {
    redis::cmd("PING").query_async::<Value>(connection).await?;
    let mut told: String = match redis::cmd("INFO").query_async(connection).await {
        // Judged below by what is missing from it.
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => String::new(),
        other => other?,
    };
    if !told.contains(POLICY) {
        told.push_str(&configured_policy(connection).await);
    }
    let facts = Facts::of(&told);
    if facts.get("redis_mode") == Some("cluster") {
        return Err(refused(
            address,
            "is a node of a cluster: the arrangement has to say so",
        ));
    }
    facts.judged(address)
}

/// As a line of INFO; nothing where that may not be read either.
async fn configured_policy(connection: &mut impl ConnectionLike) -> String {
    let mut get = redis::cmd("CONFIG");
    get.arg("GET").arg("maxmemory-policy");
    match get.query_async::<Vec<String>>(connection).await.as_deref() {
        Ok([_, policy]) => format!("\r\n{POLICY}:{policy}\r\n"),
        _ => String::new(),
    }
}

/// As [`server`], of each master. *Returns*: the least of their persistence.
pub(super) async fn masters(connection: &mut ClusterConnection) -> Result<Persistence, Fault> {
    let every_master = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
    let told = connection
        .route_command(redis::cmd("INFO"), every_master)
        .await?;
    let Value::Map(told) = told else {
        return Err(Fault::undecodable("what masters say of themselves"));
    };
    let mut least = Persistence::AppendOnlyFile;
    for (address, text) in told {
        let address: String = redis::from_redis_value(address).map_err(RedisError::from)?;
        let text: String =
            redis::from_redis_value(text.extract_error()?).map_err(RedisError::from)?;
        if Facts::of(&text).judged(&address)? == Persistence::Snapshots {
            least = Persistence::Snapshots;
        }
    }
    Ok(least)
}

/// Lines of INFO.
struct Facts<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Facts<'a> {
    fn of(text: &'a str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        Self(lines.collect())
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied()
    }

    fn judged(&self, address: &str) -> Result<Persistence, Fault> {
        if let Some(version) = self.get("redis_version")
            && version_of(version).is_none_or(|version| version < VERSION_MIN)
        {
            let (major, minor) = VERSION_MIN;
            return Err(refused(
                address,
                &format!("is of version {version}: at least {major}.{minor} is needed"),
            ));
        }
        let Some(policy) = self.get(POLICY) else {
            return Err(refused(
                address,
                "does not say whether it would drop records: let the user run INFO",
            ));
        };
        // A server without a limit drops nothing, whatever its policy; one that does not tell its limit may have one.
        if policy != KEEPING && self.get("maxmemory") != Some("0") {
            return Err(refused(
                address,
                &format!("would drop records: maxmemory-policy is `{policy}`; set {KEEPING}"),
            ));
        }
        Ok(match self.get("aof_enabled") {
            Some("0") => Persistence::Snapshots,
            _ => Persistence::AppendOnlyFile,
        })
    }
}

fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

fn refused(address: &str, what: &str) -> Fault {
    Fault::new(PortErrorKind::Refused, format!("redis at {address} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(info: &str) -> Result<Persistence, String> {
        let judged = Facts::of(info).judged("10.0.0.1:6379");
        judged.map_err(|fault| fault.preventing("open").to_string())
    }

    #[test]
    fn a_server_that_would_drop_records_or_is_too_old_is_refused() {
        use Persistence::{AppendOnlyFile, Snapshots};
        let sound = "# Server\r\nredis_version:7.0.15\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n";
        assert_eq!(check(sound), Ok(AppendOnlyFile));
        assert_eq!(
            check(&sound.replace("enabled:1", "enabled:0")),
            Ok(Snapshots)
        );
        assert_eq!(
            check(&sound.replace("noeviction", "allkeys-lru")),
            Ok(AppendOnlyFile)
        );
        assert_eq!(check(&sound.replace("y:0", "y:100")), Ok(AppendOnlyFile));
        assert_eq!(check(&sound.replace("7.0.15", "6.2.0")), Ok(AppendOnlyFile));
        for (info, reason) in [
            (
                sound
                    .replace("y:0", "y:100")
                    .replace("noeviction", "allkeys-lru"),
                "redis at 10.0.0.1:6379 would drop records: maxmemory-policy is `allkeys-lru`; set noeviction",
            ),
            (
                "maxmemory_policy:volatile-ttl".to_owned(),
                "redis at 10.0.0.1:6379 would drop records: maxmemory-policy is `volatile-ttl`; set noeviction",
            ),
            (
                sound.replace("7.0.15", "6.0.16"),
                "redis at 10.0.0.1:6379 is of version 6.0.16: at least 6.2 is needed",
            ),
            (
                sound.replace("maxmemory_policy", "x"),
                "redis at 10.0.0.1:6379 does not say whether it would drop records: let the user run INFO",
            ),
        ] {
            assert_eq!(
                check(&info),
                Err(format!("could not open: {reason}: refused"))
            );
        }
    }
}

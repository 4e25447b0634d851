//! The roles apart, each a process of its own, against real Kafka, Redis and PostgreSQL: evaluators that die, leave or
//! lose their store hand over, and nothing is decided twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use caerus_runtime::clock::SystemClock;
use caerus_runtime::port::Clock as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::caerus::{Answer, Caerus, caerus_binary, http, send};
use crate::support::eventually;
use crate::support::program::{Program, free_port};

/// Kafka's session has to end first where an evaluator was killed.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(60);
/// Devices that report an alert in one go: enough for every partition to have some.
const DEVICES: usize = 24;

#[expect(
    clippy::disallowed_methods,
    reason = "where the servers are is told to tests by the environment"
)]
fn server(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: `make test` starts the servers and says so"))
}

/// A process that plays one role.
struct Part {
    program: Program,
    url: String,
}

/// An installation of its own on the shared servers.
struct House {
    dir: TempDir,
    config: PathBuf,
    prefix: String,
    http: reqwest::Client,
    lives: usize,
    told: usize,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemClock::new().now();
        let prefix = format!("apart_{}_{}", now.0, std::process::id());
        let database = format!(
            "{}?options=-c%20search_path%3D{prefix}",
            server("CAERUS_POSTGRES")
        );
        psql(&format!("CREATE SCHEMA {prefix}"));
        let text = format!(
            "[data]\ndir = \"{}\"\n[kafka]\nbrokers = [\"{}\"]\ntopic_prefix = \"{prefix}.\"\ngroup = \"{prefix}\"\n\
             [log]\npartitions = 4\n[redis]\nurls = [\"{}\"]\nprefix = \"{prefix}\"\n\
             [postgres]\nurl = '{database}'\nconnections_max = 4\n",
            dir.path().join("data").display(),
            server("CAERUS_KAFKA"),
            server("CAERUS_REDIS"),
        );
        let config = dir.path().join("caerus.toml");
        std::fs::write(&config, text).unwrap();
        Self {
            dir,
            config,
            prefix,
            http: http(),
            lives: 0,
            told: 0,
        }
    }

    /// Starts a role, and waits until it is ready.
    async fn start(&mut self, role: &str) -> Part {
        self.lives += 1;
        let port = free_port();
        let args = ["serve", "--roles", role, "--config"].map(str::to_owned);
        let mut args = args.to_vec();
        args.push(self.config.display().to_string());
        args.extend(["--listen".to_owned(), format!("127.0.0.1:{port}")]);
        let log = self.dir.path().join(format!("{role}-{}.log", self.lives));
        let program = Program::start(&caerus_binary(), &args, &[], log);
        let mut part = Part {
            program,
            url: format!("http://127.0.0.1:{port}"),
        };
        let began = Instant::now();
        loop {
            let ended = part.program.has_ended();
            assert!(ended.is_none(), "{role} ended: {}", part.program.said());
            let asked = self.http.get(format!("{}/health/ready", part.url));
            if let Ok(Answer { status: 200, .. }) = send(asked).await {
                return part;
            }
            assert!(began.elapsed() < TAKEN_OVER_WITHIN, "{role} is not ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn token(&self, name: &str) -> String {
        let path = self.dir.path().join(format!("data/{name}.token"));
        std::fs::read_to_string(path).unwrap().trim().to_owned()
    }

    /// Critical alerts on devices that nobody has heard of: each has to end in a revoke of its own.
    async fn alarm(&mut self, ingest: &Part) {
        let now = SystemClock::new().now();
        let events: Vec<Value> = (self.told..self.told + DEVICES)
            .map(|n| {
                json!({
                    "id": format!("e-{n}"), "type": "device_health", "device": format!("laptop-{n}"),
                    "time": now.0,
                    "posture": {"alerts": [{"severity": "critical", "name": "trojan"}]},
                })
            })
            .collect();
        let asked = self.http.post(format!("{}/v1/events", ingest.url));
        let asked = asked.bearer_auth(self.token("producer")).json(&events);
        let answer = send(asked).await.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.body);
        self.told += DEVICES;
    }

    /// Devices that a gateway has revoked, with the generation.
    async fn revoked(&self, gateway: &Part) -> BTreeMap<String, u64> {
        let asked = self
            .http
            .get(format!("{}/v1/decisions?active=true", gateway.url));
        let asked = asked.bearer_auth(self.token("enforcement-point"));
        let answer = send(asked).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let entries = answer.body["entries"].as_array().unwrap();
        let revokes = entries.iter().filter(|one| one["action"] == "revoke");
        revokes
            .map(|one| {
                let device = one["target"]["device"].as_str().unwrap().to_owned();
                (device, one["generation"].as_u64().unwrap())
            })
            .collect()
    }

    /// Waits until every device told of is out at every gateway, each by its first decision.
    async fn all_revoked(&self, gateways: [&Part; 2], what: &str) {
        let began = Instant::now();
        for gateway in gateways {
            loop {
                let revoked = self.revoked(gateway).await;
                if revoked.len() == self.told {
                    let again: Vec<_> = revoked.iter().filter(|(_, one)| **one != 1).collect();
                    assert!(again.is_empty(), "{what}: decided again: {again:?}");
                    break;
                }
                let (held, told) = (revoked.len(), self.told);
                assert!(
                    began.elapsed() < TAKEN_OVER_WITHIN,
                    "{what}: {held} of {told} are out"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        println!("{what}: all {} out after {:?}", self.told, began.elapsed());
    }

    /// How many decisions the ledger holds.
    fn recorded(&self) -> usize {
        let count = format!("SELECT count(*) FROM {}.decisions", self.prefix);
        psql(&count).trim().parse().unwrap()
    }

    /// Redis forgets everything of this installation.
    fn empty_the_store(&self) {
        let keys = redis_cli(&["--scan", "--pattern", &format!("{}*", self.prefix)]);
        let mut forget = vec!["unlink"];
        forget.extend(keys.lines());
        assert!(forget.len() > 1, "redis holds something");
        redis_cli(&forget);
    }
}

impl Drop for House {
    fn drop(&mut self) {
        psql(&format!("DROP SCHEMA {} CASCADE", self.prefix));
    }
}

fn run(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn psql(statement: &str) -> String {
    let database = server("CAERUS_POSTGRES");
    run(Path::new("psql"), &[&database, "-qAt", "-c", statement])
}

fn redis_cli(args: &[&str]) -> String {
    let url = server("CAERUS_REDIS");
    let mut all = vec!["-u", url.as_str()];
    all.extend(args);
    run(Path::new("redis-cli"), &all)
}

#[tokio::test]
async fn evaluators_that_die_leave_or_lose_their_store_hand_over() {
    let mut house = House::new();
    let console = house.start("console").await;
    let (first, mut second) = (
        house.start("evaluator").await,
        house.start("evaluator").await,
    );
    let (left, right) = (house.start("gateway").await, house.start("gateway").await);
    let ingest = house.start("ingest").await;
    let gateways = [&left, &right];

    house.alarm(&ingest).await;
    house.all_revoked(gateways, "two evaluators").await;

    let mut first = first;
    house.alarm(&ingest).await;
    first.program.kill();
    house.alarm(&ingest).await;
    house.all_revoked(gateways, "one of them killed").await;

    let third = house.start("evaluator").await;
    house.alarm(&ingest).await;
    second.program.signal("TERM");
    let (code, took) = second.program.ended();
    assert_eq!(code, 0, "{}", second.program.said());
    println!("an evaluator asked to end ended after {took:?}");
    house
        .all_revoked(gateways, "the other asked to leave")
        .await;

    house.empty_the_store();
    house.alarm(&ingest).await;
    house.all_revoked(gateways, "the store emptied").await;

    let began = Instant::now();
    while house.recorded() < house.told {
        assert!(
            began.elapsed() < TAKEN_OVER_WITHIN,
            "{}",
            console.program.said()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(house.recorded(), house.told, "each is decided once");
    drop(third);
}

#[tokio::test]
async fn one_process_can_be_pointed_at_any_of_the_servers() {
    let (kafka, redis) = (server("CAERUS_KAFKA"), server("CAERUS_REDIS"));
    let postgres = server("CAERUS_POSTGRES");
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "--kafka",
        kafka.as_str(),
        "--redis",
        redis.as_str(),
        "--postgres",
        postgres.as_str(),
    ];
    let caerus = Caerus::start(dir.path(), &args).await;
    let target = json!({"device": "laptop-1"});
    caerus.decide("revoke", &target).await;
    let decision = caerus.in_force("revoke", &target).await;
    let id = decision["id"].as_str().unwrap();
    let recorded = format!("SELECT count(*) FROM public.decisions WHERE id = '{id}'");
    eventually("the decision to be in PostgreSQL", || {
        let count = psql(&recorded);
        async move { (count.trim() == "1").then_some(()) }
    })
    .await;
    let keys = redis_cli(&["--scan", "--pattern", "caerus:{*}:m"]);
    assert!(!keys.trim().is_empty(), "records are in Redis");
    for embedded in ["log.db", "state.db", "ledger.db"] {
        assert!(!caerus.data.join(embedded).exists(), "{embedded}");
    }
}

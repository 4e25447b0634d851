//! What a person writes into a configuration, and what they are told.

use std::path::Path;

use super::*;

const FILE: &str = "caerus.toml";

fn load(text: &str, environment: &Environment, flags: &[Flag]) -> Result<Settings, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    std::fs::write(&path, text).unwrap();
    Settings::load(&Sources {
        file: Some(&path),
        environment,
        flags,
    })
}

fn told(text: &str) -> Vec<String> {
    let problems = Settings::check(text, Path::new(FILE));
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn the_defaults_load_and_every_key_has_one() {
    let merged = LAYOUT.check("", Path::new(FILE)).unwrap();
    let settings = Settings::from_merged(&merged).unwrap();
    assert_eq!(settings.listen.address.to_string(), "127.0.0.1:7400");
    assert_eq!(settings.partitions, 4);
    assert_eq!(settings.data.dir, Path::new("./caerus-data"));
    let given: Vec<String> = merged.shown().into_iter().map(|(key, ..)| key).collect();
    let mut keys: Vec<&str> = LAYOUT.fields.iter().map(|field| field.key).collect();
    keys.retain(|key| !key.contains("[]"));
    keys.sort_unstable();
    assert_eq!(given, keys);
}

#[test]
fn the_later_layer_wins() {
    let environment = Environment::from_pairs([
        ("CAERUS__STREAM__HEARTBEAT_MS", "250"),
        ("CAERUS__LISTEN__HOSTS", "caerus.example, Other.Example"),
        ("CAERUS_URL", "http://127.0.0.1:7400"),
    ]);
    let flag = Flag {
        name: "--data",
        key: "data.dir",
        value: "/srv/caerus".to_owned(),
    };
    let file = "[stream]\nheartbeat_ms = 500\nmax_unacked = 7\n[data]\ndir = \"/var/caerus\"\n";
    let settings = load(file, &environment, &[flag]).unwrap();
    assert_eq!(settings.stream.heartbeat.as_millis(), 250);
    assert_eq!(settings.stream.max_unacked, 7);
    assert_eq!(settings.data.dir, Path::new("/srv/caerus"));
    let hosts: Vec<&str> = settings.listen.hosts.iter().map(String::as_str).collect();
    assert_eq!(hosts, ["caerus.example", "other.example"]);
}

#[test]
fn what_is_wrong_is_told_with_place_key_and_expectation() {
    for (text, expected) in [
        (
            "[listen]\nadress = \"x\"",
            "caerus.toml:2:1: `listen.adress` is not a key; did you mean `listen.address`?",
        ),
        (
            "[pulsar]\nbrokers = []",
            "caerus.toml:1:2: `pulsar` is not a key",
        ),
        (
            "[log]\n  partitions = 0",
            "caerus.toml:2:3: `log.partitions` must be a whole number from 1 to 256",
        ),
        (
            "[log]\npartitions = \"4\"",
            "caerus.toml:2:1: `log.partitions` must be a whole number from 1 to 256",
        ),
        ("log = 4", "caerus.toml:1:1: `log` is not a key"),
        (
            "[listen]\naddress = \"localhost\"",
            "caerus.toml:2:1: `listen.address` must be an IP address and a port, e.g. 127.0.0.1:7400",
        ),
        (
            "[listen]\nhosts = [\"a\", 1]",
            "caerus.toml:2:1: `listen.hosts` must be a list of text",
        ),
        (
            "[listen]\nhosts = [\"http://a\"]",
            "caerus.toml:2:1: `listen.hosts` holds `http://a`: expected a name without scheme or port",
        ),
        (
            "[telemetry]\nlog_format = \"xml\"",
            "caerus.toml:2:1: `telemetry.log_format` must be one of text, json",
        ),
        (
            "[telemetry]\notlp_endpoint = \"collector:4318\"",
            "caerus.toml:2:1: `telemetry.otlp_endpoint` must begin with `http://`: spans go to a collector nearby, which \
             encrypts onward",
        ),
        (
            "[model]\nstep_up_cost = -1",
            "caerus.toml:2:1: `model.step_up_cost` must be a number above 0",
        ),
        (
            "[[criticality]]\nkind = \"user\"\nlevel = \"high\"",
            "caerus.toml:2:1: `criticality[0].name` is missing",
        ),
        (
            "criticality = [1]",
            "caerus.toml:1:16: `criticality[0]` must be a table",
        ),
        (
            "[listen]\ntls_key = \"k.pem\"",
            "caerus.toml:2:1: `listen.tls_key` is given, and `listen.tls_certificate` is not",
        ),
        (
            "[listen]\naddress = \"0.0.0.0:7400\"",
            "caerus.toml:2:1: `listen.address` is not loopback, and there is no TLS: set `listen.tls_certificate` and \
             `listen.tls_key`, or listen on 127.0.0.1",
        ),
    ] {
        assert_eq!(told(text), [expected], "{text}");
    }
    assert!(told("[listen\n")[0].starts_with("caerus.toml:1:8: not TOML: "));
    assert_eq!(told("[log]\npartitions = 0\n[data]\ndirr = \"x\"").len(), 2);
}

#[test]
fn costs_that_contradict_the_prior_are_refused() {
    let told = told("[model]\nstep_up_cost = 30");
    assert_eq!(told.len(), 1);
    let prefix = "default: `model.missed_takeover_cost` does not fit: costs must be";
    assert!(told[0].starts_with(prefix), "{}", told[0]);
}

#[test]
fn a_wrong_variable_or_flag_is_named() {
    let environment =
        Environment::from_pairs([("CAERUS__LOG__PARTITIONS", "many"), ("CAERUS__NOPE", "1")]);
    let flag = Flag {
        name: "--listen",
        key: "listen.address",
        value: "7400".to_owned(),
    };
    let refused = load("", &environment, &[flag]).unwrap_err().to_string();
    assert_eq!(
        refused,
        "the configuration is wrong\n  \
         CAERUS__LOG__PARTITIONS: `log.partitions` must be a whole number from 1 to 256\n  \
         CAERUS__NOPE: `nope` is not a key\n  \
         --listen: `listen.address` must be an IP address and a port, e.g. 127.0.0.1:7400"
    );
}

#[test]
fn a_missing_file_is_named() {
    let refused = Settings::load(&Sources {
        file: Some(Path::new("/nowhere/caerus.toml")),
        environment: &Environment::default(),
        flags: &[],
    });
    assert_eq!(
        crate::tasks::chain(&refused.unwrap_err()),
        "could not read the configuration `/nowhere/caerus.toml`: No such file or directory (os error 2)"
    );
}

#[test]
fn criticality_names_subjects_of_a_tenant() {
    use caerus_engine::id::{SubjectKey, TenantId, UserId};
    use caerus_engine::score::model::Criticality;
    let text = "[[criticality]]\nkind = \"user\"\nname = \"root\"\nlevel = \"extreme\"\ntenant = \"acme\"\n";
    let settings = load(text, &Environment::default(), &[]).unwrap();
    let root = SubjectKey::User {
        tenant: TenantId::new("acme"),
        user: UserId::new("root"),
    };
    assert_eq!(
        settings.model.criticality.into_iter().collect::<Vec<_>>(),
        [(root, Criticality::Extreme)]
    );
}

#[test]
fn secrets_are_masked_wherever_they_are_printed() {
    let text =
        "[telemetry]\notlp_endpoint = \"http://c:4318\"\notlp_authorization = \"Bearer hunter2\"";
    let settings = load(text, &Environment::default(), &[]).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
    let merged = LAYOUT.check(text, Path::new(FILE)).unwrap();
    let shown = merged.shown();
    let found = shown
        .iter()
        .find(|(key, ..)| key == "telemetry.otlp_authorization");
    assert_eq!(found.unwrap().1, "…");
}

#[test]
fn the_page_has_a_row_for_every_key() {
    let page = doc();
    for field in LAYOUT.fields {
        assert!(page.contains(&format!("| `{}` | {} |", field.key, field.meaning)));
    }
    assert!(page.contains("| `stream.heartbeat_ms` | Between two heartbeats of the stream | milliseconds | a whole number from 100 to 60000 | `1000` | no |"));
}

#[test]
fn off_loopback_needs_tls_and_then_loads() {
    let text = "[listen]\naddress = \"[::]:7400\"\ntls_certificate = \"c.pem\"\ntls_key = \"k.pem\"\nhosts = [\"caerus.example\"]";
    let settings = load(text, &Environment::default(), &[]).unwrap();
    let server = settings.listen.server_settings();
    assert_eq!(server.tls.unwrap().certificate, Path::new("c.pem"));
}

#[test]
fn what_is_wrong_about_a_server_is_told_too() {
    for (text, expected) in [
        (
            "[kafka]\nbrokers = [\"kafka\"]",
            "caerus.toml:2:1: `kafka.brokers` holds `kafka`: expected `host:port`",
        ),
        (
            "[kafka]\nbrokers = [\"k:9092\"]\nproperties = [\"sasl.password=x\"]",
            "caerus.toml:3:1: `kafka.properties` holds a password: `kafka.password` keeps it from being shown",
        ),
        (
            "[kafka]\nbrokers = [\"k:9092\"]\ntopic_prefix = \"a/b\"",
            "caerus.toml:3:1: `kafka.topic_prefix` may hold letters, digits, `.`, `_` and `-`, as Kafka's topics do",
        ),
        (
            "[redis]\nurls = [\"redis://u:p@r\"]",
            "caerus.toml:2:1: `redis.urls` holds a password: `redis.password` keeps it from being shown",
        ),
        (
            "[redis]\nurls = [\"redis://a\", \"redis://b\"]",
            "caerus.toml:2:1: `redis.urls` holds several; one server has one, else set `redis.arrangement`",
        ),
        (
            "[redis]\nurls = [\"redis://a\"]\narrangement = \"sentinel\"",
            "default: `redis.sentinel_master` must not be empty",
        ),
        (
            "[postgres]\nurl = \"mysql://\"",
            "caerus.toml:2:1: `postgres.url` must begin with `postgres://`",
        ),
    ] {
        assert_eq!(told(text), [expected], "{text}");
    }
}

#[test]
fn shared_servers_are_configured_one_by_one() {
    let none = load("", &Environment::default(), &[]).unwrap().servers;
    assert_eq!(none, Servers::default());
    let text = "[kafka]\nbrokers = [\"k1:9092\", \"k2:9092\"]\nproperties = [\"security.protocol = sasl_ssl\"]\n\
                password = \"hunter2\"\n[redis]\nurls = [\"rediss://caerus@r:6379\"]\npassword = \"hunter/2\"\n";
    let settings = load(text, &Environment::default(), &[]).unwrap();
    assert!(!format!("{settings:?}").contains("hunter"));
    let Servers {
        kafka: Some(kafka),
        redis: Some(redis),
        postgres: None,
    } = settings.servers
    else {
        panic!("{:?}", settings.servers);
    };
    assert_eq!(kafka.brokers, ["k1:9092", "k2:9092"]);
    let protocol = kafka.properties.get("security.protocol");
    assert_eq!(protocol.map(String::as_str), Some("sasl_ssl"));
    let topics: Vec<_> = kafka.sources.iter().map(|source| &*source.topic).collect();
    assert_eq!(
        topics,
        ["caerus.logins", "caerus.device-health", "caerus.access"]
    );
    let urls: Vec<_> = redis.urls.iter().map(|url| url.expose()).collect();
    assert_eq!(urls, ["rediss://caerus:hunter%2F2@r:6379"]);
}

#[test]
fn source_topics_are_those_listed_where_any_is() {
    let text = "[kafka]\nbrokers = [\"k:9092\"]\n[[sources]]\ntopic = \"okta\"\ntenant = \"acme\"\n\
                [[sources]]\ntopic = \"caerus.feedback\"\nfeedback = true\n";
    let settings = load(text, &Environment::default(), &[]).unwrap();
    let source = |topic: &str, tenant: Option<&str>, is_feedback| SourceTopic {
        topic: topic.to_owned(),
        tenant: tenant.map(str::to_owned),
        format: "native".to_owned(),
        is_feedback,
    };
    let expected = [
        source("okta", Some("acme"), false),
        source("caerus.feedback", None, true),
    ];
    assert_eq!(settings.servers.kafka.unwrap().sources, expected);
}

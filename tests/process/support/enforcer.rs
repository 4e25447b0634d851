//! `caerus-enforcer` as its users have it: a file of configuration, `/status`. Knows none of its inside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::caerus::{Caerus, Env, LOUD, http, send};
use super::eventually;
use super::program::{Program, binary, free_port};

/// A running enforcer.
#[derive(Debug)]
pub(crate) struct Enforcer {
    pub(crate) program: Program,
    pub(crate) port: u16,
    dir: PathBuf,
}

impl Enforcer {
    /// Starts for `caerus`, with `rules` after what every test needs. *Shape*: `rules` is TOML, beginning with sections.
    pub(crate) async fn start(dir: &Path, caerus: &Caerus, rules: &str) -> Self {
        Self::start_with(dir, caerus, rules, &[]).await
    }

    /// The same, and it logs all that it can.
    pub(crate) async fn start_loud(dir: &Path, caerus: &Caerus, rules: &str) -> Self {
        Self::start_with(dir, caerus, rules, LOUD).await
    }

    async fn start_with(dir: &Path, caerus: &Caerus, rules: &str, env: Env) -> Self {
        let port = free_port();
        let token = caerus.data.join("enforcement-point.token");
        let config = format!(
            "url = \"{}\"\ntoken_file = \"{}\"\nlisten = \"127.0.0.1:{port}\"\nstate_dir = \"{}\"\n\
             client = \"nginx-test\"\nproxy = \"nginx\"\n{rules}",
            caerus.url,
            token.display(),
            state_dir(dir).display(),
        );
        std::fs::write(dir.join("enforcer.toml"), config).unwrap();
        let mut enforcer = Self {
            program: spawn(dir, env),
            port,
            dir: dir.to_owned(),
        };
        enforcer.connected().await;
        enforcer
    }

    /// Starts again after an end, without waiting.
    pub(crate) fn respawn(&mut self) {
        self.program = spawn(&self.dir, &[]);
    }

    /// `/status`; `None` while nobody answers.
    pub(crate) async fn status(&self) -> Option<Value> {
        let request = http().get(format!("http://127.0.0.1:{}/status", self.port));
        let answer = send(request).await.ok()?;
        assert_eq!(answer.status, 200, "{}", answer.body);
        Some(answer.body)
    }

    /// Waits until it answers.
    pub(crate) async fn listening(&mut self) -> Value {
        let program = &mut self.program;
        let url = format!("http://127.0.0.1:{}/status", self.port);
        eventually("the enforcer to listen", || {
            let ended = program.has_ended();
            assert!(
                ended.is_none(),
                "the enforcer ended with {ended:?}: {}",
                program.said()
            );
            let url = url.clone();
            async move { Some(send(http().get(url)).await.ok()?.body) }
        })
        .await
    }

    /// Waits until it follows the stream with a picture that is not stale.
    pub(crate) async fn connected(&mut self) {
        self.listening().await;
        eventually("the enforcer to be connected", || async {
            let status = self.status().await?;
            let is_fresh = status["picture"]["age_ms"]
                .as_i64()
                .is_some_and(|age| age < 3_000);
            (status["stream"]["connected"] == true && is_fresh).then_some(())
        })
        .await;
    }

    /// The decisions of the picture it saved, in the order in which they stand in its file.
    pub(crate) fn saved(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(state_dir(&self.dir).join("picture")).unwrap();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        let decisions = lines.filter_map(|(_, json)| {
            let line: Value = serde_json::from_str(json).ok()?;
            line.get("decision").cloned()
        });
        decisions.collect()
    }
}

/// What is held by those who read a file of decisions from its start: the latest of each target.
pub(crate) fn held(decisions: &[Value]) -> Vec<Value> {
    let mut held: BTreeMap<String, Value> = BTreeMap::new();
    for decision in decisions {
        let key = format!("{} {}", decision["tenant"], decision["target"]);
        let generation = |one: &Value| one["generation"].as_u64().unwrap();
        let is_newer = |former: &Value| generation(former) < generation(decision);
        if held.get(&key).is_none_or(is_newer) {
            held.insert(key, decision.clone());
        }
    }
    held.into_values().collect()
}

fn state_dir(dir: &Path) -> PathBuf {
    dir.join("enforcer")
}

fn spawn(dir: &Path, env: Env) -> Program {
    let config = dir.join("enforcer.toml").display().to_string();
    let binary = binary("caerus-enforcer", "caerus-enforcer-bin");
    Program::start(
        &binary,
        &["--config".to_owned(), config],
        env,
        dir.join("enforcer.log"),
    )
}

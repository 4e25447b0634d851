//! `caerus up` as its users have it: flags, files of tokens, HTTP. Knows none of its inside.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::eventually;
use super::program::{Program, binary, free_port};

/// How its stderr says where it listens.
const UP_AT: &str = "caerus is up at ";
/// Events in one request.
const POST_LEN: usize = 500;

/// Variables, beside those of the test itself.
pub(crate) type Env = &'static [(&'static str, &'static str)];
/// Everything is logged, connections and headers included.
pub(crate) const LOUD: Env = &[("RUST_LOG", "trace")];

/// A running `caerus up`.
#[derive(Debug)]
pub(crate) struct Caerus {
    pub(crate) program: Program,
    pub(crate) url: String,
    pub(crate) data: PathBuf,
    port: u16,
    args: Vec<String>,
    /// How often it was started: each life has a log of its own.
    lives: u32,
    env: Env,
    http: reqwest::Client,
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// When it had been read.
    pub(crate) at: Instant,
}

/// Requests that share no connection with any other: a server that was killed leaves nothing behind.
pub(crate) fn http() -> reqwest::Client {
    caerus_runtime::http::tls::provide_crypto();
    reqwest::Client::builder()
        .pool_max_idle_per_host(0)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

pub(crate) fn caerus_binary() -> PathBuf {
    binary("caerus", "caerus")
}

impl Caerus {
    /// Starts in `dir/data` on a port that stays the same over restarts, and waits until it is up.
    pub(crate) async fn start(dir: &Path, args: &[&str]) -> Self {
        Self::start_with(dir, args, &[]).await
    }

    /// The same, and it logs all that it can.
    pub(crate) async fn start_loud(dir: &Path) -> Self {
        Self::start_with(dir, &[], LOUD).await
    }

    async fn start_with(dir: &Path, args: &[&str], env: Env) -> Self {
        let port = free_port();
        let data = dir.join("data");
        let args = args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
        let mut caerus = Self {
            program: spawn(&data, port, (&args, env), 1),
            url: format!("http://127.0.0.1:{port}"),
            data,
            port,
            args,
            lives: 1,
            env,
            http: http(),
        };
        caerus.up().await;
        caerus
    }

    /// Starts again after an end, without waiting.
    pub(crate) fn respawn(&mut self) {
        self.lives += 1;
        self.program = spawn(&self.data, self.port, (&self.args, self.env), self.lives);
    }

    /// Waits until it says where it is.
    pub(crate) async fn up(&mut self) {
        let Self { program, url, .. } = self;
        eventually("caerus to be up", || {
            let said = program.said();
            let ended = program.has_ended();
            assert!(ended.is_none(), "caerus ended with {ended:?}: {said}");
            let is_up = said.contains(&format!("{UP_AT}{url}\n"));
            async move { is_up.then_some(()) }
        })
        .await;
    }

    /// One of the tokens of the first start: `admin`, `producer`, `enforcement-point`.
    pub(crate) fn token(&self, name: &str) -> String {
        let path = self.data.join(format!("{name}.token"));
        let text = std::fs::read_to_string(&path);
        text.unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
            .trim()
            .to_owned()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self.http.get(format!("{}{path}", self.url));
        send(request.bearer_auth(self.token("admin")))
            .await
            .unwrap()
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        let request = self.http.post(format!("{}{path}", self.url)).json(body);
        send(request.bearer_auth(token)).await.unwrap()
    }

    /// Live events; all of them must be accepted. *Returns*: when the 202 had been read.
    pub(crate) async fn tell(&self, events: &[Value]) -> Instant {
        self.tell_to("/v1/events", events).await
    }

    /// The same, as history that teaches and decides nothing.
    pub(crate) async fn teach(&self, events: &[Value]) -> Instant {
        self.tell_to("/v1/events?backfill=true", events).await
    }

    async fn tell_to(&self, path: &str, events: &[Value]) -> Instant {
        let mut at = Instant::now();
        for part in events.chunks(POST_LEN) {
            let answer = self.post(path, &self.token("producer"), &json!(part)).await;
            assert_eq!(answer.status, 202, "{}", answer.body);
            assert_eq!(answer.body, json!({"accepted": part.len(), "rejected": []}));
            at = answer.at;
        }
        at
    }

    /// An operator's own decision. *Returns*: when the 202 had been read.
    pub(crate) async fn decide(&self, action: &str, target: &Value) -> Instant {
        let body = json!({"action": action, "target": target, "reason": "a test"});
        let answer = self
            .post("/v1/decisions", &self.token("admin"), &body)
            .await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        assert!(answer.body["id"].is_string(), "{}", answer.body);
        answer.at
    }

    /// Every decision ever recorded, page after page, the newest first.
    pub(crate) async fn decisions(&self) -> Vec<Value> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.get(&format!("/v1/decisions?limit=200{after}")).await;
            assert_eq!(page.status, 200, "{}", page.body);
            all.extend(page.body["entries"].as_array().unwrap().iter().cloned());
            match page.body["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return all,
            }
        }
    }

    /// The decisions in force, as the gateway has them.
    pub(crate) async fn active(&self) -> Vec<Value> {
        let answer = self.get("/v1/decisions?active=true").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body["entries"].as_array().unwrap().clone()
    }

    /// Waits until a decision in force is of this action, for this target.
    pub(crate) async fn in_force(&self, action: &str, target: &Value) -> Value {
        eventually(&format!("{action} of {target}"), || async {
            let mut active = self.active().await.into_iter();
            active.find(|one| one["action"] == action && one["target"] == *target)
        })
        .await
    }

    /// The value of a metric's samples, added up; `name` is that of a sample, without labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let answer = self
            .http
            .get(format!("{}/metrics", self.url))
            .send()
            .await
            .unwrap();
        let page = answer.text().await.unwrap();
        metric_of(&page, name)
    }
}

/// Adds up the samples of one name in an exposition.
pub(crate) fn metric_of(page: &str, name: &str) -> f64 {
    let of_name = page.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with([' ', '{']))
    });
    let values = of_name.filter_map(|line| {
        let value = line.rsplit_once("} ").or_else(|| line.split_once(' '))?.1;
        value.split(' ').next()?.parse::<f64>().ok()
    });
    values.sum()
}

fn spawn(data: &Path, port: u16, (args, env): (&[String], Env), life: u32) -> Program {
    let mut all: Vec<String> = vec!["up".to_owned()];
    all.extend(["--data".to_owned(), data.display().to_string()]);
    all.extend(["--listen".to_owned(), format!("127.0.0.1:{port}")]);
    all.extend(args.iter().cloned());
    Program::start(
        &caerus_binary(),
        &all,
        env,
        data.with_file_name(format!("caerus-{life}.log")),
    )
}

/// Sends a request and reads the answer whole. What is no JSON is told as text.
pub(crate) async fn send(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    let at = Instant::now();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(Answer { status, body, at })
}

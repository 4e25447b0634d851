//! Redis servers of a test's own: started on free ports over a folder of their own, gone when the test is.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use caerus_runtime::config::{Redis, RedisArrangement};
use redis::FromRedisValue;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::settings;

/// Another program may take a port between its being found free and its being used.
const ATTEMPTS: usize = 5;

pub(super) struct Server {
    pub(super) port: u16,
    process: Child,
    /// Kept, so that the server has somewhere to write.
    _output: Lines<BufReader<ChildStdout>>,
    folder: TempDir,
}

impl Server {
    /// `options` are those of `redis-server`, e.g. `["--appendonly", "yes"]`; a file of options may be the first.
    pub(super) async fn start(options: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), options).await
    }

    pub(super) async fn start_in(folder: TempDir, options: &[&str]) -> Self {
        for _ in 0..ATTEMPTS {
            let port = free_port();
            if let Some((process, output)) = run(port, folder.path(), options).await {
                return Self {
                    port,
                    process,
                    _output: output,
                    folder,
                };
            }
        }
        panic!("redis-server does not start with {options:?}");
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(super) fn settings(&self) -> Redis {
        settings(&[self.url()], RedisArrangement::Single)
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub(super) async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// Over what is in its folder, on the same port.
    pub(super) async fn start_again(&mut self, options: &[&str]) {
        let started = run(self.port, self.folder.path(), options).await;
        (self.process, self._output) = started.expect("the port is free again");
    }

    /// One command, its words apart.
    pub(super) async fn tell<T: FromRedisValue>(&self, words: &[&str]) -> T {
        tell(&self.url(), words).await
    }
}

pub(super) async fn tell<T: FromRedisValue>(url: &str, words: &[&str]) -> T {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let (name, arguments) = words.split_first().unwrap();
    let mut command = redis::cmd(name);
    command.arg(arguments);
    command.query_async(&mut connection).await.unwrap()
}

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// `None` when it ended before it was ready.
async fn run(
    port: u16,
    folder: &Path,
    options: &[&str],
) -> Option<(Child, Lines<BufReader<ChildStdout>>)> {
    let mut process = Command::new("redis-server")
        // A file comes before all else, and Redis writes `sentinel.conf` where it finds it.
        .args(options)
        .args(["--bind", "127.0.0.1", "--save", "", "--port"])
        .arg(port.to_string())
        .current_dir(folder)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("redis-server is installed: `make test` installs it");
    let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
    while let Some(line) = output.next_line().await.unwrap() {
        if line.contains("Ready to accept connections") || line.contains("Sentinel ID is") {
            return Some((process, output));
        }
    }
    None
}

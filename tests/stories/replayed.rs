//! Runs `caerus replay` on events and reads what it says. Knows nothing of what the events mean.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// What a replay printed.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) lines: Vec<Value>,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

/// The `caerus` beside this test's own executable.
pub(crate) fn caerus() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let profile = own.parent().unwrap().parent().unwrap();
    let binary = profile.join("caerus");
    assert!(
        binary.exists(),
        "`{}` is missing: build it with `cargo build -p caerus`",
        binary.display()
    );
    binary
}

/// Where the event files lie.
pub(crate) fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// Replays files with `--scores`, and `input` as one more after them.
pub(crate) fn replay(files: &[PathBuf], flags: &[&str], input: &str) -> Replayed {
    let mut child = Command::new(caerus())
        .arg("replay")
        .args(files)
        .arg("-")
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    Replayed {
        lines: stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap_or(-1),
    }
}

impl Replayed {
    /// The score line of an event.
    pub(crate) fn score(&self, event: &str) -> &Value {
        let found = self
            .lines
            .iter()
            .find(|line| line["type"] == "score" && line["event"] == event);
        found.unwrap_or_else(|| panic!("no score line of {event}: {}", self.stderr))
    }

    /// The decisions, in order.
    pub(crate) fn decisions(&self) -> impl Iterator<Item = &Value> {
        self.lines.iter().filter(|line| line["type"] != "score")
    }

    /// `action mode target` of every decision, in order, e.g. `revoke enforce alice/s-1`.
    pub(crate) fn told(&self) -> Vec<String> {
        self.decisions().map(told).collect()
    }

    /// The enforced ones of [`Replayed::told`], without the mode.
    pub(crate) fn enforced(&self) -> Vec<String> {
        self.decisions()
            .filter(|decision| decision["mode"] == "enforce")
            .map(|decision| {
                format!(
                    "{} {}",
                    text(&decision["action"]),
                    target(&decision["target"])
                )
            })
            .collect()
    }
}

fn told(decision: &Value) -> String {
    let mode = text(&decision["mode"]);
    format!(
        "{} {mode} {}",
        text(&decision["action"]),
        target(&decision["target"])
    )
}

fn target(target: &Value) -> String {
    let members = ["user", "session", "device", "workload", "app"];
    let parts: Vec<&str> = members
        .iter()
        .filter_map(|name| target[*name].as_str())
        .collect();
    parts.join("/")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

//! What is refused at start, with which code, and in which words.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::support::caerus::{Caerus, caerus_binary};
use crate::support::program::binary;
use crate::support::sql::execute;

const FAILED: i32 = 1;
const USAGE: i32 = 64;
const CONFIG: i32 = 78;

/// What a program that ends by itself said.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

fn run(binary: &Path, dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Ended {
    let output = Command::new("timeout")
        .args(["--signal=KILL", "20"])
        .arg(binary)
        .args(args)
        .envs(env.iter().copied())
        .current_dir(dir)
        .output()
        .unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn caerus(dir: &Path, args: &[&str]) -> Ended {
    run(&caerus_binary(), dir, args, &[])
}

fn enforcer(dir: &Path, args: &[&str]) -> Ended {
    run(
        &binary("caerus-enforcer", "caerus-enforcer-bin"),
        dir,
        args,
        &[],
    )
}

impl Ended {
    /// One sentence, with these words in it, and nothing on stdout.
    fn says(&self, code: i32, words: &[&str]) {
        let Self { stdout, stderr, .. } = self;
        assert_eq!(self.code, code, "{stderr}");
        for word in words {
            assert!(stderr.contains(word), "no `{word}` in: {stderr}");
        }
        assert!(
            !stderr.contains("panicked") && !stderr.contains("Error {"),
            "{stderr}"
        );
        assert_eq!(stdout, "");
    }
}

#[test]
fn wrong_flags_end_with_64_and_say_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let table: [(&[&str], &[&str]); 9] = [
        (&[], &["Usage: caerus"]),
        (&["--bogus"], &["--bogus"]),
        (&["upp"], &["upp", "up"]),
        (&["up", "--bogus"], &["--bogus"]),
        (&["up", "--partitions", "many"], &["many", "--partitions"]),
        (&["up", "--log-format", "xml"], &["xml", "text", "json"]),
        (&["up", "--data"], &["--data"]),
        (&["replay"], &["FILE"]),
        (
            &["replay", "--until", "tomorrow", "-"],
            &["tomorrow", "RFC 3339"],
        ),
    ];
    for (args, words) in table {
        caerus(dir.path(), args).says(USAGE, words);
    }
    enforcer(dir.path(), &["--bogus"]).says(USAGE, &["--bogus"]);
    enforcer(dir.path(), &["up"]).says(USAGE, &["up"]);
    assert!(
        !dir.path().join("caerus-data").exists(),
        "nothing was begun"
    );
}

#[test]
fn wrong_configuration_ends_with_78_and_names_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("misspelt.toml", "[listen]\nadress = \"127.0.0.1:0\"\n");
    write("kind.toml", "[stream]\nheartbeat_ms = \"often\"\n");
    write("range.toml", "[log]\npartitions = 0\n");
    write("broken.toml", "[listen\n");
    write("geo.toml", "[geo]\ndatabases = [\"no-such.mmdb\"]\n");
    let table: [(&[&str], &[&str]); 8] = [
        (
            &["--config", "misspelt.toml"],
            &["listen.adress", "listen.address"],
        ),
        (
            &["--config", "kind.toml"],
            &["kind.toml:2:1", "stream.heartbeat_ms", "whole number"],
        ),
        (&["--config", "range.toml"], &["log.partitions", "1 to"]),
        (&["--config", "broken.toml"], &["broken.toml"]),
        (&["--config", "absent.toml"], &["absent.toml"]),
        (
            &["--config", "geo.toml", "--listen", "127.0.0.1:0"],
            &["no-such.mmdb"],
        ),
        (&["--listen", "0.0.0.0:0"], &["not loopback", "TLS"]),
        (&["--listen", "[::]:0"], &["not loopback", "TLS"]),
    ];
    for (args, words) in table {
        let all: Vec<&str> = ["up"].iter().chain(args).copied().collect();
        caerus(dir.path(), &all).says(CONFIG, words);
    }
    let misspelt = [("CAERUS__LISTEN__ADRESS", "127.0.0.1:0")];
    run(&caerus_binary(), dir.path(), &["up"], &misspelt).says(CONFIG, &["CAERUS__LISTEN__ADRESS"]);
}

#[test]
fn the_enforcer_says_what_is_wrong_with_its_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("garbled.token", "let me in\n");
    write(
        "good.token",
        &format!("caerus_{}_{}\n", "0".repeat(16), "0".repeat(64)),
    );
    write("misspelt.toml", "[identity]\nsession_coockie = \"sid\"\n");
    let good = ["--token-file", "good.token"];
    let table: [(&[&str], &[&str]); 5] = [
        (&["--token-file", "absent.token"], &["absent.token"]),
        (
            &["--token-file", "garbled.token"],
            &["garbled.token", "caerus_"],
        ),
        (
            &["--config", "misspelt.toml"],
            &["identity.session_coockie", "identity.session_cookie"],
        ),
        (
            &[good[0], good[1], "--listen", "0.0.0.0:0"],
            &["not loopback", "TLS"],
        ),
        (
            &[good[0], good[1], "--proxy", "squid"],
            &["`proxy`", "nginx, caddy"],
        ),
    ];
    for (args, words) in table {
        let ended = enforcer(dir.path(), args);
        ended.says(CONFIG, words);
        assert!(
            !ended.stderr.contains("let me in"),
            "a token is told: {}",
            ended.stderr
        );
    }
}

#[test]
fn a_taken_port_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let words = [address.as_str(), "the port is taken"];
    caerus(dir.path(), &["up", "--listen", &address]).says(FAILED, &words);
    let token = dir.path().join("t.token");
    std::fs::write(
        &token,
        format!("caerus_{}_{}\n", "0".repeat(16), "0".repeat(64)),
    )
    .unwrap();
    let args = [
        "--token-file",
        token.to_str().unwrap(),
        "--listen",
        &address,
    ];
    enforcer(dir.path(), &args).says(FAILED, &words);
}

#[test]
fn a_data_directory_that_cannot_be_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "x").unwrap();
    for (data, words) in [
        ("file", ["`file`", "is not a directory"]),
        ("file/under", ["`file/under`", "could not create"]),
        // Nobody may write there, root included.
        ("/proc/self", ["`/proc/self`", "not writable"]),
    ] {
        let args = ["up", "--listen", "127.0.0.1:0", "--data", data];
        caerus(dir.path(), &args).says(FAILED, &words);
    }
}

#[tokio::test]
async fn one_directory_has_one_process_and_one_number_of_partitions() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Caerus::start(dir.path(), &[]).await;
    let data = first.data.display().to_string();
    let again = ["up", "--listen", "127.0.0.1:0", "--data", &data];
    caerus(dir.path(), &again).says(FAILED, &[&data, "in use by process"]);
    // The one that was there first is not disturbed.
    assert_eq!(first.get("/v1/policies").await.status, 200);

    first.program.signal("TERM");
    first.program.ended();
    let more = [&again[..], &["--partitions", "8"]].concat();
    caerus(dir.path(), &more).says(CONFIG, &["4", "8", "partitions"]);
}

#[tokio::test]
async fn a_database_of_a_newer_release_is_left_alone_and_named() {
    for name in ["log", "state", "ledger"] {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Caerus::start(dir.path(), &[]).await;
        let data = first.data.display().to_string();
        first.program.signal("TERM");
        assert_eq!(first.program.ended().0, 0);
        let file = first.data.join(format!("{name}.db"));
        let newer =
            "INSERT INTO migrations SELECT 99, 'from_tomorrow', checksum FROM migrations LIMIT 1";
        execute(&file, newer).await;
        let file = file.display().to_string();
        let words = [file.as_str(), "version 99", "newer release"];
        let args = ["up", "--listen", "127.0.0.1:0", "--data", &data];
        caerus(dir.path(), &args).says(CONFIG, &words);
    }
}

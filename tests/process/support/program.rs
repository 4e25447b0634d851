//! Processes: where their binaries lie, how they are started, watched and ended. Knows nothing of what they do.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// The range of ports that the system gives to nobody by itself (`ip_local_port_range` begins at 32768): no connection
/// of ours, made while a server is down, can take its port.
const PORTS: std::ops::Range<u32> = 20_000..32_000;

/// A process of a test's own. Killed when dropped, and by the kernel when the test's own process is.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    /// Where its stderr goes.
    pub(crate) log: PathBuf,
}

impl Program {
    /// Starts `binary`; what it says on stderr, and on stdout, goes to the file `log`.
    pub(crate) fn start(
        binary: &Path,
        args: &[String],
        env: &[(&str, &str)],
        log: PathBuf,
    ) -> Self {
        let told = File::create(&log).unwrap();
        // `setpriv` becomes the program: the process is the one that was asked for.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(binary)
            .args(args)
            .env_remove("RUST_LOG")
            .envs(env.iter().copied())
            .current_dir(log.parent().unwrap())
            .stdin(Stdio::null())
            .stdout(told.try_clone().unwrap())
            .stderr(told)
            .spawn()
            .unwrap_or_else(|error| panic!("could not start `{}`: {error}", binary.display()));
        Self { child, log }
    }

    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// SIGKILL, at once.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks by a signal, `INT` or `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let told = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status();
        assert!(told.unwrap().success());
    }

    /// Waits for its own end. *Returns*: its exit code, and how long that took.
    pub(crate) fn ended(&mut self) -> (i32, Duration) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.has_ended() {
                return (status.code().unwrap_or(-1), began.elapsed());
            }
            assert!(
                began.elapsed() < PATIENCE,
                "it did not end: {}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.has_ended().is_none() {
            self.kill();
        }
        if std::thread::panicking() {
            let said = self.said();
            let tail: Vec<&str> = said.lines().rev().take(40).collect();
            println!("--- {}", self.log.display());
            for line in tail.into_iter().rev() {
                println!("{line}");
            }
        }
    }
}

/// One of the project's own binaries, of this test's own profile. Built here where it is missing: cargo builds no binary
/// of another package for a test.
pub(crate) fn binary(name: &str, package: &str) -> PathBuf {
    static BUILT: OnceLock<Mutex<()>> = OnceLock::new();
    let own = std::env::current_exe().unwrap();
    let profile = own.parent().unwrap().parent().unwrap();
    let path = profile.join(name);
    let built = BUILT.get_or_init(Mutex::default).lock();
    let _one_at_a_time = built.unwrap_or_else(PoisonError::into_inner);
    if !path.exists() {
        let named = profile.file_name().unwrap().to_str().unwrap();
        let named = if named == "debug" { "dev" } else { named };
        let built = Command::new(env!("CARGO"))
            .args(["build", "-p", package, "--bin", name, "--profile", named])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.unwrap().success(), "could not build `{name}`");
    }
    path
}

/// A port that is free now and that the system gives to nobody else meanwhile.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let span = PORTS.end - PORTS.start;
    for _ in 0..span {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        // Two test processes at once begin at different places.
        let number = PORTS.start + (std::process::id().wrapping_mul(131) + step) % span;
        let port = u16::try_from(number).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}

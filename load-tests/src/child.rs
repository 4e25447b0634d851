//! Another program, run to its end: how long it took and how much memory it held at most. Knows nothing of events.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often the program's memory is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// *Units*: bytes of standard error that are told.
const SAID_BYTES_MAX: u64 = 2_000;

/// How a run went.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub took: Duration,
    /// The most that was resident, as far as was seen; `None` where the system does not tell. *Units*: bytes.
    pub peak: Option<u64>,
}

/// Why there is nothing to measure.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("could not start `{}`", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("could not wait for `{}`", program.display())]
    Wait { program: PathBuf, source: io::Error },
    #[error("could not keep what `{}` says", program.display())]
    Keep { program: PathBuf, source: io::Error },
    #[error("`{}` ended with {status}; it said: {said}", program.display())]
    Failed {
        program: PathBuf,
        status: ExitStatus,
        /// The end of its standard error, cut to a bound.
        said: String,
    },
}

/// Runs a program with its standard output thrown away; the end of its standard error is told if it fails.
pub fn run<S: AsRef<OsStr>>(program: &Path, arguments: &[S]) -> Result<Run, RunError> {
    let keep = |source| RunError::Keep {
        program: program.to_owned(),
        source,
    };
    let mut kept = tempfile::tempfile().map_err(keep)?;
    let stderr = kept.try_clone().map_err(keep)?;
    let begun = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .map_err(|source| RunError::Start {
            program: program.to_owned(),
            source,
        })?;
    let mut peak = None;
    let status = loop {
        peak = peak_resident(&child).max(peak);
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => std::thread::sleep(GLANCE),
            Err(source) => {
                return Err(RunError::Wait {
                    program: program.to_owned(),
                    source,
                });
            }
        }
    };
    let took = begun.elapsed();
    if !status.success() {
        return Err(RunError::Failed {
            program: program.to_owned(),
            status,
            said: tail(&mut kept).map_err(keep)?,
        });
    }
    Ok(Run { took, peak })
}

/// The end of what was written.
fn tail(kept: &mut File) -> io::Result<String> {
    let end = kept.seek(SeekFrom::End(0))?;
    kept.seek(SeekFrom::Start(end.saturating_sub(SAID_BYTES_MAX)))?;
    let mut bytes = Vec::new();
    kept.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// The kernel's own high-water mark, while the process lives.
fn peak_resident(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Run, RunError> {
        run(Path::new("/bin/sh"), &["-c", script])
    }

    #[test]
    fn a_program_that_fails_or_is_not_there_is_no_measurement() {
        let failed = shell("echo no such flag >&2; exit 3")
            .unwrap_err()
            .to_string();
        assert_eq!(
            failed,
            "`/bin/sh` ended with exit status: 3; it said: no such flag"
        );
        let missing = run(Path::new("/nowhere/caerus"), &["replay"])
            .unwrap_err()
            .to_string();
        assert_eq!(missing, "could not start `/nowhere/caerus`");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn more_memory_held_is_more_memory_seen() {
        // A shell variable of 32 MiB, doubled from 1 KiB.
        let little = shell("read line < /proc/self/stat").unwrap();
        let much = shell(
            "x=$(printf '%01024d' 0); i=0; while [ $i -lt 15 ]; do x=$x$x; i=$((i+1)); done; \
             read line < /proc/self/stat",
        )
        .unwrap();
        let (little, much) = (little.peak.unwrap_or(0), much.peak.unwrap());
        assert!(
            much > little + 30 * 1_024 * 1_024,
            "{little} and {much} bytes"
        );
    }
}

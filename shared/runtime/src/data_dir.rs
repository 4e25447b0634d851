//! The data directory: there, writable, and owned by one process at a time. Knows nothing of what lies in it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const LOCK_FILE: &str = "caerus.lock";
const PROBE_FILE: &str = ".caerus-probe";
/// A process id in decimal, with room to spare.
const LOCK_BYTES_MAX: u64 = 32;
/// What is learned about people lies here: for the owner alone.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// What is wrong with a data directory, in words for whoever started the process.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("could not create the data directory `{}`", path.display())]
    Create {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the data directory `{}` is not a directory", path.display())]
    NotADirectory { path: PathBuf },
    #[error("the data directory `{}` is not writable", path.display())]
    NotWritable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the data directory `{}` is in use by process {}", path.display(), pid_text(*pid))]
    InUse { path: PathBuf, pid: Option<u32> },
    #[error("could not lock `{}`", path.display())]
    Lock {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

fn pid_text(pid: Option<u32>) -> String {
    pid.map_or_else(|| "(unknown)".to_owned(), |pid| pid.to_string())
}

/// A directory that this process alone may write, until dropped. The operating system lets go of the lock when the
/// process ends, however it ends.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the directory where it is missing, tries to write, and takes the lock.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        create(path)?;
        probe(path)?;
        let lock = lock(path)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

fn create(path: &Path) -> Result<(), DataDirError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(DataDirError::NotADirectory {
            path: path.to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::DirBuilder::new()
            .recursive(true)
            .mode(DIRECTORY_MODE)
            .create(path)
            .map_err(|source| DataDirError::Create {
                path: path.to_owned(),
                source,
            }),
        Err(source) => Err(DataDirError::Create {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Permission bits do not tell the truth on every mount; a file does.
fn probe(path: &Path) -> Result<(), DataDirError> {
    let probe = path.join(PROBE_FILE);
    let tried = private(OpenOptions::new().create(true).truncate(true).write(true))
        .open(&probe)
        .and_then(|mut file| file.write_all(b"caerus"))
        .and_then(|()| fs::remove_file(&probe));
    tried.map_err(|source| DataDirError::NotWritable {
        path: path.to_owned(),
        source,
    })
}

fn lock(path: &Path) -> Result<File, DataDirError> {
    let at = path.join(LOCK_FILE);
    let failed = |source| DataDirError::Lock {
        path: at.clone(),
        source,
    };
    let mut file = private(
        OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false),
    )
    .open(&at)
    .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(DataDirError::InUse {
                path: path.to_owned(),
                pid: read_pid(&mut file),
            });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    // Written after the lock is held: the file names its holder to whoever is refused.
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| write!(file, "{}", std::process::id()))
        .map_err(failed)?;
    Ok(file)
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(LOCK_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(FILE_MODE)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_missing_directory_is_made_for_the_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let dir = DataDir::open(&path).unwrap();
        assert_eq!(dir.path(), path);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let left: Vec<_> = fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, [LOCK_FILE]);
    }

    #[test]
    fn two_owners_never_share_one_directory_and_the_holder_is_named() {
        let root = tempfile::tempdir().unwrap();
        let first = DataDir::open(root.path()).unwrap();
        let refused = DataDir::open(root.path()).unwrap_err().to_string();
        assert_eq!(
            refused,
            format!(
                "the data directory `{}` is in use by process {}",
                root.path().display(),
                std::process::id()
            )
        );
        drop(first);
        assert!(DataDir::open(root.path()).is_ok());
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "x").unwrap();
        let text = |path: &Path| DataDir::open(path).unwrap_err().to_string();
        assert_eq!(
            text(&file),
            format!("the data directory `{}` is not a directory", file.display())
        );
        let under = file.join("under");
        assert_eq!(
            text(&under),
            format!("could not create the data directory `{}`", under.display())
        );
        // procfs refuses new files to everybody, root included.
        let read_only = Path::new("/proc/self");
        assert_eq!(
            text(read_only),
            "the data directory `/proc/self` is not writable"
        );
    }
}

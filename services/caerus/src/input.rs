//! Files of lines, one after the other: plain, gzip or zstd, `-` for stdin, each line bounded.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;

/// A line longer than this is cut off and told as too long. *Units*: bytes.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 20;
const BUFFER_BYTES: usize = 1 << 18;

/// One file's lines.
pub(crate) struct Lines {
    name: String,
    reader: Box<dyn BufRead>,
    number: u64,
    line: Vec<u8>,
}

/// A line as read, without its end.
pub(crate) enum Next<'a> {
    Line(&'a [u8]),
    TooLong,
}

/// Bytes read so far, over several files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken(Arc<AtomicU64>);

impl Taken {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Counted {
    source: Box<dyn Read>,
    taken: Taken,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        let bytes = u64::try_from(read).unwrap_or(u64::MAX);
        self.taken.0.fetch_add(bytes, Ordering::Relaxed);
        Ok(read)
    }
}

impl Lines {
    /// Opens a file by its content's form: gzip and zstd are told by their first bytes.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        Self::open_counted(path, Taken::default())
    }

    /// The same, adding up in `taken` what was read of the file as it lies there.
    pub(crate) fn open_counted(path: &Path, taken: Taken) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let source: Box<dyn Read> = if path.as_os_str() == "-" {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).with_context(|| format!("could not open `{name}`"))?)
        };
        let counted = Counted { source, taken };
        let mut buffered = BufReader::with_capacity(BUFFER_BYTES, counted);
        let head = buffered
            .fill_buf()
            .with_context(|| format!("could not read `{name}`"))?;
        let reader: Box<dyn BufRead> = match head {
            [0x1f, 0x8b, ..] => {
                let unpacked = flate2::bufread::MultiGzDecoder::new(buffered);
                Box::new(BufReader::with_capacity(BUFFER_BYTES, unpacked))
            }
            [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                let unpacked = zstd::stream::read::Decoder::with_buffer(buffered)
                    .with_context(|| format!("could not unpack `{name}`"))?;
                Box::new(BufReader::with_capacity(BUFFER_BYTES, unpacked))
            }
            _ => Box::new(buffered),
        };
        Ok(Self {
            name,
            reader,
            number: 0,
            line: Vec::new(),
        })
    }

    /// `file:line` of the line read last.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.name, self.number)
    }

    /// The next line that is not blank; `None` at the end.
    pub(crate) fn next_line(&mut self) -> anyhow::Result<Option<Next<'_>>> {
        loop {
            self.line.clear();
            self.number += 1;
            let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
            let mut bounded = (&mut self.reader).take(limit + 1);
            let read = bounded
                .read_until(b'\n', &mut self.line)
                .with_context(|| format!("could not read {}:{}", self.name, self.number))?;
            if read == 0 {
                return Ok(None);
            }
            if self.line.len() > LINE_BYTES_MAX && self.line.last() != Some(&b'\n') {
                self.skip_line()?;
                return Ok(Some(Next::TooLong));
            }
            while self.line.last().is_some_and(u8::is_ascii_whitespace) {
                self.line.pop();
            }
            if !self.line.is_empty() {
                return Ok(Some(Next::Line(&self.line)));
            }
        }
    }

    fn skip_line(&mut self) -> anyhow::Result<()> {
        loop {
            let context = || format!("could not read {}:{}", self.name, self.number);
            let chunk = self.reader.fill_buf().with_context(context)?;
            if chunk.is_empty() {
                return Ok(());
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(chunk.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

/// Every file opened in its turn, so that a wrong name is told before anything was done.
pub(crate) fn check_exist(paths: &[PathBuf]) -> anyhow::Result<()> {
    for path in paths.iter().filter(|path| path.as_os_str() != "-") {
        std::fs::metadata(path).with_context(|| format!("could not open `{}`", path.display()))?;
    }
    Ok(())
}

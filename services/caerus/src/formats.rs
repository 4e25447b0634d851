//! `caerus formats` and `caerus normalize`: which forms of events are read, and what is read from them.

use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use caerus_wire::event::NativeEvent;
use clap::{Parser, ValueEnum};

use crate::exit::{BAD_INPUT, Ended, Failure, tell};
use crate::input::{Lines, Next, check_exist};
use crate::terminal::{self, Layout};

const OUTPUT_BYTES: usize = 1 << 18;

/// The forms of events that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Native,
}

impl Format {
    /// As `?format=` names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Native => "Caerus' own form: one JSON object an event, JSON Lines in files",
        }
    }

    fn parse(self, line: &[u8]) -> anyhow::Result<NativeEvent> {
        match self {
            Self::Native => Ok(NativeEvent::parse(line)?),
        }
    }
}

#[derive(Debug, Parser)]
pub(crate) struct NormalizeArgs {
    /// Events, plain, gzip or zstd, read one after the other; `-` is stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The form of the events; `caerus formats` lists them
    #[arg(long, value_name = "F", default_value = "native")]
    format: Format,
}

pub(crate) fn list() -> Ended {
    let row = |format: &Format| vec![format.name().to_owned(), format.words().to_owned()];
    let rows = Format::value_variants().iter().map(row).collect();
    terminal::print(&terminal::table(
        &["FORMAT", "WHAT IT IS"],
        rows,
        Layout::of_stdout(),
    ))
}

/// Writes each event in the native form, members in the contract's order; what is no event is told with its place.
pub(crate) fn normalize(args: &NormalizeArgs) -> Ended {
    check_exist(&args.files)?;
    let mut out = BufWriter::with_capacity(OUTPUT_BYTES, std::io::stdout().lock());
    let mut unreadable = 0_u64;
    for path in &args.files {
        let mut lines = Lines::open(path)?;
        loop {
            let read = match lines.next_line()? {
                None => break,
                Some(Next::Line(line)) => args.format.parse(line),
                Some(Next::TooLong) => Err(anyhow::anyhow!("the line is too long")),
            };
            match read {
                Ok(event) => match writeln!(out, "{}", event.to_json()) {
                    Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
                    written => written.context("could not write to stdout")?,
                },
                Err(error) => {
                    unreadable += 1;
                    tell(&format!("{}: {error:#}", lines.place()));
                }
            }
        }
    }
    match out.flush() {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
        flushed => flushed.context("could not write to stdout")?,
    }
    if unreadable > 0 {
        tell(&format!("{unreadable} lines could not be read"));
        return Err(Failure::Told(BAD_INPUT));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_ingest_takes_is_listed() {
        let listed: Vec<&str> = Format::value_variants()
            .iter()
            .map(|format| format.name())
            .collect();
        assert_eq!(listed, caerus_ingest::FORMATS);
    }
}

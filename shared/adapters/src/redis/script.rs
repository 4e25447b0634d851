//! The scripts, called by their digest and, where a server does not know them yet, by their text. Knows no meaning.

use std::borrow::Cow;
use std::collections::VecDeque;

use redis::Script;

use super::fault::Fault;
use super::form::{self, Keys};
use super::link::Link;

const HELD: &str = include_str!("held.lua");

/// The writes. Redis runs each whole, and writes its effects to the file and to replicas as one transaction.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) open: Written,
    pub(super) commit: Written,
    pub(super) clear: Written,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            open: Written::new(include_str!("open.lua")),
            commit: Written::new(include_str!("commit.lua")),
            clear: Written::new(include_str!("clear.lua")),
        }
    }
}

#[derive(Debug)]
pub(super) struct Written {
    text: String,
    digest: String,
}

impl Written {
    fn new(body: &str) -> Self {
        let text = format!("{HELD}{body}");
        let digest = Script::new(&text).get_hash().to_owned();
        Self { text, digest }
    }

    /// Runs it on the partition's keys.
    pub(super) async fn run(
        &self,
        link: &Link,
        partition: u32,
        keys: &Keys,
        arguments: &[Cow<'_, [u8]>],
    ) -> Result<Outcome, Fault> {
        let command = |by: &str, script: &str| {
            let mut command = redis::cmd(by);
            command.arg(script).arg(keys.all().len()).arg(&keys.all());
            for argument in arguments {
                command.arg(&**argument);
            }
            command
        };
        let by_digest = command("EVALSHA", &self.digest);
        let answer = match link.ask(partition, &by_digest).await {
            Err(fault) if fault.is_unknown_script() => {
                link.ask(partition, &command("EVAL", &self.text)).await
            }
            other => other,
        };
        answer.map(Outcome::of)
    }
}

/// What a script returned: one word for what came of it, and what goes with that word.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) word: String,
    values: VecDeque<Option<Vec<u8>>>,
}

impl Outcome {
    fn of(answer: Vec<Option<Vec<u8>>>) -> Self {
        let mut values = VecDeque::from(answer);
        let word = values.pop_front().flatten().unwrap_or_default();
        Self {
            word: String::from_utf8_lossy(&word).into_owned(),
            values,
        }
    }

    /// The next value, where the script has one.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        self.values.pop_front().flatten()
    }

    pub(super) fn next_number(&mut self) -> Result<u64, Fault> {
        let text = self.next().unwrap_or_default();
        form::number(&text).ok_or_else(|| Fault::undecodable("a partition's meta"))
    }
}

//! One body to `POST /v1/events`, again where Caerus asks for patience. Knows no files.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use caerus_wire::api::EventsAnswer;

use crate::client::{Answer, Client};
use crate::exit::Failure;

/// All attempts of one body, the first included.
const ATTEMPTS_MAX: u32 = 12;
/// Waited after the first failure where Caerus does not say how long; doubled after each.
const WAIT_FIRST: Duration = Duration::from_millis(250);
const WAIT_MAX: Duration = Duration::from_secs(15);
/// What it says is obeyed up to this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
const MEDIA_TYPE: &str = "application/x-ndjson";

const ACCEPTED: u16 = 202;
const NOTHING_ACCEPTED: u16 = 422;
const TOO_MANY: u16 = 429;
const UNAVAILABLE: u16 = 503;

/// Posts bodies, one after the other.
pub(super) struct Poster {
    client: Client,
    path: String,
    /// A Caerus that answered once may be away for a restart; one that never did is not there.
    has_answered: bool,
}

/// What came of one attempt.
enum Attempt {
    Taken(EventsAnswer),
    /// Trying again may help.
    Busy {
        said: String,
        wait: Option<Duration>,
    },
}

impl Poster {
    pub(super) fn new(client: Client, path: String) -> Self {
        Self {
            client,
            path,
            has_answered: false,
        }
    }

    /// *Returns*: what was accepted and rejected. `busy` is told why it takes long.
    pub(super) async fn post(
        &mut self,
        body: &[u8],
        busy: &dyn Fn(&str),
    ) -> Result<EventsAnswer, Failure> {
        let mut doubled = WAIT_FIRST;
        let mut attempts = 1;
        loop {
            let (said, wait) = match self.attempt(body).await? {
                Attempt::Taken(answer) => return Ok(answer),
                Attempt::Busy { said, wait } => (said, wait),
            };
            if attempts == ATTEMPTS_MAX {
                let error = anyhow!("gave up after {attempts} attempts: {said}");
                return Err(Failure::Failed(error));
            }
            busy(&said);
            tokio::time::sleep(wait.unwrap_or(doubled)).await;
            doubled = (doubled * 2).min(WAIT_MAX);
            attempts += 1;
        }
    }

    /// *Errors*: what trying again would not help.
    async fn attempt(&mut self, body: &[u8]) -> Result<Attempt, Failure> {
        let posted = self
            .client
            .post(&self.path, MEDIA_TYPE, body.to_vec())
            .await;
        let answer = match posted {
            Ok(answer) => answer,
            Err(error) if self.has_answered => {
                return Ok(Attempt::Busy {
                    said: format!("{error:#}"),
                    wait: None,
                });
            }
            Err(error) => return Err(error.into()),
        };
        self.has_answered = true;
        judge(&answer)
    }
}

fn judge(answer: &Answer) -> Result<Attempt, Failure> {
    match answer.status {
        ACCEPTED => Ok(Attempt::Taken(read(answer)?)),
        NOTHING_ACCEPTED => match read(answer) {
            Ok(read) => Ok(Attempt::Taken(read)),
            Err(_) => Err(refused(answer)),
        },
        TOO_MANY | UNAVAILABLE => Ok(Attempt::Busy {
            said: answer.problem(),
            wait: answer
                .retry_after_s
                .map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX)),
        }),
        _ => Err(refused(answer)),
    }
}

fn refused(answer: &Answer) -> Failure {
    Failure::Failed(anyhow!("the events were refused: {}", answer.problem()))
}

fn read(answer: &Answer) -> anyhow::Result<EventsAnswer> {
    serde_json::from_str(&answer.body).context("could not read the answer")
}

//! One connection of a subscription: hello, then frames until it ends. Knows nothing of other connections.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use caerus_wire::decision::PublicDecision;
use caerus_wire::stream::{ClientFrame, CloseCode, ServerFrame};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::{self, Message};

use super::Subscriber;
use crate::client::{self, Stream};
use crate::terminal::{Reader, printable};

/// The label of this instance in receipts.
const CLIENT: &str = "caerus subscribe";
/// Heartbeats that may be missing before the connection is taken to be dead.
const HEARTBEATS_MISSED_MAX: u32 = 10;
/// Until the welcome says how often hearts beat.
const SILENCE_FIRST: Duration = Duration::from_secs(15);
const SILENCE_LEAST: Duration = Duration::from_secs(5);
/// How often the age on the terminal is said anew.
const REFRESH_EVERY: Duration = Duration::from_millis(500);

/// Why a connection is over.
pub(super) enum Ending {
    /// Nobody reads what is shown.
    ReaderGone,
    /// Trying again would not help.
    Refused(anyhow::Error),
    /// Ended because nothing was acknowledged, as was wanted.
    Unacknowledged,
    Lost(anyhow::Error),
}

impl Ending {
    /// The socket's errors say their causes themselves: as a text, so that the chain does not say them again.
    fn lost(error: tungstenite::Error) -> Self {
        Self::Lost(anyhow!("the stream broke: {error}"))
    }
}

pub(super) struct Talk<'a> {
    subscriber: &'a mut Subscriber,
    stream: Stream,
    silence: Duration,
    /// What Caerus said before it closed the stream.
    complaint: Option<String>,
}

impl<'a> Talk<'a> {
    /// Connects and says hello.
    pub(super) async fn open(subscriber: &'a mut Subscriber) -> Result<Talk<'a>, Ending> {
        let stream = client::open_stream(&subscriber.url, &subscriber.token)
            .await
            .map_err(of_opening)?;
        let hello = ClientFrame::Hello {
            client: CLIENT.to_owned(),
            cursor: subscriber.cursor.clone(),
            filter: subscriber.filter.clone(),
        };
        let mut talk = Self {
            subscriber,
            stream,
            silence: SILENCE_FIRST,
            complaint: None,
        };
        talk.send(&hello).await?;
        Ok(talk)
    }

    /// Shows what comes, until it ends.
    pub(super) async fn run(mut self) -> Ending {
        let mut refresh = tokio::time::interval(REFRESH_EVERY);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard_at = Instant::now();
        loop {
            let message = tokio::select! {
                message = self.stream.next() => message,
                _ = refresh.tick() => {
                    self.subscriber.screen.refresh();
                    continue;
                }
                () = tokio::time::sleep_until(heard_at + self.silence) => {
                    return Ending::Lost(anyhow!("the stream has gone silent"));
                }
            };
            heard_at = Instant::now();
            let heard = match message {
                None => Err(Ending::Lost(anyhow!("the stream has ended"))),
                Some(Err(error)) => Err(Ending::lost(error)),
                Some(Ok(Message::Text(text))) => self.frame(&text).await,
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.as_ref().map_or(1005, |frame| frame.code.into());
                    let reason = frame.map(|frame| frame.reason.to_string());
                    let said = self.complaint.take().or(reason).unwrap_or_default();
                    Err(of_close(code, &said, self.subscriber.acknowledges))
                }
                Some(Ok(_)) => Ok(()),
            };
            if let Err(ending) = heard {
                return ending;
            }
        }
    }

    async fn frame(&mut self, text: &str) -> Result<(), Ending> {
        let frame = ServerFrame::parse(text)
            .context("could not read a frame")
            .map_err(Ending::Refused)?;
        match frame {
            ServerFrame::Welcome { heartbeat_ms, .. } => {
                let beat = Duration::from_millis(u64::from(heartbeat_ms));
                self.silence = (beat * HEARTBEATS_MISSED_MAX).max(SILENCE_LEAST);
                Ok(())
            }
            ServerFrame::Snapshot {
                decisions, cursor, ..
            } => {
                for decision in &decisions {
                    self.show(decision)?;
                }
                match cursor {
                    Some(cursor) => self.shown(cursor).await,
                    None => Ok(()),
                }
            }
            ServerFrame::Decision { cursor, decision } => {
                self.show(&decision)?;
                self.shown(cursor).await
            }
            ServerFrame::Heartbeat(heartbeat) => {
                self.subscriber.screen.beat(&heartbeat);
                Ok(())
            }
            ServerFrame::Reload { reason } => {
                let said = format!("everything is told anew: {reason}");
                self.subscriber.screen.say(&said);
                self.subscriber.held.forget();
                Ok(())
            }
            // The close that follows says what it means.
            ServerFrame::Error { message, .. } => {
                self.complaint = Some(printable(&message));
                Ok(())
            }
        }
    }

    fn show(&mut self, decision: &PublicDecision) -> Result<(), Ending> {
        if !self.subscriber.held.take(decision) {
            return Ok(());
        }
        match self.subscriber.screen.decision(decision) {
            Ok(Reader::There) => Ok(()),
            Ok(Reader::Gone) => Err(Ending::ReaderGone),
            Err(error) => Err(Ending::Refused(error)),
        }
    }

    /// All up to the cursor was shown.
    async fn shown(&mut self, cursor: String) -> Result<(), Ending> {
        self.subscriber.cursor = Some(cursor.clone());
        if self.subscriber.acknowledges {
            self.send(&ClientFrame::Ack { cursor }).await?;
        }
        Ok(())
    }

    async fn send(&mut self, frame: &ClientFrame) -> Result<(), Ending> {
        let message = Message::text(frame.to_json());
        self.stream.send(message).await.map_err(Ending::lost)
    }
}

/// What Caerus will never grant is told apart from what may be granted later.
fn of_close(code: u16, reason: &str, acknowledges: bool) -> Ending {
    let said = if reason.is_empty() {
        format!("the stream was closed with {code}")
    } else {
        format!("the stream was closed with {code}: {reason}")
    };
    match CloseCode::of_number(code) {
        Some(CloseCode::BadFrame | CloseCode::NotAuthenticated | CloseCode::NotAllowed) => {
            Ending::Refused(anyhow!(said))
        }
        Some(CloseCode::TooSlow) if !acknowledges => Ending::Unacknowledged,
        Some(CloseCode::TooSlow | CloseCode::TooMany | CloseCode::GoingAway) | None => {
            Ending::Lost(anyhow!(said))
        }
    }
}

/// An answer that is no stream says that this is no place for one, unless it is busy.
fn of_opening(error: anyhow::Error) -> Ending {
    const BUSY: std::ops::RangeInclusive<u16> = 500..=599;
    const TOO_MANY: u16 = 429;
    let status = error
        .chain()
        .find_map(|cause| match cause.downcast_ref::<tungstenite::Error>() {
            Some(tungstenite::Error::Http(answer)) => Some(answer.status().as_u16()),
            _ => None,
        });
    match status {
        Some(status) if status != TOO_MANY && !BUSY.contains(&status) => Ending::Refused(error),
        _ => Ending::Lost(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: u16, acknowledges: bool) -> &'static str {
        match of_close(code, "why", acknowledges) {
            Ending::ReaderGone => "gone",
            Ending::Refused(_) => "refused",
            Ending::Unacknowledged => "unacknowledged",
            Ending::Lost(_) => "lost",
        }
    }

    #[test]
    fn a_close_says_whether_to_come_again() {
        for (code, acknowledges, expected) in [
            (4400, true, "refused"),
            (4401, true, "refused"),
            (4403, false, "refused"),
            (4408, true, "lost"),
            (4408, false, "unacknowledged"),
            (4429, true, "lost"),
            (1012, true, "lost"),
            (1006, true, "lost"),
        ] {
            assert_eq!(ended(code, acknowledges), expected, "{code}");
        }
    }

    #[test]
    fn an_answer_that_is_no_stream_is_a_refusal_unless_caerus_is_busy() {
        for (status, is_refused) in [(401, true), (404, true), (429, false), (503, false)] {
            let answer = tungstenite::http::Response::builder()
                .status(status)
                .body(None)
                .unwrap();
            let error = tungstenite::Error::Http(Box::new(answer));
            let error = anyhow::Error::from(error).context("could not open the stream");
            let ending = of_opening(error);
            assert_eq!(matches!(ending, Ending::Refused(_)), is_refused, "{status}");
        }
    }
}

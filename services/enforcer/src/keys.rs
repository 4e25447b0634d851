//! The identity provider's public keys: read, chosen by id, fetched anew within bounds. Knows no claims.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use caerus_runtime::health::Condition;
use caerus_runtime::port::Clock;
use caerus_runtime::shutdown::Shutdown;
use caerus_runtime::tasks::chain;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};

use crate::limit;
use crate::net::{Dialer, NetError};

/// One public key, with the algorithms that its kind can verify.
pub struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    decoding: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// True when `signature` (base64url) is this key's over `message`, by an algorithm that this kind of key has.
    pub fn verifies(&self, algorithm: Algorithm, message: &str, signature: &str) -> bool {
        self.algorithms.contains(&algorithm)
            && jsonwebtoken::crypto::verify(
                signature,
                message.as_bytes(),
                &self.decoding,
                algorithm,
            )
            .unwrap_or(false)
    }
}

/// The keys of one document, and how many of its entries could not be used.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    pub unusable: usize,
}

/// Why a document is no key set.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    #[error("could not read the key set from `{path}`")]
    File {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("could not fetch the key set from `{url}`")]
    Fetch {
        url: String,
        #[source]
        source: NetError,
    },
    #[error("`{url}` answered {status} instead of the key set")]
    Status { url: String, status: u16 },
    #[error("the key set is not `{{\"keys\":[…]}}` as RFC 7517 has it")]
    Unreadable {
        #[source]
        source: serde_json::Error,
    },
    #[error("the key set holds {count} keys; at most {max} are taken", max = limit::KEYS_MAX)]
    TooMany { count: usize },
    #[error("the key set holds no usable public key ({unusable} were of another kind)")]
    Empty { unusable: usize },
}

impl KeySet {
    /// Reads a JWK set. Keys of kinds that verify nothing here (symmetric, for encryption, other curves) are left out.
    pub fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        #[derive(Deserialize)]
        struct Document<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }
        let document: Document<'_> =
            serde_json::from_slice(json).map_err(|source| KeySetError::Unreadable { source })?;
        let count = document.keys.len();
        if count > limit::KEYS_MAX {
            return Err(KeySetError::TooMany { count });
        }
        let keys: Vec<Key> = document
            .keys
            .iter()
            .filter_map(|raw| serde_json::from_str::<Jwk>(raw.get()).ok())
            .filter_map(|jwk| usable(&jwk))
            .collect();
        let unusable = count - keys.len();
        if keys.is_empty() {
            return Err(KeySetError::Empty { unusable });
        }
        Ok(Self { keys, unusable })
    }

    /// The keys that may have signed: of that id, or of none; for a token without id the first few that could have.
    pub fn candidates<'a>(
        &'a self,
        id: Option<&'a str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'a Key> {
        self.keys
            .iter()
            .filter(move |key| id.is_none() || key.id.is_none() || key.id.as_deref() == id)
            .filter(move |key| key.algorithms.contains(&algorithm))
            .take(limit::KEYS_TRIED_MAX)
    }

    /// True when a key of that id is held, or one without id that may be it.
    pub fn knows(&self, id: &str) -> bool {
        self.keys
            .iter()
            .any(|key| key.id.as_deref().is_none_or(|own| own == id))
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

fn usable(jwk: &Jwk) -> Option<Key> {
    let is_for_signatures = jwk
        .common
        .public_key_use
        .as_ref()
        .is_none_or(|usage| *usage == PublicKeyUse::Signature);
    let mut algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => vec![Algorithm::RS256, Algorithm::PS256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            vec![Algorithm::ES256]
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            vec![Algorithm::EdDSA]
        }
        _ => Vec::new(),
    };
    if let Some(only) = &jwk.common.key_algorithm {
        let only = only.to_string();
        algorithms.retain(|algorithm| format!("{algorithm:?}") == only);
    }
    if !is_for_signatures || algorithms.is_empty() {
        return None;
    }
    Some(Key {
        id: jwk.common.key_id.clone(),
        algorithms,
        decoding: DecodingKey::from_jwk(jwk).ok()?,
    })
}

/// Where the keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    File(PathBuf),
    Url(String),
}

/// The keys as they are now, for those who verify.
#[derive(Clone, Debug)]
pub struct Keys {
    current: watch::Receiver<Arc<KeySet>>,
    ask: mpsc::Sender<()>,
    fetched_ms: watch::Receiver<Option<u64>>,
    clock: Arc<dyn Clock>,
}

/// The loop that owns the keys.
#[derive(Debug)]
pub struct KeyKeeper {
    source: KeySource,
    refresh_every: Duration,
    dialer: Dialer,
    condition: Condition,
    clock: Arc<dyn Clock>,
    current: watch::Sender<Arc<KeySet>>,
    asked: mpsc::Receiver<()>,
    /// Monotonic moment of the last attempt.
    fetched_ms: watch::Sender<Option<u64>>,
}

/// What a keeper is made of.
#[derive(Debug)]
pub struct KeeperParts {
    pub source: KeySource,
    pub refresh_every: Duration,
    pub dialer: Dialer,
    pub condition: Condition,
    pub clock: Arc<dyn Clock>,
}

impl KeyKeeper {
    pub fn new(parts: KeeperParts) -> (Self, Keys) {
        let (current, current_of_readers) = watch::channel(Arc::new(KeySet::default()));
        let (fetched_ms, fetched_of_readers) = watch::channel(None);
        let (ask, asked) = mpsc::channel(1);
        let keys = Keys {
            current: current_of_readers,
            ask,
            fetched_ms: fetched_of_readers,
            clock: Arc::clone(&parts.clock),
        };
        let keeper = Self {
            source: parts.source,
            refresh_every: parts.refresh_every,
            dialer: parts.dialer,
            condition: parts.condition,
            clock: parts.clock,
            current,
            asked,
            fetched_ms,
        };
        (keeper, keys)
    }

    /// Fetches at once, then as configured, and when an unknown key id is met, until the shutdown. What cannot be
    /// fetched leaves the keys as they are.
    pub async fn run(mut self, shutdown: Shutdown) {
        loop {
            let fetch = tokio::time::timeout(
                Duration::from_millis(limit::KEY_SET_FETCH_MS_MAX),
                self.fetch(),
            );
            let Some(fetched) = shutdown.unless_begun(fetch).await else {
                return;
            };
            self.take(fetched);
            let is_first_missing = self.current.borrow().is_empty();
            let pause = if is_first_missing {
                Duration::from_millis(limit::KEY_SET_COOLDOWN_MS).min(self.refresh_every)
            } else {
                self.refresh_every
            };
            tokio::select! {
                () = shutdown.begun() => return,
                () = tokio::time::sleep(pause) => {}
                asked = self.asked.recv() => if asked.is_none() { return },
            }
        }
    }

    fn take(&self, fetched: Result<Result<KeySet, KeySetError>, tokio::time::error::Elapsed>) {
        match fetched {
            Ok(Ok(keys)) => {
                self.current.send_replace(Arc::new(keys));
                self.condition.ready();
            }
            Ok(Err(error)) => self.note_failure(&chain(&error)),
            Err(elapsed) => self.note_failure(&elapsed.to_string()),
        }
        // Told last: who waits for the attempt then finds its outcome.
        self.fetched_ms
            .send_replace(Some(self.clock.monotonic_ms()));
    }

    fn note_failure(&self, error: &str) {
        let kept = self.current.borrow().len();
        tracing::warn!(error, kept, "key set not refreshed");
        if kept == 0 {
            self.condition.failing("no key set could be read yet");
        }
    }

    async fn fetch(&self) -> Result<KeySet, KeySetError> {
        match &self.source {
            KeySource::File(path) => {
                let bytes = tokio::fs::read(path)
                    .await
                    .map_err(|source| KeySetError::File {
                        path: path.display().to_string(),
                        source,
                    })?;
                KeySet::parse(&bytes)
            }
            KeySource::Url(url) => {
                let fetch = |source| KeySetError::Fetch {
                    url: url.clone(),
                    source,
                };
                let answer = self
                    .dialer
                    .get(url, limit::KEY_SET_BYTES_MAX)
                    .await
                    .map_err(fetch)?;
                if answer.status != 200 {
                    return Err(KeySetError::Status {
                        url: url.clone(),
                        status: answer.status,
                    });
                }
                KeySet::parse(&answer.body)
            }
        }
    }
}

impl Keys {
    pub fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.current.borrow())
    }

    /// The keys after one more attempt to fetch them; at once the present ones where the last attempt was just now.
    ///
    /// A stranger may name as many unknown key ids as it likes: they cause one fetch per cooldown, and wait for no
    /// more than that one.
    pub async fn refreshed(&self) -> Arc<KeySet> {
        let mut fetched_ms = self.fetched_ms.clone();
        let last = *fetched_ms.borrow_and_update();
        let now = self.clock.monotonic_ms();
        if last.is_some_and(|last| now.saturating_sub(last) < limit::KEY_SET_COOLDOWN_MS) {
            return self.current();
        }
        if self.ask.try_send(()).is_err() {
            tracing::trace!("a refresh of the key set is already asked for");
        }
        let wait = Duration::from_millis(limit::KEY_SET_WAIT_MS);
        if tokio::time::timeout(wait, fetched_ms.changed())
            .await
            .is_err()
        {
            tracing::debug!("key set not refreshed in time");
        }
        self.current()
    }
}

#[cfg(test)]
mod tests;

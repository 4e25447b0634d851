//! A bearer token: is it a JWT, who signed it, what does it claim. Knows no header and no decision.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caerus_engine::id::{AcrValue, DeviceId, SessionId, TenantId, UserId, WorkloadId};
use caerus_engine::number::quantise;
use caerus_engine::time::{Span, Timestamp};
use jsonwebtoken::Algorithm;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::keys::{KeySet, Keys};
use crate::limit;

/// The latest moment a claim may name: 9999-12-31T23:59:59Z. *Units*: seconds.
const SECONDS_MAX: f64 = 253_402_300_799.0;
/// The capability by which a Microsoft client says that it understands claims challenges.
const CLAIMS_CHALLENGE: &str = "cp1";

/// How tokens are read.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// Only these are accepted, whatever a token says of itself.
    pub algorithms: Vec<Algorithm>,
    /// Any of them; empty: not looked at.
    pub issuers: BTreeSet<String>,
    /// Any of them; empty: not looked at.
    pub audiences: BTreeSet<String>,
    pub leeway: Span,
    pub claims: ClaimNames,
}

/// Which claim tells what; an empty name tells nothing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimNames {
    pub user: String,
    pub session: String,
    pub device: String,
    pub workload: String,
    pub tenant: String,
    pub acr: String,
    pub amr: String,
    pub auth_time: String,
    /// Microsoft's authentication contexts: several classes.
    pub acrs: String,
    pub xms_cc: String,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            user: "sub".to_owned(),
            session: "sid".to_owned(),
            device: "device_id".to_owned(),
            workload: String::new(),
            tenant: String::new(),
            acr: "acr".to_owned(),
            amr: "amr".to_owned(),
            auth_time: "auth_time".to_owned(),
            acrs: "acrs".to_owned(),
            xms_cc: "xms_cc".to_owned(),
        }
    }
}

/// Who vouches for tokens.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Their signatures are verified here.
    Keys(Keys),
    /// Somebody else verified them, as the operator says. They never prove a step-up.
    Unverified,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub is_verified: bool,
    pub user: Option<UserId>,
    pub session: Option<SessionId>,
    pub device: Option<DeviceId>,
    pub workload: Option<WorkloadId>,
    pub tenant: Option<TenantId>,
    pub classes: BTreeSet<AcrValue>,
    pub amr: BTreeSet<String>,
    /// Claim `auth_time`.
    pub authenticated_at: Option<Timestamp>,
    /// Claim `iat`.
    pub issued_at: Option<Timestamp>,
    pub understands_claims_challenge: bool,
}

/// Why a JWT does not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token's algorithm is not among those allowed")]
    Algorithm,
    #[error("the token has critical extensions, which are not understood")]
    Critical,
    #[error("the token is signed by a key that is not known")]
    UnknownKey,
    #[error("no key set could be read yet")]
    NoKeys,
    #[error("the token's signature does not verify")]
    Signature,
    #[error("the token's claims are no JSON object")]
    Claims,
    #[error("the token's claim `{name}` is not {expected}")]
    Claim {
        name: String,
        expected: &'static str,
    },
    #[error("the token has no `exp`")]
    NoExpiry,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYet,
    #[error("the token's issuer is not the one expected")]
    Issuer,
    #[error("the token is for another audience")]
    Audience,
}

#[derive(Deserialize)]
struct Header<'a> {
    alg: &'a str,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, borrow)]
    crit: Option<&'a RawValue>,
}

/// A JWT taken apart.
struct Parts<'a> {
    header: Vec<u8>,
    claims: Vec<u8>,
    /// What was signed.
    message: &'a str,
    signature: &'a str,
}

impl TokenRules {
    /// *Returns*: `None` when the text is no JWT at all.
    pub async fn read(
        &self,
        text: &str,
        trust: &Trust,
        now: Timestamp,
    ) -> Option<Result<Token, TokenError>> {
        let parts = Parts::of(text)?;
        let header: Header<'_> = serde_json::from_slice(&parts.header).ok()?;
        let is_verified = match trust {
            Trust::Keys(keys) => match self.verify(&parts, &header, keys).await {
                Ok(()) => true,
                Err(error) => return Some(Err(error)),
            },
            Trust::Unverified => false,
        };
        Some(self.claims(&parts.claims, is_verified, now))
    }

    async fn verify(
        &self,
        parts: &Parts<'_>,
        header: &Header<'_>,
        keys: &Keys,
    ) -> Result<(), TokenError> {
        let algorithm = header
            .alg
            .parse::<Algorithm>()
            .ok()
            .filter(|algorithm| self.algorithms.contains(algorithm))
            .ok_or(TokenError::Algorithm)?;
        if header.crit.is_some() {
            return Err(TokenError::Critical);
        }
        let id = header.kid.as_deref();
        let mut set = keys.current();
        let is_missing = |set: &KeySet| set.is_empty() || id.is_some_and(|id| !set.knows(id));
        if is_missing(&set) {
            set = keys.refreshed().await;
        }
        if set.is_empty() {
            return Err(TokenError::NoKeys);
        }
        let mut candidates = set.candidates(id, algorithm).peekable();
        if candidates.peek().is_none() {
            return Err(TokenError::UnknownKey);
        }
        let is_signed =
            candidates.any(|key| key.verifies(algorithm, parts.message, parts.signature));
        is_signed.then_some(()).ok_or(TokenError::Signature)
    }

    fn claims(&self, json: &[u8], is_verified: bool, now: Timestamp) -> Result<Token, TokenError> {
        let claims = Claims::parse(json)?;
        self.check(&claims, now)?;
        let names = &self.claims;
        let mut classes: BTreeSet<AcrValue> = claims
            .texts(&names.acrs)?
            .into_iter()
            .map(AcrValue::new)
            .collect();
        classes.extend(claims.name(&names.acr)?.map(AcrValue::new));
        let capabilities = claims.texts(&names.xms_cc)?;
        Ok(Token {
            is_verified,
            user: claims.name(&names.user)?.map(UserId::new),
            session: claims.name(&names.session)?.map(SessionId::new),
            device: claims.name(&names.device)?.map(DeviceId::new),
            workload: claims.name(&names.workload)?.map(WorkloadId::new),
            tenant: claims.name(&names.tenant)?.map(TenantId::new),
            classes,
            amr: claims.texts(&names.amr)?,
            authenticated_at: claims.moment(&names.auth_time)?,
            issued_at: claims.moment("iat")?,
            understands_claims_challenge: capabilities
                .iter()
                .any(|capability| capability.eq_ignore_ascii_case(CLAIMS_CHALLENGE)),
        })
    }

    fn check(&self, claims: &Claims<'_>, now: Timestamp) -> Result<(), TokenError> {
        let expires_at = claims.moment("exp")?.ok_or(TokenError::NoExpiry)?;
        if now >= expires_at + self.leeway {
            return Err(TokenError::Expired);
        }
        if claims
            .moment("nbf")?
            .is_some_and(|not_before| not_before > now + self.leeway)
        {
            return Err(TokenError::NotYet);
        }
        if !self.issuers.is_empty() && claims.texts("iss")?.is_disjoint(&self.issuers) {
            return Err(TokenError::Issuer);
        }
        if !self.audiences.is_empty() && claims.texts("aud")?.is_disjoint(&self.audiences) {
            return Err(TokenError::Audience);
        }
        Ok(())
    }
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Self> {
        if text.len() > limit::TOKEN_BYTES_MAX {
            return None;
        }
        let (message, signature) = text.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        Some(Self {
            header: URL_SAFE_NO_PAD.decode(header).ok()?,
            claims: URL_SAFE_NO_PAD.decode(claims).ok()?,
            message,
            signature,
        })
    }
}

/// A token's claims, each still as written.
struct Claims<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Claims<'a> {
    fn parse(json: &'a [u8]) -> Result<Self, TokenError> {
        serde_json::from_slice(json)
            .map(Self)
            .map_err(|_not_an_object: serde_json::Error| TokenError::Claims)
    }

    /// A claim that is there and not `null`, in the wanted form.
    fn get<T: DeserializeOwned>(
        &self,
        name: &str,
        expected: &'static str,
    ) -> Result<Option<T>, TokenError> {
        let Some(raw) = self.0.get(name).filter(|_| !name.is_empty()) else {
            return Ok(None);
        };
        serde_json::from_str(raw.get()).map_err(|_other_form: serde_json::Error| {
            TokenError::Claim {
                name: name.to_owned(),
                expected,
            }
        })
    }

    /// A name, of bounded length; an empty one counts as absent.
    fn name(&self, name: &str) -> Result<Option<String>, TokenError> {
        let text: Option<String> = self.get(name, "a text")?;
        match text {
            Some(text) if text.len() > limit::NAME_BYTES_MAX => Err(TokenError::Claim {
                name: name.to_owned(),
                expected: "at most 1024 bytes long",
            }),
            text => Ok(text.filter(|text| !text.is_empty())),
        }
    }

    /// One text or several.
    fn texts(&self, name: &str) -> Result<BTreeSet<String>, TokenError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Texts {
            One(String),
            Several(Vec<String>),
        }
        match self.get(name, "a text or a list of texts")? {
            None => Ok(BTreeSet::new()),
            Some(Texts::One(text)) => Ok(BTreeSet::from([text])),
            Some(Texts::Several(texts)) if texts.len() <= limit::CLAIM_VALUES_MAX => {
                Ok(texts.into_iter().collect())
            }
            Some(Texts::Several(_)) => Err(TokenError::Claim {
                name: name.to_owned(),
                expected: "at most 64 texts",
            }),
        }
    }

    /// Seconds since 1970, whole or not.
    fn moment(&self, name: &str) -> Result<Option<Timestamp>, TokenError> {
        const EXPECTED: &str = "a number of seconds since 1970";
        let Some(seconds) = self.get::<f64>(name, EXPECTED)? else {
            return Ok(None);
        };
        if !(0.0..=SECONDS_MAX).contains(&seconds) {
            return Err(TokenError::Claim {
                name: name.to_owned(),
                expected: EXPECTED,
            });
        }
        // Down to the millisecond, so that a whole second counts as its start.
        Ok(Some(Timestamp(quantise((seconds * 1_000.0).floor()))))
    }
}

#[cfg(test)]
mod tests;

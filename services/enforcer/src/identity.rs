//! Who is asking: every identity a request carries, put together, or the reason why they do not fit. Knows no decision
//! and no route.
//!
//! A JWT, a session cookie and a session header are credentials: each is matched by itself. A user, device, workload or
//! tenant named by a header of the proxy completes them; naming another than the token does is a disagreement.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caerus_engine::id::{DeviceId, SessionId, TenantId, UserId, WorkloadId};
use caerus_engine::time::Timestamp;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::forward::text_of;
use crate::limit;
use crate::token::{Token, TokenError, TokenRules, Trust};

/// Where identities are looked for.
#[derive(Clone, Debug, Default)]
pub struct IdentityRules {
    pub headers: HeaderNames,
    pub cookie: Option<CookieRule>,
    /// `None`: a bearer token is no identity.
    pub token: Option<(TokenRules, Trust)>,
}

/// Headers that the proxy sets, and must set or remove on every request. `None` is not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderNames {
    pub user: Option<HeaderName>,
    pub session: Option<HeaderName>,
    pub device: Option<HeaderName>,
    pub workload: Option<HeaderName>,
    pub tenant: Option<HeaderName>,
}

/// The cookie whose value tells the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieRule {
    pub name: String,
    pub form: SessionForm,
}

/// How a session's id follows from the cookie's value: as events name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionForm {
    /// The value itself.
    #[default]
    Plain,
    /// The lower-case hexadecimal SHA-256 of the value, so that events need not carry the secret.
    Sha256Hex,
    /// The unpadded base64url SHA-256 of the value.
    Sha256Base64url,
}

/// All that a request says about who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub tenant: Option<TenantId>,
    pub user: Option<UserId>,
    pub device: Option<DeviceId>,
    pub workload: Option<WorkloadId>,
    /// Sessions told by cookie and header, the token's own left out.
    pub sessions: BTreeSet<SessionId>,
    pub token: Option<Token>,
}

impl Identity {
    /// True when nothing says who asks. A device alone is nobody.
    pub fn is_anonymous(&self) -> bool {
        self.user.is_none()
            && self.workload.is_none()
            && self.sessions.is_empty()
            && self
                .token
                .as_ref()
                .is_none_or(|token| token.session.is_none())
    }
}

/// Why a request's identities do not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    #[error("two identities of the request name different {member}s")]
    Disagree { member: &'static str },
    #[error("header `{header}` was given more than once")]
    Duplicate { header: HeaderName },
    #[error("header `{header}` is {problem}")]
    Header {
        header: HeaderName,
        problem: &'static str,
    },
    #[error("the session cookie has more than {max} different values", max = limit::SESSIONS_PER_REQUEST_MAX)]
    TooManySessions,
    #[error(transparent)]
    Token(TokenError),
}

impl IdentityRules {
    /// Everything the request's headers tell about who asks.
    pub async fn identify(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Identity, IdentityError> {
        let named = &self.headers;
        let mut identity = Identity {
            tenant: name(headers, named.tenant.as_ref())?.map(TenantId::new),
            user: name(headers, named.user.as_ref())?.map(UserId::new),
            device: name(headers, named.device.as_ref())?.map(DeviceId::new),
            workload: name(headers, named.workload.as_ref())?.map(WorkloadId::new),
            sessions: self.cookie_sessions(headers)?,
            token: self.token(headers, now).await?,
        };
        if let Some(session) = name(headers, named.session.as_ref())? {
            identity.sessions.insert(SessionId::new(session));
        }
        if let Some(token) = identity.token.take() {
            agree("tenant", &mut identity.tenant, token.tenant.as_ref())?;
            agree("user", &mut identity.user, token.user.as_ref())?;
            agree("device", &mut identity.device, token.device.as_ref())?;
            agree("workload", &mut identity.workload, token.workload.as_ref())?;
            if let Some(session) = &token.session {
                identity.sessions.remove(session);
            }
            identity.token = Some(token);
        }
        Ok(identity)
    }

    async fn token(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Option<Token>, IdentityError> {
        let Some((rules, trust)) = &self.token else {
            return Ok(None);
        };
        let Some(authorization) = only(headers, &AUTHORIZATION)? else {
            return Ok(None);
        };
        let Some((scheme, text)) = authorization.split_once(' ') else {
            return Ok(None);
        };
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Ok(None);
        }
        rules
            .read(text.trim(), trust, now)
            .await
            .transpose()
            .map_err(IdentityError::Token)
    }

    /// Every value the session cookie has: a browser may send several of one name, and the upstream may believe any.
    fn cookie_sessions(&self, headers: &HeaderMap) -> Result<BTreeSet<SessionId>, IdentityError> {
        let mut sessions = BTreeSet::new();
        let Some(rule) = &self.cookie else {
            return Ok(sessions);
        };
        let problem = |problem| IdentityError::Header {
            header: COOKIE,
            problem,
        };
        for value in headers.get_all(COOKIE) {
            let text = text_of(value).ok_or_else(|| problem("not UTF-8 text"))?;
            for pair in text.split(';') {
                let Some((name, value)) = pair.split_once('=') else {
                    continue;
                };
                if name.trim() != rule.name {
                    continue;
                }
                let value = unquote(value.trim());
                if value.is_empty() {
                    continue;
                }
                if value.len() > limit::NAME_BYTES_MAX && rule.form == SessionForm::Plain {
                    return Err(problem("too long a session"));
                }
                sessions.insert(rule.form.session(value));
                if sessions.len() > limit::SESSIONS_PER_REQUEST_MAX {
                    return Err(IdentityError::TooManySessions);
                }
            }
        }
        Ok(sessions)
    }
}

impl SessionForm {
    fn session(self, value: &str) -> SessionId {
        match self {
            Self::Plain => SessionId::new(value),
            Self::Sha256Hex => SessionId::new(hex::encode(Sha256::digest(value))),
            Self::Sha256Base64url => SessionId::new(URL_SAFE_NO_PAD.encode(Sha256::digest(value))),
        }
    }
}

/// A cookie's value may stand in double quotes (RFC 6265, 4.1.1).
fn unquote(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value)
}

fn agree<T: PartialEq + Clone>(
    member: &'static str,
    known: &mut Option<T>,
    told: Option<&T>,
) -> Result<(), IdentityError> {
    match (known.as_ref(), told) {
        (Some(known), Some(told)) if known != told => Err(IdentityError::Disagree { member }),
        (None, Some(told)) => {
            *known = Some(told.clone());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The name a configured header tells; an empty one counts as absent.
fn name<'a>(
    headers: &'a HeaderMap,
    header: Option<&HeaderName>,
) -> Result<Option<&'a str>, IdentityError> {
    let Some(header) = header else {
        return Ok(None);
    };
    let Some(text) = only(headers, header)? else {
        return Ok(None);
    };
    let problem = |problem| IdentityError::Header {
        header: header.clone(),
        problem,
    };
    if text.len() > limit::NAME_BYTES_MAX {
        return Err(problem("longer than 1024 bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err(problem("not free of control characters"));
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn only<'a>(headers: &'a HeaderMap, header: &HeaderName) -> Result<Option<&'a str>, IdentityError> {
    let mut values = headers.get_all(header).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(IdentityError::Duplicate {
            header: header.clone(),
        });
    }
    let text = text_of(value).ok_or_else(|| IdentityError::Header {
        header: header.clone(),
        problem: "not UTF-8 text",
    })?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests;

//! Who is asking, and what they may do: rights, principals and tokens. Knows no route and no database.

pub mod first;
mod identify;
pub mod table;

use std::collections::BTreeSet;
use std::fmt;

use caerus_engine::id::{PrincipalId, TenantId};
use caerus_engine::time::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::port::StoredToken;
use crate::refusal::Refusal;
use crate::secret::Secret;

pub use identify::{Authenticated, Authentication, identify};
pub use table::TokenTable;

/// What a credential may do. None implies another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Post events other than feedback.
    Events,
    /// Post feedback.
    Feedback,
    /// Be an enforcement point: the stream, the snapshot, receipts, and the one event `step_up_met`.
    Stream,
    /// Read decisions, subjects and sessions.
    Read,
    /// Decide by hand.
    Operate,
    /// Credentials, policies, enforcement points and the audit.
    Admin,
}

impl Right {
    pub const ALL: [Self; 6] = [
        Self::Events,
        Self::Feedback,
        Self::Stream,
        Self::Read,
        Self::Operate,
        Self::Admin,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Feedback => "feedback",
            Self::Stream => "stream",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.name() == text)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whose data a credential is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tenants {
    All,
    Some(BTreeSet<TenantId>),
}

impl Tenants {
    /// *Shape*: an empty list means every tenant, as tokens are stored.
    pub fn from_list(list: &[TenantId]) -> Self {
        if list.is_empty() {
            Self::All
        } else {
            Self::Some(list.iter().cloned().collect())
        }
    }

    pub fn include(&self, tenant: &TenantId) -> bool {
        match self {
            Self::All => true,
            Self::Some(tenants) => tenants.contains(tenant),
        }
    }
}

/// Somebody whose credential was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub name: PrincipalId,
    /// The credential's id: public, and what is revoked.
    pub credential: String,
    pub tenants: Tenants,
    pub rights: BTreeSet<Right>,
    pub expires_at: Option<Timestamp>,
}

impl Principal {
    pub fn has(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }

    /// *Errors*: 403 without the right, whatever the tenant.
    pub fn demand_right(&self, right: Right) -> Result<(), Refusal> {
        if self.has(right) {
            Ok(())
        } else {
            Err(Refusal::forbidden(format!(
                "this needs the right `{right}`"
            )))
        }
    }

    /// *Errors*: 403 without the right, or where the tenant is another's. The tenant is not named back: whether it
    /// exists is nobody's business.
    pub fn demand(&self, right: Right, tenant: &TenantId) -> Result<(), Refusal> {
        self.demand_any(&[right], tenant)
    }

    /// As [`Self::demand`], where any of several rights will do.
    pub fn demand_any(&self, rights: &[Right], tenant: &TenantId) -> Result<(), Refusal> {
        if !rights.iter().any(|right| self.has(*right)) {
            let names: Vec<String> = rights.iter().map(|right| format!("`{right}`")).collect();
            let names = names.join(" or ");
            return Err(Refusal::forbidden(format!("this needs the right {names}")));
        }
        if self.tenants.include(tenant) {
            Ok(())
        } else {
            Err(Refusal::forbidden("this credential is not for that tenant"))
        }
    }
}

const PREFIX: &str = "caerus";
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;

/// A token in clear: `caerus_<id>_<secret>`, both in lower-case hex. Shown once, never stored.
#[derive(Clone, Debug)]
pub struct Token {
    id: String,
    secret: Secret,
}

/// What a new token is for.
#[derive(Clone, Debug)]
pub struct Grant {
    pub name: String,
    pub tenants: Tenants,
    pub rights: BTreeSet<Right>,
    pub expires_at: Option<Timestamp>,
}

/// The operating system gave no randomness; there is no token without it.
#[derive(Debug, thiserror::Error)]
#[error("could not draw random bytes for a token: {reason}")]
pub struct NoRandomness {
    reason: getrandom::Error,
}

impl Token {
    /// Draws a new one.
    pub fn draw() -> Result<Self, NoRandomness> {
        let (mut id, mut secret) = ([0; ID_BYTES], [0; SECRET_BYTES]);
        getrandom::fill(&mut id)
            .and_then(|()| getrandom::fill(&mut secret))
            .map_err(|reason| NoRandomness { reason })?;
        Ok(Self {
            id: hex::encode(id),
            secret: Secret::new(hex::encode(secret)),
        })
    }

    /// Reads `caerus_<id>_<secret>`; `None` when it is not of that shape.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('_');
        let (prefix, id, secret) = (parts.next()?, parts.next()?, parts.next()?);
        let fits = |part: &str, bytes: usize| {
            part.len() == bytes * 2 && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_token = prefix == PREFIX
            && fits(id, ID_BYTES)
            && fits(secret, SECRET_BYTES)
            && parts.next().is_none();
        is_token.then(|| Self {
            id: id.to_owned(),
            secret: Secret::new(secret),
        })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// The whole token, to be shown once or sent.
    pub fn reveal(&self) -> Secret {
        Secret::new(format!("{PREFIX}_{}_{}", self.id, self.secret.expose()))
    }

    /// What is stored instead of the secret. The secret is 32 random bytes, so one round of SHA-256 is enough.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret.expose().as_bytes()).into()
    }

    /// In constant time.
    fn has_hash(&self, hash: &[u8; 32]) -> bool {
        self.hash().ct_eq(hash).into()
    }

    /// The token as the ledger keeps it.
    pub fn stored(&self, grant: &Grant, created_at: Timestamp) -> StoredToken {
        let tenants = match &grant.tenants {
            Tenants::All => Vec::new(),
            Tenants::Some(tenants) => tenants.iter().cloned().collect(),
        };
        StoredToken {
            id: self.id.clone(),
            hash: self.hash(),
            name: grant.name.clone(),
            tenants,
            rights: grant.rights.iter().map(ToString::to_string).collect(),
            created_at,
            expires_at: grant.expires_at,
            revoked_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(tenants: Tenants, rights: &[Right]) -> Principal {
        Principal {
            name: PrincipalId::new("nina"),
            credential: "00".to_owned(),
            tenants,
            rights: rights.iter().copied().collect(),
            expires_at: None,
        }
    }

    #[test]
    fn a_token_reads_back_and_only_its_hash_is_stored() {
        let token = Token::draw().unwrap();
        let text = token.reveal();
        let again = Token::parse(text.expose()).unwrap();
        assert_eq!(again.id(), token.id());
        assert!(again.has_hash(&token.hash()));
        assert!(!Token::draw().unwrap().has_hash(&token.hash()));
        assert!(!format!("{token:?}").contains(token.secret.expose()));
    }

    #[test]
    fn what_is_no_token_is_none() {
        let (id, secret) = ("0123456789abcdef", "a".repeat(64));
        assert!(Token::parse(&format!("caerus_{id}_{secret}")).is_some());
        for text in [
            String::new(),
            "caerus".to_owned(),
            format!("caerus_{id}"),
            format!("other_{id}_{secret}"),
            format!("caerus_{id}_{secret}_"),
            format!("caerus_{id}_{}", "A".repeat(64)),
            format!("caerus_{id}_{}", "a".repeat(63)),
            format!("caerus_{id}a_{secret}"),
            format!(" caerus_{id}_{secret}"),
        ] {
            assert!(Token::parse(&text).is_none(), "{text}");
        }
    }

    #[test]
    fn every_right_reads_back_by_name() {
        let back: Vec<_> = Right::ALL.iter().map(|r| Right::parse(r.name())).collect();
        assert_eq!(back, Right::ALL.map(Some));
        assert_eq!(Right::parse("Admin"), None);
    }

    #[test]
    fn a_right_is_no_other_and_a_tenant_is_no_other() {
        let [acme, globex] = ["acme", "globex"].map(TenantId::new);
        let one = Tenants::Some(BTreeSet::from([acme.clone()]));
        for held in Right::ALL {
            for asked in Right::ALL {
                let answer = principal(one.clone(), &[held]).demand(asked, &acme);
                assert_eq!(answer.is_ok(), held == asked, "{held} for {asked}");
            }
        }
        let reader = principal(one, &[Right::Read]);
        let refused = reader.demand(Right::Read, &globex).unwrap_err();
        assert_eq!(
            (refused.status().as_u16(), refused.detail()),
            (403, "this credential is not for that tenant")
        );
        let refused = reader
            .demand_any(&[Right::Stream, Right::Operate], &acme)
            .unwrap_err();
        assert_eq!(
            refused.detail(),
            "this needs the right `stream` or `operate`"
        );
        let everywhere = principal(Tenants::from_list(&[]), &[Right::Read]);
        assert!(everywhere.demand(Right::Read, &globex).is_ok());
    }
}

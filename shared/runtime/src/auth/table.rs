//! The credentials that stand, as a snapshot everybody reads without waiting. Knows no database: it is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use caerus_engine::id::PrincipalId;
use caerus_engine::time::{Span, Timestamp};
use tokio::sync::watch;

use super::{Principal, Right, Tenants, Token};
use crate::metric::label::AuthFailure;
use crate::port::{Clock, Ledger, PortResult, StoredToken};
use crate::shutdown::Shutdown;
use crate::tasks::chain;

/// How often another process's new and revoked tokens are looked for.
pub const REFRESH: Duration = Duration::from_secs(5);
/// The wall clock may be set meanwhile, so an expiry is looked at again at least this often.
const LOOK_AGAIN: Span = Span::seconds(30);

type Snapshot = Arc<BTreeMap<String, StoredToken>>;

/// Tokens by id. Clones share one snapshot.
#[derive(Clone, Debug)]
pub struct TokenTable {
    tokens: Arc<watch::Sender<Snapshot>>,
    clock: Arc<dyn Clock>,
}

impl TokenTable {
    /// Empty: nobody gets in.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            tokens: Arc::new(watch::Sender::new(Snapshot::default())),
            clock,
        }
    }

    /// Takes the ledger's tokens over. On an error the table stays as it is.
    pub async fn refresh(&self, ledger: &dyn Ledger) -> PortResult<()> {
        self.publish(ledger.tokens().await?);
        Ok(())
    }

    /// These, and no others, from now on.
    pub fn publish(&self, tokens: Vec<StoredToken>) {
        let fresh: BTreeMap<_, _> = tokens
            .into_iter()
            .map(|token| (token.id.clone(), token))
            .collect();
        self.tokens.send_if_modified(|held| {
            let is_changed = **held != fresh;
            if is_changed {
                *held = Arc::new(fresh);
            }
            is_changed
        });
    }

    /// Refreshes every `period` until the shutdown. While the ledger does not answer, the last snapshot stands.
    pub async fn keep_fresh(self, ledger: Arc<dyn Ledger>, period: Duration, shutdown: Shutdown) {
        while shutdown
            .unless_begun(tokio::time::sleep(period))
            .await
            .is_some()
        {
            if let Err(error) = self.refresh(ledger.as_ref()).await {
                tracing::warn!(
                    error = chain(&error),
                    "tokens not refreshed; the last ones stand"
                );
            }
        }
    }

    /// Who presents this. *Errors*: why not, for the metrics and the log, never for the asker.
    pub fn authenticate(&self, presented: &str) -> Result<Principal, AuthFailure> {
        let token = Token::parse(presented).ok_or(AuthFailure::Malformed)?;
        let held = Arc::clone(&self.tokens.borrow());
        // An unknown id costs the same hash and comparison as a known one.
        let stored = held.get(token.id());
        let hash = stored.map_or([0; 32], |stored| stored.hash);
        let is_right = token.has_hash(&hash);
        match stored {
            Some(stored) if is_right => {
                standing(stored, self.clock.now())?;
                Ok(principal(stored))
            }
            _ => Err(AuthFailure::Unknown),
        }
    }

    /// Whether the principal's credential still stands, with the rights and tenants it was seen with.
    pub fn stands(&self, principal: &Principal) -> bool {
        let held = Arc::clone(&self.tokens.borrow());
        held.get(&principal.credential).is_some_and(|stored| {
            standing(stored, self.clock.now()).is_ok() && self::principal(stored) == *principal
        })
    }

    /// Returns when the principal's credential ends: revoked, expired, changed or gone. For connections that outlive
    /// the request that opened them.
    pub async fn ended(&self, principal: &Principal) {
        let mut changes = self.tokens.subscribe();
        while self.stands(principal) {
            let left = principal
                .expires_at
                .map_or(LOOK_AGAIN, |at| at.since(self.clock.now()).min(LOOK_AGAIN));
            // At least a millisecond, so that a clock that stands still cannot make this spin.
            let wait = Duration::from_millis(u64::try_from(left.0).unwrap_or(0).max(1));
            tokio::select! {
                changed = changes.changed() => debug_assert!(changed.is_ok(), "the sender is ours"),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

fn standing(token: &StoredToken, now: Timestamp) -> Result<(), AuthFailure> {
    if token.revoked_at.is_some() {
        Err(AuthFailure::Revoked)
    } else if token.expires_at.is_some_and(|at| at <= now) {
        Err(AuthFailure::Expired)
    } else {
        Ok(())
    }
}

/// A right this version does not know is not granted.
fn principal(token: &StoredToken) -> Principal {
    Principal {
        name: PrincipalId::new(token.name.as_str()),
        credential: token.id.clone(),
        tenants: Tenants::from_list(&token.tenants),
        rights: token
            .rights
            .iter()
            .filter_map(|r| Right::parse(r))
            .collect(),
        expires_at: token.expires_at,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use caerus_engine::id::TenantId;

    use super::*;
    use crate::auth::Grant;
    use crate::sample::SetClock;

    const NOON: Timestamp = Timestamp(1_790_000_000_000);

    fn grant(expires_at: Option<Timestamp>) -> Grant {
        Grant {
            name: "okta-feed".to_owned(),
            tenants: Tenants::Some(BTreeSet::from([TenantId::new("acme")])),
            rights: BTreeSet::from([Right::Events]),
            expires_at,
        }
    }

    #[test]
    fn only_a_token_that_stands_gets_in() {
        let clock = SetClock::at(NOON);
        let table = TokenTable::new(Arc::new(clock.clone()));
        let good = Token::draw().unwrap();
        let expiring = Token::draw().unwrap();
        let revoked = Token::draw().unwrap();
        let at = NOON + Span::minutes(1);
        let mut taken_back = revoked.stored(&grant(None), NOON);
        taken_back.revoked_at = Some(NOON);
        table.publish(vec![
            good.stored(&grant(None), NOON),
            expiring.stored(&grant(Some(at)), NOON),
            taken_back,
        ]);
        let ask = |token: &Token| {
            let answer = table.authenticate(token.reveal().expose());
            answer.map(|principal| principal.name.to_string())
        };
        assert_eq!(ask(&good), Ok("okta-feed".to_owned()));
        assert_eq!(ask(&expiring), Ok("okta-feed".to_owned()));
        assert_eq!(ask(&revoked), Err(AuthFailure::Revoked));
        assert_eq!(ask(&Token::draw().unwrap()), Err(AuthFailure::Unknown));
        let other_secret = format!("caerus_{}_{}", good.id(), "0".repeat(64));
        assert_eq!(table.authenticate(&other_secret), Err(AuthFailure::Unknown));
        assert_eq!(table.authenticate("hunter2"), Err(AuthFailure::Malformed));
        clock.set(at);
        assert_eq!(ask(&expiring), Err(AuthFailure::Expired));
    }

    #[test]
    fn a_right_of_a_newer_version_is_not_granted() {
        let table = TokenTable::new(Arc::new(SetClock::at(NOON)));
        let token = Token::draw().unwrap();
        let mut stored = token.stored(&grant(None), NOON);
        stored.rights.push("teleport".to_owned());
        table.publish(vec![stored]);
        let principal = table.authenticate(token.reveal().expose()).unwrap();
        assert_eq!(principal.rights, BTreeSet::from([Right::Events]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_connection_hears_that_its_credential_ended() {
        let clock = SetClock::at(NOON);
        let table = TokenTable::new(Arc::new(clock.clone()));
        let token = Token::draw().unwrap();
        let mut stored = token.stored(&grant(Some(NOON + Span::minutes(5))), NOON);
        table.publish(vec![stored.clone()]);
        let principal = table.authenticate(token.reveal().expose()).unwrap();
        let ended = table.ended(&principal);
        tokio::pin!(ended);
        tokio::select! {
            biased;
            () = &mut ended => panic!("it stands"),
            () = tokio::time::sleep(Duration::from_secs(120)) => {}
        }
        stored.revoked_at = Some(NOON);
        table.publish(vec![stored.clone()]);
        ended.await;

        stored.revoked_at = None;
        table.publish(vec![stored]);
        clock.set(NOON + Span::minutes(5));
        table.ended(&principal).await;
    }
}

//! One request, ruled: proxy, route, identity, freshness, picture, in this order. Knows the surfaces' answers, not their
//! routes.
//!
//! The check path takes one short look at the picture under its read lock; whoever a request names is compared there by
//! counted references, not by copies of text.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use axum::response::Response;
use caerus_engine::id::AppId;
use caerus_engine::time::{Span, Timestamp};
use caerus_runtime::metric::label::{CheckAnswer, Labels as _, StaleAnswer};
use caerus_runtime::metric::{Counter, Enforcer as EnforcerMetrics, Histogram};
use caerus_runtime::port::Clock;
use http::HeaderMap;
use tokio::time::Instant;

use crate::answer::{BadIdentity, BadProxy, MicrosoftRules, Ruling, respond};
use crate::forward::{self, Forwarded, Peers, ProxyKind};
use crate::holding::Reader;
use crate::identity::{Identity, IdentityRules};
use crate::judge::{Classes, Credential, Demand, Proof, Request, Verdict, judge};
use crate::report::{Met, Reporter};
use crate::route::{OnAnonymous, OnStale, Route, Routes};
use crate::token::Token;

/// All that rulings follow from, beside the picture.
#[derive(Clone, Debug)]
pub struct Rules {
    pub proxy: ProxyKind,
    pub trusted: Peers,
    pub identity: IdentityRules,
    pub routes: Routes,
    pub classes: Classes,
    pub microsoft: MicrosoftRules,
}

/// What a gate is made of.
#[derive(Debug)]
pub struct GateParts {
    pub rules: Rules,
    pub picture: Reader,
    pub clock: Arc<dyn Clock>,
    /// `None`: met step-ups are not told to anybody.
    pub reporter: Option<Reporter>,
    pub metrics: EnforcerMetrics,
}

/// Rules on requests.
#[derive(Debug)]
pub struct Gate {
    rules: Rules,
    picture: Reader,
    clock: Arc<dyn Clock>,
    reporter: Option<Reporter>,
    checks: BTreeMap<CheckAnswer, Counter>,
    stale_checks: BTreeMap<StaleAnswer, Counter>,
    check_seconds: Histogram,
}

/// A request whose identity and route are known.
#[derive(Debug)]
pub struct Asked<'a> {
    pub route: &'a Route,
    pub identity: Identity,
    /// The app and sensitivity, where the asker names others than the route.
    pub app: Option<AppId>,
    pub sensitivity: u8,
    pub address: Option<IpAddr>,
}

impl Gate {
    pub fn new(parts: GateParts) -> Self {
        let checks = CheckAnswer::all()
            .into_iter()
            .map(|answer| (answer, parts.metrics.checks.of(&answer)))
            .collect();
        let stale_checks = StaleAnswer::all()
            .into_iter()
            .map(|answer| (answer, parts.metrics.stale_checks.of(&answer)))
            .collect();
        Self {
            rules: parts.rules,
            picture: parts.picture,
            clock: parts.clock,
            reporter: parts.reporter,
            checks,
            stale_checks,
            check_seconds: parts.metrics.check_seconds.clone(),
        }
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    pub fn picture(&self) -> &Reader {
        &self.picture
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The picture's age; `None` when it was never complete.
    pub fn age(&self) -> Option<Span> {
        self.picture.age(self.clock.monotonic_ms())
    }

    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.rules.trusted.contains(peer)
    }

    /// Answers a proxy that asks about the request whose headers these are.
    pub async fn check(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Response {
        let started = Instant::now();
        let (ruling, understands_claims) = match self.identified(peer, headers).await {
            Ok(asked) => {
                let token = asked.identity.token.as_ref();
                let understands = token.is_some_and(|token| token.understands_claims_challenge);
                (self.rule(&asked), understands)
            }
            Err(ruling) => (ruling, false),
        };
        self.note(&ruling);
        self.check_seconds.observe(started.elapsed().as_secs_f64());
        respond(&ruling, understands_claims.then_some(&self.rules.microsoft))
    }

    async fn identified(
        &self,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
    ) -> Result<Asked<'_>, Ruling> {
        let (forwarded, route) = self.routed(peer, headers).map_err(Ruling::BadProxy)?;
        let identity = self
            .rules
            .identity
            .identify(headers, self.clock.now())
            .await
            .map_err(|error| Ruling::BadIdentity(error.into()))?;
        Ok(Asked {
            route,
            identity,
            app: route.app.clone(),
            sensitivity: route.sensitivity,
            address: forwarded.address,
        })
    }

    fn routed(
        &self,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
    ) -> Result<(Forwarded, &Route), BadProxy> {
        if !peer.is_some_and(|peer| self.trusts(peer)) {
            return Err(BadProxy::Peer);
        }
        let forwarded = forward::read(self.rules.proxy, headers)?;
        let route = self.rules.routes.find(&forwarded)?;
        Ok((forwarded, route))
    }

    /// Rules on a request whose identity is known. The order is that of severity: nobody, revoked, stale, step-up,
    /// restricted; what an old picture still says is never milder for its age.
    pub fn rule(&self, asked: &Asked<'_>) -> Ruling {
        let Asked {
            route, identity, ..
        } = asked;
        if identity.is_anonymous() && route.on_anonymous == OnAnonymous::Deny {
            return Ruling::Anonymous;
        }
        let now = self.clock.now();
        let request = request(asked);
        let judgement = self
            .picture
            .look(|picture| judge(picture, &request, &self.rules.classes, now));
        if let Some(reporter) = &self.reporter {
            for decision in judgement.met {
                if let Some(met) = Met::of(&request, decision, asked.address) {
                    reporter.report(met);
                }
            }
        }
        let (mut demand, restrict) = match judgement.verdict {
            Verdict::Conflict => return Ruling::BadIdentity(BadIdentity::Conflict),
            Verdict::Revoke(decision) => return Ruling::Revoked(decision),
            Verdict::StepUp(demand) => (Some(demand), None),
            Verdict::Restrict(decision) => (None, Some(decision)),
            Verdict::Pass => (None, None),
        };
        if self.is_stale(route) {
            self.count_stale(route.on_stale);
            match route.on_stale {
                OnStale::Allow => {}
                OnStale::Deny => return Ruling::Stale,
                OnStale::StepUp => {
                    let for_age = self.stale_demand(route, &request, now);
                    demand = match (demand, for_age) {
                        (Some(demand), Some(for_age)) => Some(demand.and(for_age)),
                        (demand, for_age) => demand.or(for_age),
                    };
                }
            }
        }
        match (demand, restrict) {
            (Some(demand), _) => Ruling::StepUp(demand),
            (None, Some(decision)) => Ruling::Restricted(decision),
            (None, None) => Ruling::Allow,
        }
    }

    /// What staleness asks for; `None` where the request's proof is recent enough.
    fn stale_demand(&self, route: &Route, request: &Request, now: Timestamp) -> Option<Demand> {
        let requires = &route.stale_requires;
        let is_recent = request
            .proof
            .as_ref()
            .is_some_and(|proof| proof.is_recent(requires, &self.rules.classes, now));
        (!is_recent).then(|| Demand {
            acr_values: requires.acr_values.clone(),
            max_age_s: requires.max_age_s,
            decision: None,
        })
    }

    fn is_stale(&self, route: &Route) -> bool {
        self.age().is_none_or(|age| age > route.max_staleness)
    }

    fn count_stale(&self, on_stale: OnStale) {
        let answer = match on_stale {
            OnStale::Allow => StaleAnswer::Allow,
            OnStale::StepUp => StaleAnswer::StepUp,
            OnStale::Deny => StaleAnswer::Deny,
        };
        if let Some(counter) = self.stale_checks.get(&answer) {
            counter.inc();
        }
    }

    /// Counts a ruling, and tells the log what the asker is not told.
    pub fn note(&self, ruling: &Ruling) {
        if let Some(counter) = ruling.label().and_then(|label| self.checks.get(&label)) {
            counter.inc();
        }
        match ruling {
            Ruling::BadProxy(error) => tracing::debug!(%error, "proxy not believed"),
            Ruling::BadIdentity(error) => tracing::debug!(%error, "identity refused"),
            _ => {
                if let Some(decision) = ruling.decision() {
                    tracing::debug!(
                        decision = %decision.id,
                        reason = ruling.reason(),
                        "request refused"
                    );
                }
            }
        }
    }
}

fn request(asked: &Asked<'_>) -> Request {
    let identity = &asked.identity;
    let authenticated_at = |token: &Token| {
        let stand_in = token.issued_at.filter(|_| asked.route.is_iat_auth_time);
        token.authenticated_at.or(stand_in)
    };
    let of_token = identity
        .token
        .as_ref()
        .filter(|token| token.user.is_some() || token.session.is_some())
        .map(|token| Credential {
            session: token.session.clone(),
            authenticated_at: authenticated_at(token),
        });
    let of_sessions = identity.sessions.iter().map(|session| Credential {
        session: Some(session.clone()),
        authenticated_at: None,
    });
    let proof = identity
        .token
        .as_ref()
        .filter(|token| token.is_verified)
        .and_then(|token| {
            Some(Proof {
                session: token.session.clone(),
                classes: token.classes.clone(),
                amr: token.amr.clone(),
                authenticated_at: authenticated_at(token)?,
            })
        });
    Request {
        tenant: identity
            .tenant
            .clone()
            .unwrap_or_else(|| asked.route.tenant.clone()),
        user: identity.user.clone(),
        device: identity.device.clone(),
        workload: identity.workload.clone(),
        app: asked.app.clone(),
        sensitivity: asked.sensitivity,
        credentials: of_token.into_iter().chain(of_sessions).collect(),
        proof,
    }
}

#[cfg(test)]
mod tests;

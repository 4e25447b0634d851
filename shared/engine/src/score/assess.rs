//! Adds evidence up, per hypothesis, and explains the sum. *Source*: reference/scoring.md §6.1 and rulings 1, 4, 12.
//!
//! INVARIANT (INV-3): the contributions add up exactly to the raw score.

mod bearing;

use super::model::{Model, prior};
use super::{Assessment, CapOf, Contribution, Hypothesis, Line};
use crate::evidence::{Code, Detail, Evidence, NEGLIGIBLE};
use crate::id::EventId;
use crate::number::{Nats, Points, quantise};
use crate::signal::Verdict;

use bearing::{FAMILIES, bounds, is_material, weigh_family};

/// One item of evidence as it counts now: faded, and after what analysts dismissed of it.
#[derive(Clone, Debug)]
pub struct Exhibit<'a> {
    pub code: Code,
    pub key: u64,
    /// *Units*: nats, before the family's weight.
    pub nats: f64,
    pub event: &'a EventId,
    pub detail: ExhibitDetail<'a>,
    /// A met step-up disproved it: it does not count for a stolen credential or session.
    pub is_disproved: bool,
}

#[derive(Clone, Debug)]
pub enum ExhibitDetail<'a> {
    Told(&'a Detail),
    /// Made for this assessment, e.g. from a device's standing.
    Made(Detail),
}

impl<'a> Exhibit<'a> {
    pub fn of(evidence: &'a Evidence, now: crate::time::Timestamp) -> Self {
        Self {
            code: evidence.code,
            key: evidence.key,
            nats: evidence.nats_at(now),
            event: &evidence.event,
            detail: ExhibitDetail::Told(&evidence.detail),
            is_disproved: false,
        }
    }

    fn detail(&self) -> &Detail {
        match &self.detail {
            ExhibitDetail::Told(detail) => detail,
            ExhibitDetail::Made(detail) => detail,
        }
    }
}

/// What kind of subject is assessed; which hypotheses may compete follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bench {
    Session {
        is_device_proven: bool,
    },
    Device,
    Workload,
    /// A tenant's logins taken together.
    Tenant,
}

/// Facts about the whole of the evidence, on which single items depend.
#[derive(Clone, Copy, Debug)]
struct Court {
    bench: Bench,
    binding: Binding,
    has_novelty: bool,
}

/// Whether the session broke from where it began, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binding {
    Kept,
    Broken,
    /// A change of country already says what travel would.
    BrokenByCountry,
}

impl Court {
    fn has_binding(self) -> bool {
        self.binding != Binding::Kept
    }
}

/// Trust is worth at most this much. *Units*: nats.
const TRUST_MIN: f64 = -6.0;
/// Criticality counts only where the positive evidence exceeds this.
const CRITICALITY_FLOOR: f64 = 0.5;

/// The assessment of one subject. `worth` is the criticality's odds multiplier, 1 for an ordinary subject.
pub fn assess(model: &Model, bench: Bench, exhibits: &[Exhibit<'_>], worth: f64) -> Assessment {
    assess_without(model, bench, exhibits, worth, None)
}

/// The same, as if one hypothesis did not compete: what a decision rests on that is not about that hypothesis.
pub fn assess_without(
    model: &Model,
    bench: Bench,
    exhibits: &[Exhibit<'_>],
    worth: f64,
    without: Option<Hypothesis>,
) -> Assessment {
    let counts =
        |exhibit: &&Exhibit<'_>| exhibit.nats > NEGLIGIBLE.as_f64() && !exhibit.is_disproved;
    let court = Court {
        bench,
        binding: binding(exhibits.iter().filter(counts)),
        has_novelty: exhibits
            .iter()
            .filter(counts)
            .any(|e| matches!(e.code, Code::NetChain | Code::DevChain)),
    };
    let mut sums: Vec<Sum<'_>> = Hypothesis::ALL
        .into_iter()
        .map(|hypothesis| Sum::of(hypothesis, court, exhibits, worth))
        .filter(|sum| sum.competes(bench) && Some(sum.hypothesis) != without)
        .collect();
    let hypotheses = sums
        .iter()
        .map(|sum| {
            (
                sum.hypothesis,
                Points(quantise(model.points(sum.total) * 100.0)).to_score(),
            )
        })
        .collect();
    // The first of equals wins: `max_by` would take the last.
    let mut best: Option<usize> = None;
    for (index, sum) in sums.iter().enumerate() {
        let leads = best
            .and_then(|held| sums.get(held))
            .is_none_or(|held| sum.total > held.total);
        if leads {
            best = Some(index);
        }
    }
    let Some(best) = best else {
        return Assessment::nothing();
    };
    let winner = sums.swap_remove(best);
    winner.explain(model, hypotheses)
}

fn binding<'a>(counting: impl Iterator<Item = &'a Exhibit<'a>>) -> Binding {
    let mut binding = Binding::Kept;
    for exhibit in counting.filter(|exhibit| exhibit.code == Code::Binding) {
        if binds_country(exhibit.detail()) {
            return Binding::BrokenByCountry;
        }
        binding = Binding::Broken;
    }
    binding
}

fn binds_country(detail: &Detail) -> bool {
    let Detail::Binding { changes } = detail else {
        return false;
    };
    changes
        .iter()
        .any(|change| matches!(change, crate::evidence::BindingChange::Country { .. }))
}

struct Sum<'a> {
    hypothesis: Hypothesis,
    parts: Vec<Part<'a>>,
    total: f64,
    has_positive: bool,
}

/// A line before it is rounded. *Units*: nats.
struct Part<'a> {
    nats: f64,
    source: Source<'a>,
}

enum Source<'a> {
    Exhibit(&'a Exhibit<'a>),
    Cap(CapOf),
    Criticality,
}

impl<'a> Sum<'a> {
    fn of(hypothesis: Hypothesis, court: Court, exhibits: &'a [Exhibit<'a>], worth: f64) -> Self {
        let mut parts: Vec<Part<'a>> = Vec::new();
        let mut trust = 0.0;
        let mut total = 0.0;
        for family in FAMILIES {
            let has_any = exhibits
                .iter()
                .any(|exhibit| exhibit.code.family() == family);
            if !has_any {
                continue;
            }
            let weighed = weigh_family(hypothesis, family, court, exhibits);
            let sum: f64 = weighed.iter().map(|part| part.nats).sum();
            let (low, high) = bounds(hypothesis, family);
            let capped = sum.clamp(low, high);
            parts.extend(weighed);
            if is_material(capped - sum) {
                let source = Source::Cap(CapOf::Family(family));
                parts.push(Part {
                    nats: capped - sum,
                    source,
                });
            }
            total += capped;
            trust += capped.min(0.0);
        }
        if trust < TRUST_MIN {
            let back = TRUST_MIN - trust;
            parts.push(Part {
                nats: back,
                source: Source::Cap(CapOf::Trust),
            });
            total += back;
        }
        let positive: f64 = parts
            .iter()
            .filter(|part| matches!(part.source, Source::Exhibit(_)))
            .map(|part| part.nats.max(0.0))
            .sum();
        if positive > CRITICALITY_FLOOR && (worth - 1.0).abs() > f64::EPSILON {
            let nats = libm::log(worth);
            parts.push(Part {
                nats,
                source: Source::Criticality,
            });
            total += nats;
        }
        let has_positive = positive > NEGLIGIBLE.as_f64();
        Self {
            hypothesis,
            parts,
            total: total + prior(hypothesis),
            has_positive,
        }
    }

    fn competes(&self, bench: Bench) -> bool {
        match (bench, self.hypothesis) {
            (Bench::Session { .. }, Hypothesis::StolenCredential | Hypothesis::HijackedSession) => {
                true
            }
            (Bench::Session { .. } | Bench::Device, Hypothesis::CompromisedDevice)
            | (Bench::Session { .. } | Bench::Workload, Hypothesis::Misuse)
            | (Bench::Workload, Hypothesis::HijackedSession)
            | (Bench::Tenant, Hypothesis::StolenCredential) => self.has_positive,
            (Bench::Device | Bench::Workload | Bench::Tenant, _) => false,
        }
    }

    fn explain(
        self,
        model: &Model,
        hypotheses: Vec<(Hypothesis, crate::number::Score)>,
    ) -> Assessment {
        let raw = Points(quantise(model.points(self.total) * 100.0));
        let exact: Vec<f64> = core::iter::once(model.points(prior(self.hypothesis)))
            .chain(
                self.parts
                    .iter()
                    .map(|part| model.points_of_difference(part.nats)),
            )
            .collect();
        let rounded = largest_remainder(&exact, raw);
        let mut points = rounded.into_iter();
        let prior_line = Contribution {
            line: Line::Prior,
            points: points.next().unwrap_or_default(),
            event: None,
        };
        let mut lines: Vec<Contribution> = self
            .parts
            .iter()
            .zip(points)
            .filter(|(_, points)| *points != Points::ZERO)
            .map(|(part, points)| part.line(points))
            .collect();
        lines.sort_by_key(|line| core::cmp::Reverse(line.points.0.unsigned_abs()));
        lines.insert(0, prior_line);
        Assessment {
            score: raw.to_score(),
            raw,
            log_odds: Nats::from_f64(self.total),
            hypothesis: Some(self.hypothesis),
            hypotheses,
            contributions: lines,
        }
    }
}

impl Part<'_> {
    fn line(&self, points: Points) -> Contribution {
        match &self.source {
            Source::Exhibit(exhibit) => Contribution {
                line: Line::Evidence {
                    code: exhibit.code,
                    detail: exhibit.detail().clone(),
                },
                points,
                event: Some(exhibit.event.clone()),
            },
            Source::Cap(of) => Contribution {
                line: Line::Cap { of: *of },
                points,
                event: None,
            },
            Source::Criticality => Contribution {
                line: Line::Criticality,
                points,
                event: None,
            },
        }
    }
}

/// Rounds so that the parts add up to `total`: everything down, then one hundredth more to the largest remainders.
fn largest_remainder(exact: &[f64], total: Points) -> Vec<Points> {
    let mut floors: Vec<i64> = exact
        .iter()
        .map(|points| quantise(libm::floor(points * 100.0)))
        .collect();
    let mut missing = total.0 - floors.iter().sum::<i64>();
    let remainder = |index: usize| {
        exact
            .get(index)
            .map_or(0.0, |p| p * 100.0 - libm::floor(p * 100.0))
    };
    let mut order: Vec<usize> = (0..exact.len()).collect();
    order.sort_by(|a, b| remainder(*b).total_cmp(&remainder(*a)).then(a.cmp(b)));
    for index in order.iter().cycle().take(exact.len().saturating_mul(2)) {
        if missing <= 0 {
            break;
        }
        if let Some(floor) = floors.get_mut(*index) {
            *floor += 1;
            missing -= 1;
        }
    }
    // Rounding of the total itself can leave one hundredth too many.
    if let Some(first) = floors.first_mut() {
        *first += missing;
    }
    floors.into_iter().map(Points).collect()
}

/// A verdict counts in the hypotheses of what it names; a device's verdicts carry this key.
pub const DEVICE_VERDICT: u64 = 0xDE71CE;

/// A verdict as evidence would show it.
pub fn verdict_detail(verdict: Verdict, by: &str) -> Detail {
    Detail::Verdict {
        verdict,
        by: by.to_owned(),
    }
}

#[cfg(test)]
mod tests;

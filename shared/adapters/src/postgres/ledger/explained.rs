//! What analysts count of a decision, out of its own JSON. Knows no tables.

use caerus_engine::time::Timestamp;
use caerus_runtime::port::LedgerDecision;
use caerus_wire::decision::PublicDecision;

use super::super::column::{Moment, text, text_or_null};

/// Columns of many decisions, in the order of their rows.
#[derive(Debug, Default)]
pub(super) struct Explained {
    pub(super) workloads: Vec<Option<String>>,
    pub(super) apps: Vec<Option<String>>,
    pub(super) scores: Vec<Option<i16>>,
    pub(super) levels: Vec<Option<String>>,
    pub(super) hypotheses: Vec<Option<String>>,
    pub(super) rules: Vec<Option<String>>,
    pub(super) revisions: Vec<Option<String>>,
    pub(super) causes: Vec<Option<String>>,
    pub(super) received_at: Vec<Option<Moment>>,
    pub(super) decided_at: Vec<Option<Moment>>,
    pub(super) lines: Lines,
}

/// Columns of the contributions of many decisions.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) decisions: Vec<String>,
    pub(super) positions: Vec<i32>,
    pub(super) codes: Vec<String>,
    /// *Units*: hundredths of a point.
    pub(super) points: Vec<i64>,
    pub(super) events: Vec<Option<String>>,
    pub(super) texts: Vec<Option<String>>,
}

impl Explained {
    /// A decision that is not read as one (of a later version, say) is recorded all the same: its JSON is the truth,
    /// and these columns stay empty.
    pub(super) fn add(&mut self, decision: &LedgerDecision) {
        let read = PublicDecision::parse(decision.json.as_bytes()).ok();
        let read = read.as_ref();
        let moment = |at: Option<Timestamp>| at.map(Moment);
        let target = read.map(|told| &told.target);
        self.workloads
            .push(text_or_null(target.and_then(|of| of.workload.as_deref())));
        self.apps
            .push(text_or_null(target.and_then(|of| of.app.as_deref())));
        self.scores.push(read.map(|told| i16::from(told.score)));
        self.levels
            .push(read.map(|told| told.level.name().to_owned()));
        self.hypotheses.push(
            read.and_then(|told| told.hypothesis)
                .map(|hypothesis| hypothesis.name().to_owned()),
        );
        self.rules.push(text_or_null(
            read.and_then(|told| told.policy.rule.as_deref()),
        ));
        self.revisions
            .push(read.map(|told| text(&told.policy.revision)));
        self.causes.push(read.map(|told| text(&told.cause)));
        self.received_at
            .push(moment(read.and_then(|told| told.received_at)));
        self.decided_at
            .push(moment(read.and_then(|told| told.decided_at)));
        if let Some(told) = read {
            self.lines.add(decision, told);
        }
    }
}

impl Lines {
    fn add(&mut self, decision: &LedgerDecision, told: &PublicDecision) {
        for (position, line) in (0_i32..).zip(&told.contributions) {
            self.decisions.push(text(&decision.id));
            self.positions.push(position);
            self.codes.push(text(&line.code));
            self.points.push(line.points.0);
            self.events.push(text_or_null(line.event.as_deref()));
            self.texts.push(text_or_null(line.text.as_deref()));
        }
    }
}

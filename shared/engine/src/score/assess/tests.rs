//! The worked rows of the model, on bare evidence; the same rows run through `replay` in the `tests` room.

use super::*;
use crate::evidence::Family;
use crate::evidence::{BindingChange, CheckState, Told};
use crate::id::CountryCode;
use crate::signal::PostureCheck;
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn item(code: Code, key: u64, nats: f64) -> Evidence {
    let detail = match code {
        Code::Binding if nats > 3.5 => Detail::Binding {
            changes: vec![BindingChange::Country {
                from: Some(CountryCode(*b"DE")),
                to: Some(CountryCode(*b"NG")),
            }],
        },
        _ => Detail::Check {
            check: PostureCheck::Edr,
            state: CheckState::Failing,
        },
    };
    Evidence::new(
        code,
        key,
        nats,
        Told {
            event: EventId::new("e-1"),
            at: NOW,
            detail,
        },
    )
}

const SESSION: Bench = Bench::Session {
    is_device_proven: false,
};

fn check(bench: Bench, evidence: &[Evidence], expected: &[(Hypothesis, u8)]) -> Assessment {
    let exhibits: Vec<Exhibit<'_>> = evidence.iter().map(|item| Exhibit::of(item, NOW)).collect();
    let assessment = assess(&Model::default(), bench, &exhibits, 1.0);
    for (hypothesis, score) in expected {
        assert_eq!(
            assessment.of(*hypothesis).0,
            *score,
            "{hypothesis:?} of {evidence:?}"
        );
    }
    let sum: Points = assessment
        .contributions
        .iter()
        .map(|line| line.points)
        .sum();
    assert_eq!(
        sum, assessment.raw,
        "the lines add up: {:?}",
        assessment.contributions
    );
    assessment
}

use Hypothesis::{CompromisedDevice, HijackedSession, Misuse, StolenCredential};

type Row = (Bench, Vec<Evidence>, Hypothesis, u8);

fn strange(more: Option<(Code, f64)>) -> Vec<Evidence> {
    let mut all = vec![
        item(Code::DevChain, 1, 3.237),
        item(Code::NetChain, 1, 3.216),
    ];
    all.extend(more.map(|(code, nats)| item(code, 1, nats)));
    all
}

fn known_network(other: Code, nats: f64) -> Vec<Evidence> {
    vec![item(Code::NetChain, 1, -3.0), item(other, 1, nats)]
}

#[test]
fn the_worked_rows_of_the_model_come_out() {
    let travelled = [moved(4.0, 2.757), vec![item(Code::Travel, 1, 3.9)]].concat();
    let rows: [Row; 12] = [
        (
            SESSION,
            known_network(Code::DevChain, -2.0),
            HijackedSession,
            16,
        ),
        (
            SESSION,
            known_network(Code::DevChain, 3.237),
            StolenCredential,
            18,
        ),
        (SESSION, strange(None), StolenCredential, 65),
        (
            SESSION,
            strange(Some((Code::AuthChain, -0.7))),
            StolenCredential,
            58,
        ),
        (
            SESSION,
            strange(Some((Code::Travel, 3.91))),
            StolenCredential,
            100,
        ),
        (
            SESSION,
            strange(Some((Code::NetClass, 3.0))),
            StolenCredential,
            98,
        ),
        (
            SESSION,
            known_network(Code::Binding, 0.2),
            HijackedSession,
            18,
        ),
        (SESSION, moved(2.5, 3.105), HijackedSession, 67),
        (SESSION, travelled, HijackedSession, 81),
        (
            Bench::Device,
            vec![item(Code::Posture, 1, 0.5)],
            CompromisedDevice,
            37,
        ),
        (
            Bench::Device,
            vec![item(Code::EdrAlert, 1, 5.0)],
            CompromisedDevice,
            86,
        ),
        (SESSION, insider(), Misuse, 97),
    ];
    for (bench, evidence, hypothesis, score) in rows {
        check(bench, &evidence, &[(hypothesis, score)]);
    }
    check(
        SESSION,
        &insider(),
        &[(StolenCredential, 16), (HijackedSession, 16)],
    );
}

fn moved(binding: f64, novelty: f64) -> Vec<Evidence> {
    vec![
        item(Code::Binding, 1, binding),
        item(Code::NetChain, 1, novelty),
    ]
}

fn insider() -> Vec<Evidence> {
    vec![item(Code::AccVol, 1, 4.0), item(Code::AccFanout, 1, 4.0)]
}

#[test]
fn a_trusted_laptop_does_not_cancel_malware_on_it() {
    let trusted = [
        item(Code::NetChain, 1, -3.0),
        item(Code::DevChain, 1, -3.0),
        item(Code::EdrAlert, 9, 5.0),
    ];
    let assessment = check(
        SESSION,
        &trusted,
        &[(CompromisedDevice, 86), (StolenCredential, 0)],
    );
    assert_eq!(assessment.hypothesis, Some(CompromisedDevice));
}

#[test]
fn without_evidence_a_device_has_no_score_and_a_session_its_prior() {
    let nothing = check(Bench::Device, &[], &[]);
    assert_eq!(
        (
            nothing.score.0,
            nothing.hypothesis,
            nothing.contributions.len()
        ),
        (0, None, 0)
    );
    let prior = check(SESSION, &[], &[(StolenCredential, 16)]);
    assert_eq!(prior.hypothesis, Some(StolenCredential));
}

#[test]
fn events_of_one_code_add_up_as_a_fading_series_and_a_family_is_capped() {
    let alerts: Vec<Evidence> = (0..8).map(|key| item(Code::EdrAlert, key, 3.0)).collect();
    let assessment = check(Bench::Device, &alerts, &[]);
    let shown = assessment
        .contributions
        .iter()
        .filter(|line| matches!(line.line, Line::Evidence { .. }));
    assert_eq!(shown.count(), 3);
    let many = [
        item(Code::EdrAlert, 1, 5.0),
        item(Code::EdrAlert, 2, 5.0),
        item(Code::Posture, 3, 3.0),
    ];
    let capped = check(Bench::Device, &many, &[(CompromisedDevice, 97)]);
    assert!(capped.contributions.iter().any(|line| matches!(
        line.line,
        Line::Cap {
            of: CapOf::Family(Family::Posture)
        }
    )));
}

#[test]
fn what_a_step_up_disproved_does_not_count_and_malware_is_never_disproved() {
    let evidence = [item(Code::NetChain, 1, 3.2), item(Code::EdrAlert, 2, 5.0)];
    let exhibits: Vec<Exhibit<'_>> = evidence
        .iter()
        .map(|e| Exhibit {
            is_disproved: true,
            ..Exhibit::of(e, NOW)
        })
        .collect();
    let assessment = assess(&Model::default(), SESSION, &exhibits, 1.0);
    assert_eq!(
        (
            assessment.of(StolenCredential).0,
            assessment.of(CompromisedDevice).0
        ),
        (16, 86)
    );
}

#[test]
fn criticality_is_a_line_of_its_own_and_only_beside_evidence() {
    let evidence = [item(Code::NetChain, 1, 3.216)];
    let exhibits: Vec<Exhibit<'_>> = evidence.iter().map(|e| Exhibit::of(e, NOW)).collect();
    let worth = assess(&Model::default(), SESSION, &exhibits, 2.0);
    assert!(
        worth
            .contributions
            .iter()
            .any(|line| line.line == Line::Criticality)
    );
    let without = assess(&Model::default(), SESSION, &[], 2.0);
    assert_eq!(without.contributions.len(), 1);
}

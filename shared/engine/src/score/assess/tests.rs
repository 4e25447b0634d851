//! The worked rows of the model, on bare evidence; the same rows run through `replay` in the `tests` room.

use super::*;
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

#[test]
fn the_worked_rows_of_the_model_come_out() {
    let new_device = || item(Code::DevChain, 1, 3.237);
    let known_network = || item(Code::NetChain, 1, -3.0);
    let new_prefix = || item(Code::NetChain, 1, 3.216);
    check(
        SESSION,
        &[known_network(), item(Code::DevChain, 1, -2.0)],
        &[(StolenCredential, 0), (HijackedSession, 16)],
    );
    check(
        SESSION,
        &[new_device(), known_network()],
        &[(StolenCredential, 18)],
    );
    check(
        SESSION,
        &[new_device(), new_prefix()],
        &[(StolenCredential, 65)],
    );
    check(
        SESSION,
        &[new_device(), new_prefix(), item(Code::AuthChain, 1, -0.7)],
        &[(StolenCredential, 58)],
    );
    check(
        SESSION,
        &[new_device(), new_prefix(), item(Code::Travel, 1, 3.91)],
        &[(StolenCredential, 100)],
    );
    check(
        SESSION,
        &[new_device(), new_prefix(), item(Code::NetClass, 1, 3.0)],
        &[(StolenCredential, 98)],
    );
    check(
        SESSION,
        &[item(Code::Binding, 1, 0.2), known_network()],
        &[(HijackedSession, 18)],
    );
    check(
        SESSION,
        &[item(Code::Binding, 1, 2.5), item(Code::NetChain, 1, 3.105)],
        &[(HijackedSession, 67)],
    );
    check(
        SESSION,
        &[
            item(Code::Binding, 1, 4.0),
            item(Code::NetChain, 1, 2.757),
            item(Code::Travel, 1, 3.9),
        ],
        &[(HijackedSession, 81)],
    );
    check(
        Bench::Device,
        &[item(Code::Posture, 1, 0.5)],
        &[(CompromisedDevice, 37)],
    );
    check(
        Bench::Device,
        &[item(Code::EdrAlert, 1, 5.0)],
        &[(CompromisedDevice, 86)],
    );
    check(
        SESSION,
        &[item(Code::AccVol, 1, 4.0), item(Code::AccFanout, 1, 4.0)],
        &[
            (Misuse, 97),
            (StolenCredential, 16),
            (HijackedSession, 16),
            (CompromisedDevice, 0),
        ],
    );
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

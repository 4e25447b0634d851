//! The worked rows of the model, as events: what `caerus replay --scores` makes of each.
//!
//! *Source*: reference/scoring.md, ruling 3. Each row's history has a hundred observations and three values at the node
//! that is tested, spread evenly over hours and days.

use crate::replayed::{replay, scenarios};

/// A row may miss its score by this much.
const TOLERANCE: i64 = 3;

struct Row {
    history: &'static str,
    /// Its event `e-1` is scored.
    events: &'static str,
    hypothesis: &'static str,
    score: i64,
}

const fn row(
    history: &'static str,
    events: &'static str,
    hypothesis: &'static str,
    score: i64,
) -> Row {
    Row {
        history,
        events,
        hypothesis,
        score,
    }
}

const NETWORKS: &str = "history-three-networks";
const PROVIDERS: &str = "history-three-providers";
const COUNTRIES: &str = "history-three-countries";
const STOLEN: &str = "stolen_credential";
const HIJACKED: &str = "hijacked_session";
const DEVICE: &str = "compromised_device";

const ROWS: &[Row] = &[
    row(NETWORKS, "known-with-push", STOLEN, 0),
    row(NETWORKS, "first-login-ever", STOLEN, 23),
    row(NETWORKS, "new-device", STOLEN, 18),
    row(NETWORKS, "new-device-new-network", STOLEN, 65),
    row(NETWORKS, "new-device-new-network-with-push", STOLEN, 58),
    row(
        "history-three-networks-located",
        "impossible-travel",
        STOLEN,
        100,
    ),
    row(NETWORKS, "tor-new-network", STOLEN, 98),
    row(PROVIDERS, "tor-new-provider", STOLEN, 97),
    row(COUNTRIES, "tor-new-country", STOLEN, 94),
    row(NETWORKS, "address-moved", HIJACKED, 18),
    row(PROVIDERS, "provider-never-seen", HIJACKED, 67),
    row(COUNTRIES, "country-changed", HIJACKED, 81),
    row(COUNTRIES, "country-and-browser-changed", HIJACKED, 100),
    row(NETWORKS, "firewall-off", DEVICE, 37),
    row(NETWORKS, "disk-encryption-off", DEVICE, 42),
    row(NETWORKS, "edr-just-switched-off", DEVICE, 64),
    row(NETWORKS, "edr-alert-high", DEVICE, 64),
    row(NETWORKS, "edr-alert-critical", DEVICE, 86),
    row(NETWORKS, "insider-by-volume-and-fan-out", "misuse", 96),
];

fn files(row: &Row) -> Vec<std::path::PathBuf> {
    let dir = scenarios().join("worked-rows");
    [row.history, row.events]
        .map(|name| dir.join(format!("{name}.jsonl")))
        .to_vec()
}

#[test]
fn the_worked_rows_come_out_of_a_replay() {
    for row in ROWS {
        let replayed = replay(&files(row), &["--scores"], "");
        assert_eq!(replayed.code, 0, "{}: {}", row.events, replayed.stderr);
        let line = replayed.score("e-1");
        let score = line["hypotheses"][row.hypothesis].as_i64().unwrap();
        println!(
            "{:<36} {:<18} {score:>3} (expected {})",
            row.events, row.hypothesis, row.score
        );
        assert!(
            (score - row.score).abs() <= TOLERANCE,
            "{}: {line}",
            row.events
        );
    }
}

#[test]
fn the_prior_of_a_hijack_is_the_score_of_an_ordinary_login() {
    let replayed = replay(&files(&ROWS[0]), &["--scores"], "");
    let line = replayed.score("e-1");
    assert_eq!(
        (line["score"].as_i64(), line["hypothesis"].as_str()),
        (Some(16), Some(HIJACKED))
    );
}

#[test]
fn an_insider_scores_high_for_misuse_alone() {
    let insider = ROWS.last().unwrap();
    let replayed = replay(&files(insider), &["--scores"], "");
    let line = replayed.score("e-1");
    for low in [STOLEN, HIJACKED, DEVICE] {
        let score = line["hypotheses"][low].as_i64().unwrap_or(0);
        assert!(score < 20, "{low} is {score}: {line}");
    }
}

#[test]
fn every_line_of_every_row_adds_up_to_its_score() {
    for row in ROWS {
        let replayed = replay(&files(row), &["--scores"], "");
        for line in replayed
            .lines
            .iter()
            .filter(|line| line["contributions"].is_array())
        {
            let points = line["contributions"].as_array().unwrap().iter();
            let hundredths: i64 = points.map(|line| hundredths(&line["points"])).sum();
            let score = ((hundredths + 50).div_euclid(100)).clamp(0, 100);
            assert_eq!(line["score"].as_i64(), Some(score), "{line}");
        }
    }
}

fn hundredths(points: &serde_json::Value) -> i64 {
    format!("{:.2}", points.as_f64().unwrap())
        .replace('.', "")
        .parse()
        .unwrap()
}

//! What is written comes back, and what was damaged does not.

use caerus_engine::decide::Restricts;
use caerus_engine::id::AppId;

use super::*;
use crate::sample::{self, NOW};

fn decisions() -> Vec<Decision> {
    vec![
        Decision {
            issued_before: Some(NOW),
            except_sessions: BTreeSet::from([SessionId::new("s-9")]),
            ..sample::revoke(sample::user("alice"))
        },
        Decision {
            action: Action::StepUp {
                requires: sample::requires(&[sample::MFA], None),
                restricts: Some(Restricts {
                    sensitivity_above: Some(2),
                    apps: BTreeSet::from([AppId::new("payroll")]),
                }),
            },
            rule: None,
            ..sample::step_up(sample::session("bob", "s-2"))
        },
        Decision {
            action: Action::Clear,
            generation: 7,
            ..sample::revoke(sample::session("carol", "näme \"x\"\n"))
        },
    ]
}

fn mark(cursor: &str) -> Mark {
    Mark {
        cursor: cursor.to_owned(),
        evaluated_until: Some(NOW),
    }
}

fn shared(decisions: &[Decision]) -> Vec<Arc<Decision>> {
    decisions.iter().cloned().map(Arc::new).collect()
}

/// A picture written whole and appended to, twice.
async fn written(dir: &Path) -> Vec<Decision> {
    let all = decisions();
    let mut journal = Journal::new(DataDir::open(dir).unwrap());
    assert!(journal.is_rewrite_due());
    journal
        .rewrite(shared(&all[..1]), mark("c-1"))
        .await
        .unwrap();
    assert!(!journal.is_rewrite_due());
    journal
        .append(&shared(&all[1..2]), &mark("c-2"))
        .await
        .unwrap();
    journal
        .append(&shared(&all[2..]), &mark("c-3"))
        .await
        .unwrap();
    all
}

fn reload(dir: &Path) -> Result<Option<Saved>, SavedError> {
    load_from(&DataDir::open(dir).unwrap())
}

#[tokio::test]
async fn what_was_written_and_appended_comes_back_with_its_last_mark() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(reload(dir.path()).unwrap(), None);
    let decisions = written(dir.path()).await;
    let saved = reload(dir.path()).unwrap().unwrap();
    assert_eq!(saved.decisions, decisions);
    assert_eq!(saved.mark, mark("c-3"));
}

#[tokio::test]
async fn wherever_the_file_is_cut_an_earlier_mark_or_nothing_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let decisions = written(dir.path()).await;
    let path = dir.path().join(FILE);
    let whole = fs::read(&path).unwrap();
    let mut seen = BTreeSet::new();
    for length in 0..=whole.len() {
        match fold(&whole[..length]) {
            Ok(Some(saved)) => {
                let (count, cursor) = match saved.mark.cursor.as_str() {
                    "c-1" => (1, "c-1"),
                    "c-2" => (2, "c-2"),
                    _ => (3, "c-3"),
                };
                assert_eq!(saved.decisions, decisions[..count], "cut at {length}");
                seen.insert(cursor);
            }
            Ok(None) => {
                seen.insert("nothing");
            }
            Err((line, _)) => assert_eq!(line, 1, "cut at {length}"),
        }
    }
    assert_eq!(seen, BTreeSet::from(["nothing", "c-1", "c-2", "c-3"]));
}

#[tokio::test]
async fn a_damaged_file_is_told_by_its_line_put_aside_and_not_used() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).await;
    let path = dir.path().join(FILE);
    let whole = String::from_utf8(fs::read(&path).unwrap()).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let forged = {
        let mut bytes = Vec::new();
        let mut saved = SavedDecision::of(&decisions()[1]);
        saved.requires = None;
        Line::Decision(Box::new(saved)).write(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let head = {
        let mut bytes = Vec::new();
        Line::Head { v: 2 }.write(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let cases = [
        (whole.replacen("bob", "eve", 1), 4, "the checksum is wrong"),
        (
            whole.replacen("revoke", "revoke\n", 1),
            2,
            "the checksum is wrong",
        ),
        (
            whole.replacen(lines[1], forged.trim_end(), 1),
            2,
            "the decision is incomplete",
        ),
        (
            whole.replacen(lines[0], head.trim_end(), 1),
            1,
            "of a version that is not read",
        ),
        (
            lines[1..].join("\n"),
            1,
            "the first line is not a saved picture's",
        ),
        (
            format!("{whole}{}\n{}", lines[0], lines[2]),
            8,
            "a second first line",
        ),
    ];
    for (text, line, reason) in cases {
        fs::write(&path, &text).unwrap();
        let error = reload(dir.path()).unwrap_err();
        let expected = format!("`{}` line {line}: {reason}", path.display());
        assert_eq!(error.to_string(), expected);
        assert!(!path.exists());
        assert!(dir.path().join("picture.corrupt").exists());
    }
}

#[tokio::test]
async fn after_many_appended_lines_or_a_failure_the_file_is_due_to_be_written_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::new(DataDir::open(dir.path()).unwrap());
    assert!(journal.append(&[], &mark("c")).await.is_err());
    journal.rewrite(Vec::new(), mark("c")).await.unwrap();
    let one = Arc::new(decisions().remove(0));
    let many: Vec<_> = std::iter::repeat_n(one, limit::SAVED_APPENDS_MIN).collect();
    journal.append(&many, &mark("c")).await.unwrap();
    assert!(journal.is_rewrite_due());
    journal.rewrite(Vec::new(), mark("c")).await.unwrap();
    assert!(!journal.is_rewrite_due());
    fs::remove_dir_all(dir.path()).unwrap();
    assert!(journal.rewrite(Vec::new(), mark("c")).await.is_err());
    assert!(journal.is_rewrite_due());
}

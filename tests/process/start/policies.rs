//! Policies that do not parse: never at start, and never instead of good ones. *Source*: house, INV-7.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::caerus::Caerus;
use crate::support::caerus::caerus_binary;
use crate::support::eventually;
use crate::support::person::Person;

const DEFAULTS: &str = "../deploy/policies";
/// The mistake is in its fourth line.
const BROKEN: &str = "@id(\"broken\")\n@respond(\"revoke\")\n@scope(\"session\")\n\
     forbid (principal is Userr, action == Action::\"continue\", resource is Session);\n";

fn copy_defaults(to: &Path) {
    std::fs::create_dir(to).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(DEFAULTS);
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn policies_that_do_not_load_are_refused_at_start_with_file_line_and_column() {
    let dir = tempfile::tempdir().unwrap();
    let policies = dir.path().join("policies");
    copy_defaults(&policies);
    std::fs::write(policies.join("broken.cedar"), BROKEN).unwrap();
    let policies = policies.to_str().unwrap();
    let up = ["up", "--listen", "127.0.0.1:0", "--policies", policies];
    for args in [&up[..], &["policy", "check", policies]] {
        let output = std::process::Command::new("timeout")
            .args(["--signal=KILL", "20"])
            .arg(caerus_binary())
            .args(args)
            .current_dir(dir.path())
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{args:?}: {told}");
        assert!(told.contains("broken.cedar:4:"), "{args:?}: {told}");
        assert!(told.contains("Userr"), "{args:?}: {told}");
    }
}

#[tokio::test]
async fn policies_broken_while_running_leave_the_last_good_ones_in_force_and_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let policies = dir.path().join("policies");
    copy_defaults(&policies);
    let caerus = Caerus::start(dir.path(), &["--policies", policies.to_str().unwrap()]).await;
    let shelf = || async { caerus.get("/v1/policies").await.body };
    let good = shelf().await;
    assert_eq!(good["problems"], json!([]), "{good}");

    let broken = policies.join("broken.cedar");
    std::fs::write(&broken, BROKEN).unwrap();
    let told = eventually("the problem to be told", || async {
        let told = shelf().await;
        (told["problems"] != json!([])).then_some(told)
    })
    .await;
    assert_eq!(told["revision"], good["revision"]);
    assert_eq!(told["files"], good["files"]);
    let problem = told["problems"][0].as_str().unwrap().to_owned();
    assert!(problem.contains("broken.cedar:4:"), "{problem}");

    // What was in force goes on deciding.
    let peter = Person::new("peter");
    caerus
        .teach(&peter.history("history-three-countries"))
        .await;
    caerus.tell(&peter.row("country-and-browser-changed")).await;
    let decision = caerus.in_force("revoke", &peter.session("s-1")).await;
    assert_eq!(decision["policy"]["revision"], good["revision"]);

    // Put right, it is taken at once; a rule that is good changes what is decided.
    std::fs::remove_file(&broken).unwrap();
    eventually("the problem to be gone", || async {
        (shelf().await["problems"] == json!([])).then_some(())
    })
    .await;
    let everybody = BROKEN.replace("Userr", "User").replace("revoke", "step_up");
    let everybody = everybody.replace("@scope", "@acr_values(\"urn:caerus:acr:mfa\") @scope");
    std::fs::write(policies.join("everybody.cedar"), everybody).unwrap();
    let changed = eventually("the new revision", || async {
        let told = shelf().await;
        (told["revision"] != good["revision"]).then_some(told)
    })
    .await;
    assert_eq!(changed["problems"], json!([]), "{changed}");
    caerus.tell(&[peter.login("anew", "s-2", &json!({}))]).await;
    let asked: Value = caerus.in_force("step_up", &peter.session("s-2")).await;
    assert_eq!(asked["policy"]["rule"], "broken");
    assert_eq!(asked["policy"]["revision"], changed["revision"]);
}

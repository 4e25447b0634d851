//! Real nginx with `auth_request` on a real enforcer, real refusals: who is kept out, who is let in again, and what
//! holds while Caerus is down. *Source*: contract, §3 and §5.

mod down;
mod lockout;
mod step_up;
mod theft;

use caerus_wire::moment;
use serde_json::{Value, json};

use crate::support::caerus::Caerus;
use crate::support::enforcer::Enforcer;
use crate::support::eventually;
use crate::support::idp::jwt_section;
use crate::support::nginx::{Client, Nginx, PAGE};
use crate::support::person::{Person, now};
use crate::support::upstream::{PAYSLIP, Upstream};

/// RFC 6750, 3.1.
const INVALID_TOKEN: &str = "Bearer error=\"invalid_token\"";
/// RFC 9470, 3; what the default policies ask for.
const STEP_UP: &str = "Bearer error=\"insufficient_user_authentication\", \
     acr_values=\"urn:caerus:acr:mfa urn:caerus:acr:phr\", max_age=\"900\"";
/// *Units*: seconds; some heartbeats, so that a busy machine is not taken for a dead one.
const MAX_STALENESS_S: u64 = 5;

/// The session by a cookie or a token, the device by the proxy; three routes that differ in what staleness means.
fn rules() -> String {
    format!(
        "[identity]\nuser_header = \"X-Caerus-User\"\nsession_cookie = \"sid\"\ndevice_header = \"X-Caerus-Device\"\n{}\
         [defaults]\nmax_staleness = {MAX_STALENESS_S}\non_stale = \"deny\"\n\
         [[route]]\npath = \"/open\"\non_stale = \"allow\"\n\
         [[route]]\npath = \"/recent\"\non_stale = \"step_up\"\nstale_max_age_s = 300\n",
        jwt_section()
    )
}

/// Everything between a client and its payslip.
struct Stage {
    caerus: Caerus,
    enforcer: Enforcer,
    nginx: Nginx,
    upstream: Upstream,
    _dir: tempfile::TempDir,
}

impl Stage {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let caerus = Caerus::start(dir.path(), &[]).await;
        let enforcer = Enforcer::start(dir.path(), &caerus, &rules()).await;
        let upstream = Upstream::start().await;
        let nginx = Nginx::start(dir.path(), enforcer.port, upstream.port).await;
        Self {
            caerus,
            enforcer,
            nginx,
            upstream,
            _dir: dir,
        }
    }

    /// Somebody who is known from a history of the worked rows.
    async fn known(&self, name: &str, history: &str) -> Person {
        let person = Person::new(name);
        self.caerus.teach(&person.history(history)).await;
        person
    }

    /// A row of the worked rows happens to somebody.
    async fn happens(&self, person: &Person, row: &str) {
        self.caerus.tell(&person.row(row)).await;
    }

    async fn passes(&self, client: &Client) {
        let seen = self.nginx.ask(PAGE, client).await;
        assert_eq!(
            (seen.status, seen.body.as_str()),
            (200, PAYSLIP),
            "{client:?} is told {}",
            seen.challenge
        );
    }

    /// Refused with this challenge, and the upstream never hears of it.
    async fn is_refused(&self, client: &Client, challenge: &str) {
        let reached = self.upstream.reached();
        let seen = self.nginx.ask(PAGE, client).await;
        assert_eq!(
            (seen.status, seen.challenge.as_str()),
            (401, challenge),
            "{client:?}"
        );
        assert_eq!(self.upstream.reached(), reached, "{client:?}");
    }

    /// Waits until all that was told so far is decided and in the enforcer's picture.
    async fn evaluated(&self) {
        let told = now();
        let what = format!("the enforcer to know all until {}", moment::to_text(told));
        eventually(&what, || async {
            let status = self.enforcer.status().await?;
            let age = status["picture"]["age_ms"].as_i64()?;
            (now().0 - age > told.0).then_some(())
        })
        .await;
    }
}

fn cookie(person: &Person, session: &str) -> Client {
    Client::of_session(&person.own(session))
}

/// An access of a session, from where its last login came.
fn access(person: &Person, id: &str, session: &str, changes: &Value) -> Value {
    let mut event = person.login(id, session, changes);
    let members = event.as_object_mut().unwrap();
    members.remove("outcome");
    members.remove("amr");
    members.insert("type".to_owned(), json!("access"));
    members.insert("status".to_owned(), json!(200));
    event
}

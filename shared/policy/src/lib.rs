//! Cedar policies as the engine's `Policy`: facts in, the obligations of matching rules out. Knows neither where policies
//! are stored nor who asks.
//!
//! A policy is a `forbid` whose annotations say what is asked for when it matches:
//!
//! ```
//! use caerus_engine::decide::Policy;
//!
//! let text = r#"
//!     @id("stolen-session") @respond("revoke") @scope("session")
//!     forbid (principal, action == Action::"continue", resource) when { context.score >= 80 };
//! "#;
//! let set = caerus_policy::PolicySet::load(&[("session.cedar", text)])?;
//! assert_eq!(set.rules().len(), 1);
//! assert!(set.revision().as_str().starts_with("sha256:"));
//!
//! let misspelt = text.replace("score", "scroe");
//! let problems = caerus_policy::PolicySet::load(&[("session.cedar", misspelt)]).unwrap_err();
//! assert!(problems[0].to_string().starts_with("session.cedar:3:"));
//! # Ok::<(), Vec<caerus_policy::PolicyProblem>>(())
//! ```
//!
//! | annotation | |
//! | --- | --- |
//! | `@id("…")` | required; unique in the set; named in decisions |
//! | `@respond("revoke" \| "step_up" \| "restrict")` | required |
//! | `@scope("session" \| "user" \| "user_device" \| "device" \| "workload" \| "app")` | required |
//! | `@mode("enforce" \| "shadow")` | default `enforce` |
//! | `@acr_values("a b")`, `@max_age("15m")` | of `step_up`; the first is required there |
//! | `@sensitivity_above("2")`, `@apps("payroll hr")` | of `restrict`; one of them at least |
//! | `@apps("payroll hr")` | of scope `app`, whatever it responds; required there |
//! | `@for("8h")` | how long a decision is in force; at most 24 h, which is the default |
//!
//! Rules add up: an obligation of every rule that matches is handed out, and the engine joins those of one target.
//! A rule is judged where its scope's records are: `session` on a session's facts, `user` and `user_device` on a session's
//! and on a user's, `device` and `workload` on their own, `app` on the tenant's. An app's
//! rule may not revoke: it goes by failed logins, which anybody can make.

mod attribute;
mod classes;
mod context;
mod default;
mod load;
mod memo;
mod problem;
mod rule;
mod set;
mod shape;
mod slot;
mod visible;

pub use classes::{CLASS_MFA, CLASS_PHR, CLASSES_FILE};
pub use default::default_files;
pub use load::is_policy_file;
pub use memo::{MEMO_LEN_MAX, MemoCounts};
pub use problem::PolicyProblem;
pub use set::PolicySet;
pub use slot::{PolicySlot, Replacement};

//! What a policy's annotations ask for: an obligation, or named problems. Knows no facts and no other policy.

use std::collections::{BTreeMap, BTreeSet};

use caerus_engine::decide::{Action, FactsOf, Mode, Obligation, Requires, Restricts, Scope};
use caerus_engine::id::{AcrValue, AppId, RuleId};
use caerus_engine::limits::DECISION_LIFE;
use caerus_engine::time::Span;

use crate::problem::{PolicyProblem, Source, quoted};

/// *Units*: bytes of a rule's id, of an app's or a class's name.
pub(crate) const NAME_BYTES_MAX: usize = 128;
/// Names in one annotation.
pub(crate) const NAMES_MAX: usize = 64;
/// Resources are classed 0 to 4; a restriction above 4 would cover none.
pub(crate) const SENSITIVITY_ABOVE_MAX: u8 = 3;

const RESPONSES: &str = "`revoke`, `step_up` or `restrict`";
const SCOPES: [(&str, Scope); 6] = [
    ("session", Scope::Session),
    ("user", Scope::User),
    ("user_device", Scope::UserDevice),
    ("device", Scope::Device),
    ("workload", Scope::Workload),
    ("app", Scope::App),
];

/// Every annotation there is, with the response it belongs to; `None` fits all. In scope `app`, `apps` fits all too.
const ANNOTATIONS: [(&str, Option<&str>); 9] = [
    ("id", None),
    ("respond", None),
    ("scope", None),
    ("mode", None),
    ("for", None),
    ("acr_values", Some("step_up")),
    ("max_age", Some("step_up")),
    ("sensitivity_above", Some("restrict")),
    ("apps", Some("restrict")),
];

/// The subjects on whose facts a rule of the scope is judged: those whose records own its targets.
pub(crate) fn is_judged_on(scope: Scope, of: FactsOf) -> bool {
    match scope {
        Scope::Session => of == FactsOf::Session,
        Scope::User | Scope::UserDevice => matches!(of, FactsOf::Session | FactsOf::User),
        Scope::Device => of == FactsOf::Device,
        Scope::Workload => of == FactsOf::Workload,
        Scope::App => of == FactsOf::Tenant,
    }
}

pub(crate) fn scope_name(scope: Scope) -> &'static str {
    SCOPES
        .iter()
        .find(|(_, named)| *named == scope)
        .map_or("", |(name, _)| name)
}

/// One annotation as it stands in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Note<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: &'a str,
    pub(crate) offset: usize,
}

/// A policy's annotations, read one after the other; every problem is told, not only the first.
pub(crate) struct Notes<'a> {
    source: Source<'a>,
    /// Where the policy begins.
    offset: usize,
    notes: BTreeMap<&'a str, Note<'a>>,
    problems: Vec<PolicyProblem>,
}

impl<'a> Notes<'a> {
    pub(crate) fn new(source: Source<'a>, offset: usize, notes: Vec<Note<'a>>) -> Self {
        Self {
            source,
            offset,
            notes: notes.into_iter().map(|note| (note.name, note)).collect(),
            problems: Vec::new(),
        }
    }

    /// The obligation that follows when the policy matches.
    pub(crate) fn read(mut self) -> Result<Obligation, Vec<PolicyProblem>> {
        self.refuse_unknown();
        let rule = self.rule_id();
        let mode = self.mode();
        let life = self.life();
        let scope = self.scope();
        let apps = self.apps_of_scope(scope);
        let action = self.action(scope);
        match (rule, mode, scope, action) {
            (Some(rule), Some(mode), Some(scope), Some(action)) if self.problems.is_empty() => {
                Ok(Obligation {
                    rule,
                    action,
                    scope,
                    mode,
                    apps,
                    life,
                })
            }
            _ => Err(self.problems),
        }
    }

    fn refuse_unknown(&mut self) {
        let known = ANNOTATIONS.map(|(name, _)| format!("@{name}")).join(" ");
        let unknown: Vec<Note<'_>> = self
            .notes
            .values()
            .filter(|note| ANNOTATIONS.iter().all(|(name, _)| *name != note.name))
            .copied()
            .collect();
        for note in unknown {
            let message = format!(
                "there is no annotation {}",
                quoted(&format!("@{}", note.name))
            );
            self.tell(note, message, &format!("known are {known}"));
        }
    }

    fn rule_id(&mut self) -> Option<RuleId> {
        let note = self.required(
            "id",
            "every rule has a name of its own, e.g. @id(\"stolen-session\")",
        )?;
        match name(note.value) {
            Ok(id) => Some(RuleId::new(id)),
            Err(message) => self.refuse(
                note,
                format!("@id: {message}"),
                "e.g. @id(\"stolen-session\")",
            ),
        }
    }

    fn mode(&mut self) -> Option<Mode> {
        let Some(note) = self.get("mode") else {
            return Some(Mode::Enforce);
        };
        match note.value {
            "enforce" => Some(Mode::Enforce),
            "shadow" => Some(Mode::Shadow),
            other => self.refuse(
                note,
                format!("@mode cannot be {}", quoted(other)),
                "`enforce` (the default) or `shadow`",
            ),
        }
    }

    fn life(&mut self) -> Option<Span> {
        let note = self.get("for")?;
        let span = self.duration(note)?;
        if span > DECISION_LIFE {
            return self.refuse(
                note,
                format!(
                    "@for is longer than {} h",
                    DECISION_LIFE.as_seconds() / 3_600
                ),
                "a decision is judged again before it ends, and renewed while it is still wanted",
            );
        }
        Some(span)
    }

    fn scope(&mut self) -> Option<Scope> {
        let names = SCOPES.map(|(name, _)| format!("`{name}`")).join(", ");
        let note = self.required("scope", &format!("whom it is about: {names}"))?;
        match SCOPES.iter().find(|(name, _)| *name == note.value) {
            Some((_, scope)) => Some(*scope),
            None if note.value == "tenant" => self.refuse(
                note,
                "@scope cannot be `tenant`: a decision has no member that names one".to_owned(),
                "write @scope(\"app\") with the apps it is about in @apps, or @scope(\"user\")",
            ),
            None => self.refuse(
                note,
                format!("@scope cannot be {}", quoted(note.value)),
                &format!("one of {names}"),
            ),
        }
    }

    /// The apps that a rule of scope `app` is about; what `@apps` means in other scopes, its response says.
    fn apps_of_scope(&mut self, scope: Option<Scope>) -> BTreeSet<AppId> {
        if scope != Some(Scope::App) {
            return BTreeSet::new();
        }
        let help = "scope `app` needs the names of the apps, e.g. @apps(\"payroll hr\")";
        let note = self.required("apps", help);
        let names = note.and_then(|note| self.names(note)).unwrap_or_default();
        names.into_iter().map(AppId::new).collect()
    }

    fn action(&mut self, scope: Option<Scope>) -> Option<Action> {
        let note = self.required("respond", &format!("what is asked for: {RESPONSES}"))?;
        self.refuse_of_other_response(note.value, scope);
        match note.value {
            "revoke" if scope == Some(Scope::App) => self.refuse(
                note,
                "@respond cannot be `revoke` in @scope(\"app\")".to_owned(),
                "failed logins would end everybody's session; ask with `step_up` or `restrict`",
            ),
            "revoke" => Some(Action::Revoke),
            "step_up" => self.requires().map(|requires| Action::StepUp {
                requires,
                restricts: None,
            }),
            "restrict" if scope == Some(Scope::App) => {
                self.restricts_of_apps().map(Action::Restrict)
            }
            "restrict" => self.restricts(note).map(Action::Restrict),
            other => self.refuse(
                note,
                format!("@respond cannot be {}", quoted(other)),
                &format!("it is {RESPONSES}"),
            ),
        }
    }

    fn refuse_of_other_response(&mut self, response: &str, scope: Option<Scope>) {
        for (annotation, belongs_to) in ANNOTATIONS {
            if annotation == "apps" && scope == Some(Scope::App) {
                continue;
            }
            let Some(belongs_to) = belongs_to.filter(|belongs_to| *belongs_to != response) else {
                continue;
            };
            if let Some(note) = self.get(annotation) {
                let message = format!("@{annotation} belongs to @respond(\"{belongs_to}\")");
                let help = "to ask for both, write two rules: what matches one target is joined";
                self.tell(note, message, help);
            }
        }
    }

    fn requires(&mut self) -> Option<Requires> {
        let help = "a step-up needs classes, e.g. @acr_values(\"urn:caerus:acr:mfa\")";
        let values = self.required("acr_values", help);
        let acr_values = values.and_then(|note| self.names(note));
        let max_age_s = match self.get("max_age") {
            None => None,
            Some(note) => match u32::try_from(self.duration(note)?.as_seconds()) {
                Ok(seconds) => Some(seconds),
                Err(error) => return self.refuse(note, format!("@max_age: {error}"), "e.g. 15m"),
            },
        };
        Some(Requires {
            acr_values: acr_values?.into_iter().map(AcrValue::new).collect(),
            max_age_s,
        })
    }

    fn restricts(&mut self, respond: Note<'a>) -> Option<Restricts> {
        let sensitivity = self.get("sensitivity_above");
        let apps = self.get("apps");
        if sensitivity.is_none() && apps.is_none() {
            return self.refuse(
                respond,
                "a restriction needs to say what it covers".to_owned(),
                "@sensitivity_above(\"2\"), @apps(\"payroll hr\"), or both",
            );
        }
        let sensitivity_above = match sensitivity {
            None => None,
            Some(note) => Some(self.sensitivity(note)?),
        };
        let apps = match apps {
            None => Vec::new(),
            Some(note) => self.names(note)?,
        };
        Some(Restricts {
            sensitivity_above,
            apps: apps.into_iter().map(AppId::new).collect(),
        })
    }

    /// A restriction that names nothing covers all: failed logins would close the apps to everybody.
    fn restricts_of_apps(&mut self) -> Option<Restricts> {
        let help = "what of the apps is closed, e.g. @sensitivity_above(\"2\")";
        let note = self.required("sensitivity_above", help)?;
        Some(Restricts {
            sensitivity_above: Some(self.sensitivity(note)?),
            apps: BTreeSet::new(),
        })
    }

    fn sensitivity(&mut self, note: Note<'a>) -> Option<u8> {
        match note.value.parse::<u8>() {
            Ok(level) if level <= SENSITIVITY_ABOVE_MAX => Some(level),
            Ok(_) | Err(_) => self.refuse(
                note,
                format!("@sensitivity_above cannot be {}", quoted(note.value)),
                &format!(
                    "a number from 0 to {SENSITIVITY_ABOVE_MAX}; resources are classed 0 to 4"
                ),
            ),
        }
    }

    fn duration(&mut self, note: Note<'a>) -> Option<Span> {
        match duration(note.value) {
            Some(span) => Some(span),
            None => self.refuse(
                note,
                format!("@{} cannot be {}", note.name, quoted(note.value)),
                "a whole number above 0 and a unit, e.g. 90s, 15m, 8h, 1d",
            ),
        }
    }

    /// Names apart by spaces: at least one, none twice.
    fn names(&mut self, note: Note<'a>) -> Option<Vec<String>> {
        let mut names = BTreeSet::new();
        for word in note.value.split_whitespace() {
            if word.starts_with(',') || word.ends_with(',') {
                let message = format!("@{} holds a comma", note.name);
                return self.refuse(note, message, "names stand apart by spaces");
            }
            match name(word) {
                Ok(word) if names.insert(word.to_owned()) => {}
                Ok(word) => {
                    let message = format!("@{} names {} twice", note.name, quoted(word));
                    return self.refuse(note, message, "once is enough");
                }
                Err(message) => {
                    return self.refuse(
                        note,
                        format!("@{}: {message}", note.name),
                        "names apart by spaces",
                    );
                }
            }
        }
        if names.is_empty() || names.len() > NAMES_MAX {
            let message = format!("@{} names {} things", note.name, names.len());
            return self.refuse(
                note,
                message,
                &format!("1 to {NAMES_MAX} names, apart by spaces"),
            );
        }
        Some(names.into_iter().collect())
    }

    fn get(&self, name: &str) -> Option<Note<'a>> {
        self.notes.get(name).copied()
    }

    fn required(&mut self, name: &str, help: &str) -> Option<Note<'a>> {
        match self.get(name) {
            Some(note) => Some(note),
            None => self.miss(name, help),
        }
    }

    fn miss<T>(&mut self, name: &str, help: &str) -> Option<T> {
        let problem = PolicyProblem::at(self.source, self.offset, format!("@{name} is missing"));
        self.problems.push(problem.with_help(help));
        None
    }

    fn refuse<T>(&mut self, note: Note<'a>, message: String, help: &str) -> Option<T> {
        self.tell(note, message, help);
        None
    }

    fn tell(&mut self, note: Note<'a>, message: String, help: &str) {
        let problem = PolicyProblem::at(self.source, note.offset, message);
        self.problems.push(problem.with_help(help));
    }
}

fn name(text: &str) -> Result<&str, String> {
    if text.is_empty() || text.len() > NAME_BYTES_MAX {
        return Err(format!("a name has 1 to {NAME_BYTES_MAX} bytes"));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!(
            "{} holds a space or a control character",
            quoted(text)
        ));
    }
    Ok(text)
}

/// A whole number above 0 and one of `s m h d`; at most a year.
fn duration(text: &str) -> Option<Span> {
    const YEAR: Span = Span::days(366);
    let unit = text.chars().next_back()?;
    let number = text.strip_suffix(unit)?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let millis = number.parse::<i64>().ok()?.checked_mul(seconds * 1_000)?;
    (millis > 0 && millis <= YEAR.0).then(|| Span::millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(duration("90s"), Some(Span::seconds(90)));
        assert_eq!(duration("15m"), Some(Span::minutes(15)));
        assert_eq!(duration("8h"), Some(Span::hours(8)));
        assert_eq!(duration("1d"), Some(Span::days(1)));
        for bad in [
            "",
            "m",
            "0m",
            "-1m",
            "1",
            "1.5h",
            "1w",
            "99999999999999999999d",
            "400d",
            "5é",
        ] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_kind_of_facts_has_a_scope_that_is_judged_on_it() {
        let table = [
            (FactsOf::Session, "session user user_device"),
            (FactsOf::User, "user user_device"),
            (FactsOf::Device, "device"),
            (FactsOf::Workload, "workload"),
            (FactsOf::Tenant, "app"),
        ];
        for (of, expected) in table {
            let judged: Vec<&str> = SCOPES
                .iter()
                .filter(|(_, scope)| is_judged_on(*scope, of))
                .map(|(name, _)| *name)
                .collect();
            assert_eq!(judged.join(" "), expected);
        }
    }
}

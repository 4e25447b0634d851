//! Files to a policy set: parsed, validated against the schema, annotations read; or every problem with its place.
//! Reading the directory is the caller's.

mod apps;

use std::collections::{BTreeMap, BTreeSet};

use caerus_engine::decide::{Action, Obligation, Scope};
use caerus_engine::id::RevisionId;
use cedar_policy::{
    Authorizer, Effect, Policy, PolicyId, Schema, ValidationError, ValidationMode, Validator,
};
use miette::Diagnostic;
use sha2::{Digest, Sha256};

use crate::classes::{CLASSES_FILE, Classes, default_classes, read_classes};
use crate::context::{ALL_OF, Names, type_names, vocabulary};
use crate::memo::Memo;
use crate::problem::{PolicyProblem, Source, quoted};
use crate::rule::{Note, Notes, is_judged_on, scope_name};
use crate::set::PolicySet;
use crate::shape;
use crate::visible::Visible;

/// Files of one set.
pub(crate) const FILES_MAX: usize = 256;
/// Rules of one set.
pub(crate) const RULES_MAX: usize = 512;
/// *Units*: bytes of all files together; a revision is one record of the log.
pub(crate) const SET_BYTES_MAX: usize = 768 * 1024;
/// Problems told at once.
pub(crate) const PROBLEMS_MAX: usize = 100;
/// *Units*: hex digits of a revision.
const REVISION_DIGITS: usize = 32;

const POLICY_SUFFIX: &str = ".cedar";
const SCHEMA: &str = include_str!("caerus.cedarschema");

/// True for the files of a directory that make a policy set; the others are none of its business.
pub fn is_policy_file(name: &str) -> bool {
    name.ends_with(POLICY_SUFFIX) || name == CLASSES_FILE
}

/// A policy as read, before it is known whether the set holds.
struct Draft<'a> {
    source: Source<'a>,
    offset: usize,
    policy: Policy,
    rule: Obligation,
}

/// What is being put together.
#[derive(Default)]
struct Loading<'a> {
    drafts: Vec<Draft<'a>>,
    classes: Option<Classes>,
    problems: BTreeSet<PolicyProblem>,
    warnings: BTreeSet<PolicyProblem>,
    visible: Visible,
}

impl PolicySet {
    /// Reads the files of a set: names and texts, in any order.
    ///
    /// *Errors*: everything wrong with it, by file, line and column; at most a hundred.
    pub fn load<N: AsRef<str>, T: AsRef<str>>(
        files: &[(N, T)],
    ) -> Result<Self, Vec<PolicyProblem>> {
        let mut sources: Vec<Source<'_>> = files
            .iter()
            .map(|(name, text)| Source {
                name: name.as_ref(),
                text: text.as_ref(),
            })
            .collect();
        sources.sort_by_key(|source| source.name);
        let mut loading = Loading::default();
        loading.check_files(&sources);
        if loading.problems.is_empty() {
            for source in &sources {
                loading.read(*source);
            }
            loading.check_rules(&sources);
        }
        loading.finish(revision(&sources))
    }
}

impl<'a> Loading<'a> {
    fn check_files(&mut self, sources: &[Source<'a>]) {
        let bytes: usize = sources.iter().map(|source| source.text.len()).sum();
        for (index, source) in sources.iter().enumerate() {
            let mut refuse = |message: String| {
                self.problems.insert(PolicyProblem::at(*source, 0, message));
            };
            if !is_policy_file(source.name) {
                refuse(format!(
                    "a policy file is called *{POLICY_SUFFIX} or {CLASSES_FILE}"
                ));
            }
            if index
                .checked_sub(1)
                .and_then(|i| sources.get(i))
                .is_some_and(|s| s.name == source.name)
            {
                refuse("the file is given twice".to_owned());
            }
            if index == FILES_MAX {
                refuse(format!("more than {FILES_MAX} files"));
            }
            if index == 0 && bytes > SET_BYTES_MAX {
                refuse(format!(
                    "the files of the set are longer than {SET_BYTES_MAX} bytes together"
                ));
            }
        }
    }

    fn read(&mut self, source: Source<'a>) {
        if source.name == CLASSES_FILE {
            match read_classes(source) {
                Ok(classes) => self.classes = Some(classes),
                Err(problem) => self.refuse(problem),
            }
        } else if let Err(problem) = shape::check(source) {
            self.refuse(problem);
        } else {
            self.read_policies(source);
        }
    }

    fn read_policies(&mut self, source: Source<'a>) {
        let parsed: cedar_policy::PolicySet = match source.text.parse() {
            Ok(parsed) => parsed,
            Err(errors) => {
                let errors: cedar_policy::ParseErrors = errors;
                for error in errors.iter() {
                    self.refuse(diagnosed(source, 0, error));
                }
                return;
            }
        };
        for template in parsed.templates() {
            let offset = template.as_ref().loc().map_or(0, |loc| loc.start());
            let problem = PolicyProblem::at(source, offset, "a rule cannot be a template");
            self.refuse(
                problem
                    .with_help("write the entity itself in place of `?principal` or `?resource`"),
            );
        }
        for policy in parsed.policies() {
            self.read_policy(source, policy);
        }
    }

    fn read_policy(&mut self, source: Source<'a>, policy: &Policy) {
        let core = policy.as_ref();
        let offset = core.loc().map_or(0, |loc| loc.start());
        if policy.effect() == Effect::Permit {
            let problem = PolicyProblem::at(source, offset, "a rule cannot be `permit`");
            self.refuse(problem.with_help(
                "everything is permitted until a `forbid` rule matches; its annotations say what is asked for",
            ));
            return;
        }
        let notes: Vec<Note<'_>> = core
            .annotations()
            .map(|(name, annotation)| Note {
                name: name.as_ref(),
                value: annotation.val.as_str(),
                offset: annotation.loc.as_ref().map_or(offset, |loc| loc.start()),
            })
            .collect();
        match Notes::new(source, offset, notes).read() {
            Ok(rule) => self.drafts.push(Draft {
                source,
                offset,
                policy: policy.new_id(PolicyId::new(rule.rule.as_str())),
                rule,
            }),
            Err(problems) => self.problems.extend(problems),
        }
    }

    fn check_rules(&mut self, sources: &[Source<'a>]) {
        self.drafts.sort_by(|a, b| a.rule.rule.cmp(&b.rule.rule));
        self.refuse_repeated_ids();
        self.check_apps();
        if self.drafts.is_empty() && self.problems.is_empty() {
            let empty = Source {
                name: "policies",
                text: "",
            };
            let source = sources.first().copied().unwrap_or(empty);
            let problem = PolicyProblem::at(source, 0, "there is no rule in the set");
            self.refuse(problem.with_help("a set without rules would ask nothing of anybody"));
        }
        if self.drafts.len() > RULES_MAX
            && let Some(draft) = self.drafts.last()
        {
            let message = format!("more than {RULES_MAX} rules");
            self.refuse(PolicyProblem::at(draft.source, draft.offset, message));
        }
    }

    fn refuse_repeated_ids(&mut self) {
        let mut first: BTreeMap<&str, &Draft<'_>> = BTreeMap::new();
        for draft in &self.drafts {
            let id = draft.rule.rule.as_str();
            let Some(earlier) = first.get(id) else {
                first.insert(id, draft);
                continue;
            };
            let there = PolicyProblem::at(earlier.source, earlier.offset, "");
            let message = format!("@id {} is taken", quoted(id));
            let problem = PolicyProblem::at(draft.source, draft.offset, message);
            self.problems.insert(problem.with_help(format!(
                "it names the rule at {}:{}:{}",
                there.file, there.line, there.column
            )));
        }
    }

    fn finish(mut self, revision: RevisionId) -> Result<PolicySet, Vec<PolicyProblem>> {
        let names = match Names::new() {
            Ok(names) => Some(names),
            Err(errors) => self.refuse_schema(&errors.to_string()),
        };
        let mut cedar = cedar_policy::PolicySet::new();
        if self.problems.is_empty() {
            self.add_all(&mut cedar);
            self.validate(&cedar);
            self.look();
        }
        let Some(names) = names.filter(|_| self.problems.is_empty()) else {
            return Err(self.problems.into_iter().take(PROBLEMS_MAX).collect());
        };
        Ok(PolicySet {
            revision,
            classes: self.classes.unwrap_or_else(default_classes),
            names,
            cedar,
            rules: self.drafts.into_iter().map(|draft| draft.rule).collect(),
            visible: self.visible,
            warnings: self.warnings.into_iter().collect(),
            authorizer: Authorizer::new(),
            memo: Memo::default(),
        })
    }

    fn add_all(&mut self, cedar: &mut cedar_policy::PolicySet) {
        for draft in &self.drafts {
            if let Err(error) = cedar.add(draft.policy.clone()) {
                let problem = PolicyProblem::at(draft.source, draft.offset, error.to_string());
                self.problems.insert(problem);
            }
        }
    }

    /// Strict: an attribute that the schema does not have, or a type that does not fit, is an error.
    fn validate(&mut self, cedar: &cedar_policy::PolicySet) {
        let schema = match Schema::from_cedarschema_str(SCHEMA) {
            Ok((schema, _)) => schema,
            Err(error) => {
                return self.refuse_schema(&error.to_string()).unwrap_or(());
            }
        };
        for draft in &self.drafts {
            if let Some(warning) = unreachable_scope(draft, &schema) {
                self.warnings.insert(warning);
            }
            if let Some(warning) = unmet_step_up(draft) {
                self.warnings.insert(warning);
            }
        }
        let result = Validator::new(schema).validate(cedar, ValidationMode::Strict);
        for error in result.validation_errors() {
            self.problems
                .extend(self.located(error.policy_id(), |draft| validation(draft, error)));
        }
        for warning in result.validation_warnings() {
            let warnings = self.located(warning.policy_id(), |draft| {
                diagnosed(draft.source, draft.offset, warning)
            });
            self.warnings.extend(warnings);
        }
    }

    fn located(
        &self,
        id: &PolicyId,
        tell: impl Fn(&Draft<'_>) -> PolicyProblem,
    ) -> Option<PolicyProblem> {
        let draft = self.drafts.iter().find(|draft| draft.policy.id() == id);
        draft.map(tell)
    }

    /// Finds what the rules look at, and words that no fact can be: comparing with them would never match, in silence.
    fn look(&mut self) {
        for draft in &self.drafts {
            let tree = match draft.policy.to_json() {
                Ok(tree) => tree,
                Err(error) => {
                    let problem = PolicyProblem::at(draft.source, draft.offset, error.to_string());
                    self.problems.insert(problem);
                    continue;
                }
            };
            for strange in self.visible.take(&tree) {
                let path = strange.attribute.path();
                let message = format!("`context.{path}` is never {}", quoted(&strange.word));
                let offset = draft.offset_of(&strange.word);
                let known = vocabulary(strange.attribute).unwrap_or_default().join(" ");
                let problem = PolicyProblem::at(draft.source, offset, message);
                self.problems
                    .insert(problem.with_help(format!("it is one of: {known}")));
            }
        }
    }

    fn refuse(&mut self, problem: PolicyProblem) {
        self.problems.insert(problem);
    }

    /// The schema is compiled in and a test reads it; should it fail, no set loads and the last good one stays.
    fn refuse_schema<T>(&mut self, message: &str) -> Option<T> {
        let source = Source {
            name: "caerus.cedarschema",
            text: SCHEMA,
        };
        self.refuse(PolicyProblem::at(source, 0, message));
        None
    }
}

impl Draft<'_> {
    /// Where the word stands in quotes in this policy; the policy's own place if it does not.
    fn offset_of(&self, word: &str) -> usize {
        let text = self.source.text.get(self.offset..).unwrap_or_default();
        let found = text.find(&format!("\"{word}\""));
        found.map_or(self.offset, |at| self.offset + at)
    }
}

/// A rule whose scope is judged on facts that its principal and resource can never be.
fn unreachable_scope(draft: &Draft<'_>, schema: &Schema) -> Option<PolicyProblem> {
    let scope = draft.rule.scope;
    let pairs: Vec<(&str, &str)> = ALL_OF
        .into_iter()
        .filter(|of| is_judged_on(scope, *of))
        .map(type_names)
        .collect();
    let is_reachable = draft.policy.get_valid_request_envs(schema).any(|env| {
        pairs.iter().any(|(principal, resource)| {
            env.principal().basename() == *principal && env.resource().basename() == *resource
        })
    });
    let asked: Vec<String> = pairs.iter().map(|(p, r)| format!("{p} on {r}")).collect();
    (!is_reachable).then(|| {
        PolicyProblem::at(
            draft.source,
            draft.offset,
            format!(
                "a rule of scope `{}` with this principal and resource never matches",
                scope_name(scope)
            ),
        )
        .with_help(format!("the scope is asked about {}", asked.join(" and ")))
    })
}

/// A step-up of what nobody signs in to can be met at an enforcement point alone.
fn unmet_step_up(draft: &Draft<'_>) -> Option<PolicyProblem> {
    let is_step_up = matches!(draft.rule.action, Action::StepUp { .. });
    let is_without_login = matches!(draft.rule.scope, Scope::Device | Scope::Workload);
    if is_step_up && draft.rule.scope == Scope::App {
        return Some(
            PolicyProblem::at(
                draft.source,
                draft.offset,
                "a session without `auth_time` cannot meet a step-up of scope `app`",
            )
            .with_help("it is met by a verified token alone, and else lasts as long as the surge"),
        );
    }
    (is_step_up && is_without_login).then(|| {
        PolicyProblem::at(
            draft.source,
            draft.offset,
            format!(
                "no login clears a step-up of scope `{}`",
                scope_name(draft.rule.scope)
            ),
        )
        .with_help(
            "it stays until its facts change; scope `user_device` is cleared by the user's login",
        )
    })
}

fn validation(draft: &Draft<'_>, error: &ValidationError) -> PolicyProblem {
    diagnosed(draft.source, draft.offset, error)
}

/// A Cedar error or warning at its first label, with its label's and its own advice.
fn diagnosed(
    source: Source<'_>,
    otherwise: usize,
    error: &(impl Diagnostic + ?Sized),
) -> PolicyProblem {
    let label = error.labels().and_then(|mut labels| labels.next());
    let offset = label.as_ref().map_or(otherwise, |label| label.offset());
    let message = match label.as_ref().and_then(|label| label.label()) {
        Some(text) => format!("{error}: {text}"),
        None => error.to_string(),
    };
    let problem = PolicyProblem::at(source, offset, message);
    match error.help() {
        Some(help) => problem.with_help(help.to_string()),
        None => problem,
    }
}

/// Named by content: equal files have equal revisions, in whatever order they were read.
fn revision(sources: &[Source<'_>]) -> RevisionId {
    let mut hash = Sha256::new();
    for source in sources {
        for part in [source.name, source.text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
    }
    let hex: String = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let digits = hex.get(..REVISION_DIGITS).unwrap_or(&hex);
    RevisionId::new(format!("sha256:{digits}"))
}

//! Which authentication methods reach which class: a default, and `classes.json` over it. Knows no login and no session.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use caerus_engine::id::AcrValue;
use serde::Deserialize;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};

use crate::problem::{PolicyProblem, Source, quoted};

/// The name of the optional file that sets classes.
pub const CLASSES_FILE: &str = "classes.json";
/// Two factors, whatever their kind.
pub const CLASS_MFA: &str = "urn:caerus:acr:mfa";
/// Phishing resistant.
pub const CLASS_PHR: &str = "urn:caerus:acr:phr";

/// Classes in one file.
pub(crate) const CLASSES_MAX: usize = 64;
/// Method sets of one class, and methods of one set.
pub(crate) const METHODS_MAX: usize = 64;
/// *Units*: bytes of one name.
pub(crate) const NAME_BYTES_MAX: usize = 256;

/// A second factor is proved by `mfa` itself (RFC 8176) or by a method that is one beside a password.
const MFA_METHODS: [&str; 13] = [
    "mfa", "mca", "otp", "sms", "tel", "push", "swk", "hwk", "sc", "pop", "fido", "passkey",
    "webauthn",
];
/// Keys that are bound to the place they are used at.
const PHR_METHODS: [&str; 6] = ["hwk", "sc", "pop", "fido", "passkey", "webauthn"];

/// A login reaches a class by any of its sets, when it used every method of the set.
pub(crate) type Classes = BTreeMap<AcrValue, Vec<BTreeSet<String>>>;

pub(crate) fn default_classes() -> Classes {
    let single = |methods: &[&str]| {
        methods
            .iter()
            .map(|method| BTreeSet::from([(*method).to_owned()]))
            .collect()
    };
    BTreeMap::from([
        (AcrValue::new(CLASS_MFA), single(&MFA_METHODS)),
        (AcrValue::new(CLASS_PHR), single(&PHR_METHODS)),
    ])
}

/// The default with the classes that the file names in place of its own.
///
/// *Shape*: `{"<acr>": [["<amr>", …], …], …}`; an empty list says that no method reaches the class, only its own name.
pub(crate) fn read_classes(source: Source<'_>) -> Result<Classes, PolicyProblem> {
    let file: ClassFile =
        serde_json::from_str(source.text).map_err(|error| problem(source, &error))?;
    let mut classes = default_classes();
    classes.extend(file.0);
    Ok(classes)
}

fn problem(source: Source<'_>, error: &serde_json::Error) -> PolicyProblem {
    let position = format!(" at line {} column {}", error.line(), error.column());
    let text = error.to_string();
    let message = text.strip_suffix(&position).unwrap_or(&text);
    PolicyProblem {
        file: source.name.to_owned(),
        line: u32::try_from(error.line()).unwrap_or(u32::MAX).max(1),
        column: u32::try_from(error.column()).unwrap_or(u32::MAX).max(1),
        message: message.to_owned(),
        help: Some(format!(
            r#"expected {{"{CLASS_MFA}": [["mfa"], ["pwd", "otp"]]}}: for each class the sets of `amr` that reach it"#
        )),
    }
}

struct ClassFile(Classes);

impl<'de> Deserialize<'de> for ClassFile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ClassFileVisitor).map(Self)
    }
}

struct ClassFileVisitor;

impl<'de> Visitor<'de> for ClassFileVisitor {
    type Value = Classes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of classes")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Classes, A::Error> {
        let mut classes = Classes::new();
        while let Some(Name(name)) = map.next_key()? {
            let class = AcrValue::new(name);
            if classes.contains_key(&class) {
                return Err(A::Error::custom(format!(
                    "the class {} stands twice",
                    quoted(class.as_str())
                )));
            }
            if classes.len() == CLASSES_MAX {
                return Err(A::Error::custom(format!("more than {CLASSES_MAX} classes")));
            }
            let Bounded(sets) = map.next_value::<Bounded<MethodSet>>()?;
            classes.insert(class, sets.into_iter().map(|set| set.0).collect());
        }
        Ok(classes)
    }
}

/// A name: not empty, bounded, without spaces and control characters.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.len() > NAME_BYTES_MAX {
            return Err(format!("a name has 1 to {NAME_BYTES_MAX} bytes"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(format!(
                "{} holds a space or a control character",
                quoted(&text)
            ));
        }
        Ok(Self(text))
    }
}

/// `amr` values that together reach a class; lower case, as logins are compared.
#[derive(Deserialize)]
#[serde(try_from = "Bounded<Name>")]
struct MethodSet(BTreeSet<String>);

impl TryFrom<Bounded<Name>> for MethodSet {
    type Error = &'static str;

    fn try_from(Bounded(names): Bounded<Name>) -> Result<Self, &'static str> {
        if names.is_empty() {
            return Err("an empty set of methods would let every login reach the class");
        }
        let lower = names.into_iter().map(|name| name.0.to_lowercase());
        Ok(Self(lower.collect()))
    }
}

struct Bounded<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bounded<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BoundedVisitor(core::marker::PhantomData))
    }
}

struct BoundedVisitor<T>(core::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for BoundedVisitor<T> {
    type Value = Bounded<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {METHODS_MAX}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bounded<T>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = seq.next_element()? {
            if entries.len() == METHODS_MAX {
                return Err(A::Error::custom(format!(
                    "more than {METHODS_MAX} in one list"
                )));
            }
            entries.push(entry);
        }
        Ok(Bounded(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Classes, String> {
        let source = Source {
            name: CLASSES_FILE,
            text,
        };
        read_classes(source)
            .map_err(|problem| format!("{}:{}: {}", problem.line, problem.column, problem.message))
    }

    fn reaches(classes: &Classes, class: &str, amr: &[&str]) -> bool {
        let used: BTreeSet<String> = amr.iter().map(|m| (*m).to_owned()).collect();
        classes
            .get(&AcrValue::new(class))
            .is_some_and(|sets| sets.iter().any(|set| set.is_subset(&used)))
    }

    #[test]
    fn a_password_alone_reaches_no_class_and_a_code_reaches_only_the_weaker() {
        let classes = default_classes();
        let table = [
            (&["pwd"][..], false, false),
            (&["pwd", "otp"], true, false),
            (&["pwd", "mfa"], true, false),
            (&["pwd", "hwk"], true, true),
            (&["passkey"], true, true),
        ];
        for (amr, mfa, phr) in table {
            assert_eq!(reaches(&classes, CLASS_MFA, amr), mfa, "{amr:?}");
            assert_eq!(reaches(&classes, CLASS_PHR, amr), phr, "{amr:?}");
        }
    }

    #[test]
    fn the_file_replaces_the_classes_it_names_and_leaves_the_others() {
        let classes = read(r#"{"urn:caerus:acr:mfa": [["PWD", "otp"]], "gold": []}"#).unwrap();
        assert!(!reaches(&classes, CLASS_MFA, &["otp"]));
        assert!(reaches(&classes, CLASS_MFA, &["otp", "pwd"]));
        assert!(reaches(&classes, CLASS_PHR, &["hwk"]));
        assert!(!reaches(&classes, "gold", &["mfa"]));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let table = [
            ("{", "1:1: EOF while parsing an object"),
            (
                "[]",
                "1:0: invalid type: sequence, expected an object of classes",
            ),
            (
                "{\n \"a\": [[]]}",
                "2:11: an empty set of methods would let every login reach the class",
            ),
            ("{\"a\": [], \"a\": []}", "1:13: the class `a` stands twice"),
            (
                "{\"a b\": []}",
                "1:6: `a b` holds a space or a control character",
            ),
            (
                "{\"a\": \"mfa\"}",
                "1:11: invalid type: string \"mfa\", expected a list of at most 64",
            ),
        ];
        for (text, expected) in table {
            let found = read(text).unwrap_err();
            let (place, message) = expected.split_once(": ").unwrap();
            assert!(found.ends_with(message), "{text}: {found}");
            let line = place.split(':').next().unwrap();
            assert!(found.starts_with(line), "{text}: {found}");
        }
    }
}

//! A strict reader of JSON from outside: bounded depth, no member twice. Knows nothing of what the members mean.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Levels of objects and arrays, the outermost included.
pub const DEPTH_MAX: usize = 32;

/// Up to this many members a name is compared with each one before it; beyond, names are kept in a set.
const COMPARED_ONE_BY_ONE: usize = 16;

/// What a text of JSON holds. Members stand in their order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Negative(i64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Object(Vec<(Cow<'a, str>, Self)>),
}

impl Node<'_> {
    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Unsigned(_) | Self::Negative(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// The same as an owned value; an object's members in the order of their names.
    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(truth) => Value::Bool(truth),
            Self::Unsigned(number) => Value::from(number),
            Self::Negative(number) => Value::from(number),
            Self::Float(number) => Value::from(number),
            Self::Text(text) => Value::String(text.into_owned()),
            Self::List(nodes) => Value::Array(nodes.into_iter().map(Node::into_value).collect()),
            Self::Object(members) => Value::Object(into_map(members)),
        }
    }
}

/// Members as a map, put in by the order of their names: the map's own order may be that of insertion.
pub(crate) fn into_map(mut members: Vec<(Cow<'_, str>, Node<'_>)>) -> Map<String, Value> {
    members.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    members
        .into_iter()
        .map(|(name, node)| (name.into_owned(), node.into_value()))
        .collect()
}

/// Why a text could not be read. *Units*: lines and columns from 1, as `serde_json` counts them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("not UTF-8 at byte {at}")]
    NotUtf8 { at: usize },
    #[error("not JSON at line {line}, column {column}: {reason}")]
    Malformed {
        line: usize,
        column: usize,
        reason: String,
    },
    #[error("a number at line {line}, column {column} is out of range")]
    NumberOutOfRange { line: usize, column: usize },
    #[error("nested deeper than {DEPTH_MAX} levels at line {line}, column {column}")]
    TooDeep { line: usize, column: usize },
    #[error("member `{member}` stands twice, the second at line {line}, column {column}")]
    Twice {
        member: String,
        line: usize,
        column: usize,
    },
}

/// Reads one whole text.
pub(crate) fn read(bytes: &[u8]) -> Result<Node<'_>, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|error| JsonError::NotUtf8 {
        at: error.valid_up_to(),
    })?;
    let fault = Cell::new(None);
    let seed = NodeSeed {
        depth: 0,
        fault: &fault,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = seed
        .deserialize(&mut deserializer)
        .and_then(|node| deserializer.end().map(|()| node));
    read.map_err(|error| named(&error, fault.take()))
}

fn named(error: &serde_json::Error, fault: Option<Fault>) -> JsonError {
    let (line, column) = (error.line(), error.column());
    match fault {
        Some(Fault::TooDeep) => JsonError::TooDeep { line, column },
        Some(Fault::Twice(member)) => JsonError::Twice {
            member,
            line,
            column,
        },
        None => {
            let text = error.to_string();
            let reason = text.split(" at line ").next().unwrap_or_default();
            if reason == "number out of range" {
                return JsonError::NumberOutOfRange { line, column };
            }
            JsonError::Malformed {
                line,
                column,
                reason: reason.to_owned(),
            }
        }
    }
}

/// What this reader refuses beyond the syntax; carried beside the deserializer's own error, which holds text alone.
enum Fault {
    TooDeep,
    Twice(String),
}

#[derive(Clone, Copy)]
struct NodeSeed<'f> {
    depth: usize,
    fault: &'f Cell<Option<Fault>>,
}

impl NodeSeed<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            self.fault.set(Some(Fault::TooDeep));
            return Err(E::custom("nested too deep"));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(truth))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node<'de>, E> {
        Ok(Node::Unsigned(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node<'de>, E> {
        Ok(u64::try_from(number).map_or(Node::Negative(number), Node::Unsigned))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node<'de>, E> {
        Ok(Node::Float(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut nodes = Vec::new();
        while let Some(node) = seq.next_element_seed(inner)? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut members = Vec::new();
        let mut names = BTreeSet::new();
        while let Some(name) = map.next_key_seed(NameSeed)? {
            if is_known(&name, &members, &mut names) {
                self.fault.set(Some(Fault::Twice(crate::text::cut(&name))));
                return Err(serde::de::Error::custom("a member stands twice"));
            }
            let node = map.next_value_seed(inner)?;
            members.push((name, node));
        }
        Ok(Node::Object(members))
    }
}

/// Whether the name stood before. *Cost*: linear for few members, logarithmic for many.
fn is_known<'de>(
    name: &str,
    members: &[(Cow<'de, str>, Node<'de>)],
    names: &mut BTreeSet<Cow<'de, str>>,
) -> bool {
    if members.len() < COMPARED_ONE_BY_ONE {
        return members.iter().any(|(known, _)| known == name);
    }
    if names.is_empty() {
        names.extend(members.iter().map(|(known, _)| known.clone()));
    }
    !names.insert(Cow::Owned(name.to_owned()))
}

struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for NameSeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        let many: String = (0..40).map(|n| format!("\"m{n}\":0,")).collect();
        for (text, error) in [
            (
                "",
                "not JSON at line 1, column 0: EOF while parsing a value",
            ),
            (
                "{\"a\":1} x",
                "not JSON at line 1, column 9: trailing characters",
            ),
            (
                "{\n\"a\":nan}",
                "not JSON at line 2, column 6: expected ident",
            ),
            (
                "{\"a\":NaN}",
                "not JSON at line 1, column 6: expected value",
            ),
            ("[1e999]", "a number at line 1, column 6 is out of range"),
            (
                "\"\\ud800\"",
                "not JSON at line 1, column 8: unexpected end of hex escape",
            ),
            (
                &nested(33),
                "nested deeper than 32 levels at line 1, column 34",
            ),
            (
                "{\"a\":1,\"a\":2}",
                "member `a` stands twice, the second at line 1, column 10",
            ),
            (
                &format!("{{{many}\"m3\":1}}"),
                "member `m3` stands twice, the second at line 1, column 315",
            ),
        ] {
            let found = read(text.as_bytes()).map_err(|error| error.to_string());
            assert_eq!(found, Err(error.to_owned()), "{text}");
        }
        assert!(read(nested(32).as_bytes()).is_ok());
        assert_eq!(read(b"\"\xff\""), Err(JsonError::NotUtf8 { at: 1 }));
        assert_eq!(read(b"\xff\xfe{\0"), Err(JsonError::NotUtf8 { at: 0 }));
    }

    #[test]
    fn a_value_keeps_what_was_read() {
        let text = r#"{"b":[1,-2,0.5,true,null,"\u00e9"],"a":{"y":1,"x":18446744073709551615}}"#;
        let value = read(text.as_bytes()).unwrap().into_value();
        assert_eq!(
            value.to_string(),
            r#"{"a":{"x":18446744073709551615,"y":1},"b":[1,-2,0.5,true,null,"é"]}"#
        );
    }
}

//! The JSON side of stored forms: objects, words, variants, and where in them something is wrong.

use serde_json::{Map, Value};

/// Why a JSON value is no stored form. *Shape*: `path` from the outermost, e.g. `.input.signal.origin.time`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` must be {expected}, not {found}")]
pub struct ValueError {
    pub path: String,
    pub expected: &'static str,
    pub found: &'static str,
}

impl ValueError {
    pub(crate) fn new(expected: &'static str, found: &Value) -> Self {
        Self {
            path: String::new(),
            expected,
            found: kind(found),
        }
    }

    /// The same, seen from the object that holds it.
    pub(crate) fn within(mut self, member: &str) -> Self {
        self.path.insert_str(0, member);
        self.path.insert(0, '.');
        self
    }

    /// The same, seen from the array that holds it.
    pub(crate) fn at(mut self, index: usize) -> Self {
        self.path.insert_str(0, &format!("[{index}]"));
        self
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "this number",
        Value::String(_) => "this string",
        Value::Array(_) => "this array",
        Value::Object(_) => "this object",
    }
}

/// An object of the members that are not null, by the order of their names: the map's own order may be that of
/// insertion.
pub(crate) fn members_value(mut members: Vec<(&'static str, Value)>) -> Value {
    members.sort_unstable_by_key(|(name, _)| *name);
    let given = members.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(
        given
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// The object's member; `null` when it is absent.
pub(crate) fn member<'v>(members: &'v Map<String, Value>, name: &str) -> &'v Value {
    members.get(name).unwrap_or(&Value::Null)
}

pub(crate) fn object(value: &Value) -> Result<&Map<String, Value>, ValueError> {
    match value {
        Value::Object(members) => Ok(members),
        other => Err(ValueError::new("an object", other)),
    }
}

/// A variant being read: its word, and what stands with it.
#[derive(Clone, Copy)]
pub(crate) struct Content<'v> {
    word: &'v str,
    content: Option<&'v Value>,
}

impl<'v> Content<'v> {
    /// A variant without fields is its word; another is an object with the word as its one member.
    pub(crate) fn of(value: &'v Value) -> Result<Self, ValueError> {
        match value {
            Value::String(word) => Ok(Self {
                word,
                content: None,
            }),
            Value::Object(members) if members.len() == 1 => {
                let (word, content) = members
                    .iter()
                    .next()
                    .ok_or_else(|| ValueError::new("a variant", value))?;
                Ok(Self {
                    word,
                    content: Some(content),
                })
            }
            other => Err(ValueError::new("a variant", other)),
        }
    }

    pub(crate) fn is(&self, variant: &str) -> bool {
        self.word == snake(variant)
    }

    pub(crate) fn word(&self) -> &'v str {
        self.word
    }

    pub(crate) fn nothing(&self) -> Result<(), ValueError> {
        match self.content {
            None => Ok(()),
            Some(content) => Err(ValueError::new("nothing beside the word", content)),
        }
    }

    /// The fields of a variant with `len` unnamed ones: a single one stands by itself.
    pub(crate) fn list(&self, len: usize) -> Result<&'v [Value], ValueError> {
        match (self.content, len) {
            (Some(content), 1) => Ok(std::slice::from_ref(content)),
            (Some(Value::Array(list)), len) if list.len() == len => Ok(list),
            (Some(other), _) => Err(ValueError::new("an array of the variant's fields", other)),
            (None, _) => Err(ValueError::new("the variant's fields", &Value::Null)),
        }
    }

    pub(crate) fn members(&self) -> Result<&'v Map<String, Value>, ValueError> {
        object(self.content.unwrap_or(&Value::Null))
    }
}

/// A variant with unnamed fields.
pub(crate) fn list_variant(variant: &str, mut list: Vec<Value>) -> Value {
    let content = match (list.pop(), list.is_empty()) {
        (Some(only), true) => only,
        (Some(last), false) => {
            list.push(last);
            Value::Array(list)
        }
        (None, _) => Value::Null,
    };
    word_variant(variant, content)
}

/// A variant with something beside its word.
pub(crate) fn word_variant(variant: &str, content: Value) -> Value {
    Value::Object(Map::from_iter([(snake(variant), content)]))
}

/// `StolenCredential` as `stolen_credential`.
pub(crate) fn snake(variant: &str) -> String {
    let mut word = String::with_capacity(variant.len() + 4);
    for (index, letter) in variant.chars().enumerate() {
        if letter.is_ascii_uppercase() && index > 0 {
            word.push('_');
        }
        word.push(letter.to_ascii_lowercase());
    }
    word
}

//! The part of JSON Schema (2020-12) that the published schemas use; a keyword beyond it is an error.

use std::collections::BTreeMap;

use serde_json::Value;

/// Schemas by their file's name.
pub(super) struct Schemas(pub(super) BTreeMap<&'static str, Value>);

/// Says nothing about a value.
const ANNOTATIONS: [&str; 8] = [
    "$schema",
    "$id",
    "title",
    "description",
    "examples",
    "$defs",
    "format",
    "pattern",
];

impl Schemas {
    pub(super) fn check(&self, file: &'static str, value: &Value) -> Result<(), String> {
        let here = Here {
            schemas: self,
            root: &self.0[file],
        };
        here.check(here.root, value, "")
    }
}

#[derive(Clone, Copy)]
struct Here<'s> {
    schemas: &'s Schemas,
    root: &'s Value,
}

impl Here<'_> {
    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let schema = schema.as_object().ok_or("a schema is an object")?;
        for (keyword, says) in schema {
            self.keyword((keyword, says), value, at).map_err(|error| {
                if error.starts_with('`') {
                    error
                } else {
                    format!("`{at}` {error}")
                }
            })?;
        }
        match schema.get("if") {
            Some(condition) if self.check(condition, value, at).is_ok() => {
                self.check(&schema["then"], value, at)
            }
            _ => Ok(()),
        }
    }

    fn keyword(
        &self,
        (keyword, says): (&str, &Value),
        value: &Value,
        at: &str,
    ) -> Result<(), String> {
        let list = || says.as_array().unwrap();
        let fits = |schema: &Value| self.check(schema, value, at).is_ok();
        let told = |is_fine: bool| {
            if is_fine {
                Ok(())
            } else {
                Err(format!("breaks {keyword} {says}"))
            }
        };
        match keyword {
            known if ANNOTATIONS.contains(&known) || ["if", "then"].contains(&known) => Ok(()),
            "$ref" => self.reference(says.as_str().unwrap(), value, at),
            "type" => told(match says {
                Value::Array(types) => types.iter().any(|name| is_of(name, value)),
                name => is_of(name, value),
            }),
            "enum" => told(list().contains(value)),
            "const" => told(says == value),
            "allOf" => list()
                .iter()
                .try_for_each(|schema| self.check(schema, value, at)),
            "anyOf" => told(list().iter().any(fits)),
            "oneOf" => told(list().iter().filter(|schema| fits(schema)).count() == 1),
            "minLength" => told(length(value).is_none_or(|len| len >= says.as_u64().unwrap())),
            "maxLength" => told(length(value).is_none_or(|len| len <= says.as_u64().unwrap())),
            "minimum" => told(
                value
                    .as_f64()
                    .is_none_or(|number| number >= says.as_f64().unwrap()),
            ),
            "maximum" => told(
                value
                    .as_f64()
                    .is_none_or(|number| number <= says.as_f64().unwrap()),
            ),
            "items" => value
                .as_array()
                .into_iter()
                .flatten()
                .enumerate()
                .try_for_each(|(index, entry)| self.check(says, entry, &format!("{at}[{index}]"))),
            "maxItems" => told(
                value
                    .as_array()
                    .is_none_or(|entries| entries.len() as u64 <= says.as_u64().unwrap()),
            ),
            _ => self.object_keyword(keyword, says, value, at),
        }
    }

    fn object_keyword(
        &self,
        keyword: &str,
        says: &Value,
        value: &Value,
        at: &str,
    ) -> Result<(), String> {
        let Some(members) = value.as_object() else {
            return Ok(());
        };
        let lacks = |name: &Value| !members.contains_key(name.as_str().unwrap());
        match keyword {
            "properties" => says
                .as_object()
                .unwrap()
                .iter()
                .try_for_each(|(name, schema)| match members.get(name) {
                    Some(member) => self.check(schema, member, &format!("{at}.{name}")),
                    None => Ok(()),
                }),
            "required" => match says.as_array().unwrap().iter().find(|name| lacks(name)) {
                Some(name) => Err(format!("lacks {name}")),
                None => Ok(()),
            },
            "minProperties" if (members.len() as u64) < says.as_u64().unwrap() => {
                Err(String::from("has too few members"))
            }
            "minProperties" => Ok(()),
            "dependentRequired" => {
                for (name, needed) in says.as_object().unwrap() {
                    if members.contains_key(name) && needed.as_array().unwrap().iter().any(lacks) {
                        return Err(format!("has {name} without {needed}"));
                    }
                }
                Ok(())
            }
            unknown => Err(format!("uses the keyword {unknown}, which is not checked")),
        }
    }

    fn reference(&self, to: &str, value: &Value, at: &str) -> Result<(), String> {
        if let Some(name) = to.strip_prefix("#/$defs/") {
            return self.check(&self.root["$defs"][name], value, at);
        }
        let (_, root) = self
            .schemas
            .0
            .iter()
            .find(|(file, _)| **file == to)
            .ok_or("no such schema")?;
        Here { root, ..*self }.check(root, value, at)
    }
}

fn is_of(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type {other}"),
    }
}

fn length(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.chars().count() as u64)
}

//! Layer upon layer to one value for each key, and where each came from. Knows no key beyond the layout it is given.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::environment::Environment;
use super::layout::{Field, Kind, Layout};
use super::problem::{ConfigError, Origin, Problem};

/// Longest part of a stranger's text that is shown back.
const SHOWN_MAX: usize = 64;

/// A value of the right kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Address(SocketAddr),
    Texts(Vec<String>),
    Integer(i64),
    Number(f64),
    Flag(bool),
}

/// A command-line flag that stands for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// As typed, e.g. `--listen`.
    pub name: &'static str,
    pub key: &'static str,
    pub value: String,
}

/// Where a configuration comes from, beside its defaults.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    pub file: Option<&'a Path>,
    pub environment: &'a Environment,
    pub flags: &'a [Flag],
}

/// One value for each key, with its origin. Keys of lists of tables read `section[0].name`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merged {
    values: BTreeMap<String, (Value, Origin)>,
    secrets: Vec<String>,
}

impl Layout {
    /// Reads all layers. *Errors*: everything that is wrong, at once.
    pub fn load(&self, sources: &Sources<'_>) -> Result<Merged, ConfigError> {
        let mut reading = Reading::of_defaults(*self);
        if let Some(path) = sources.file {
            let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
                path: path.to_owned(),
                source,
            })?;
            reading.file(&text, path);
        }
        for (rest, text) in sources.environment.with_prefix(self.prefix) {
            let key = rest.to_ascii_lowercase().replace("__", ".");
            let origin = Origin::Variable(format!("{}{rest}", self.prefix));
            reading.given(&key, text, &origin);
        }
        for flag in sources.flags {
            reading.given(flag.key, &flag.value, &Origin::Flag(flag.name));
        }
        reading.done()
    }

    /// What is wrong with a file's text alone.
    pub fn check(&self, text: &str, path: &Path) -> Result<Merged, ConfigError> {
        let mut reading = Reading::of_defaults(*self);
        reading.file(text, path);
        reading.done()
    }
}

struct Reading {
    layout: Layout,
    merged: Merged,
    problems: Vec<Problem>,
}

impl Reading {
    fn of_defaults(layout: Layout) -> Self {
        let secrets = layout.fields.iter();
        let secrets = secrets.filter(|field| field.kind == Kind::Secret);
        let mut reading = Self {
            layout,
            merged: Merged {
                values: BTreeMap::new(),
                secrets: secrets.map(|field| field.key.to_owned()).collect(),
            },
            problems: Vec::new(),
        };
        reading.text(layout.defaults, &|_| Origin::Default);
        reading
    }

    fn done(self) -> Result<Merged, ConfigError> {
        if self.problems.is_empty() {
            Ok(self.merged)
        } else {
            Err(ConfigError::Wrong {
                problems: self.problems,
            })
        }
    }

    fn file(&mut self, text: &str, path: &Path) {
        self.text(text, &|at| {
            let before = text.get(..at).unwrap_or(text);
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            Origin::File {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before.get(line_start..).unwrap_or("").chars().count() + 1,
            }
        });
    }

    fn text(&mut self, text: &str, origin_at: &dyn Fn(usize) -> Origin) {
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            self.table("", "", table.get_ref(), origin_at);
        }
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            let message = format!("not TOML: {}", error.message());
            self.problem(origin_at(at), None, message);
        }
    }

    /// `section` is as the layout writes it (`criticality[]`), `place` as it is found (`criticality[0]`).
    fn table(
        &mut self,
        section: &str,
        place: &str,
        table: &DeTable<'_>,
        origin_at: &dyn Fn(usize) -> Origin,
    ) {
        for (name, value) in table {
            let key = join(section, name.get_ref());
            let found = join(place, name.get_ref());
            let origin = origin_at(name.span().start);
            let list = format!("{key}[]");
            match value.get_ref() {
                DeValue::Table(inner) if self.layout.is_section(&key) => {
                    self.table(&key, &found, inner, origin_at);
                }
                DeValue::Array(rows) if self.layout.is_section(&list) => {
                    self.forget(&format!("{found}["));
                    for (index, row) in rows.iter().enumerate() {
                        let found = format!("{found}[{index}]");
                        match row.get_ref() {
                            DeValue::Table(row) => self.table(&list, &found, row, origin_at),
                            _ => self.problem(
                                origin_at(row.span().start),
                                Some(found),
                                "must be a table".to_owned(),
                            ),
                        }
                    }
                }
                other => match self.layout.field(&key) {
                    None => self.unknown(&key, found, origin),
                    Some(field) => {
                        let value = plain(other).and_then(|value| field.kind.read(&value));
                        self.take(field, found, value, origin);
                    }
                },
            }
        }
    }

    /// A variable's or a flag's text.
    fn given(&mut self, key: &str, text: &str, origin: &Origin) {
        match self.layout.field(key) {
            Some(field) if !key.contains("[]") => {
                self.take(
                    field,
                    key.to_owned(),
                    field.kind.parse(text),
                    origin.clone(),
                );
            }
            _ => self.unknown(key, key.to_owned(), origin.clone()),
        }
    }

    fn take(&mut self, field: &Field, found: String, value: Option<Value>, origin: Origin) {
        match value {
            Some(value) => {
                self.merged.values.insert(found, (value, origin));
            }
            None => {
                let message = format!("must be {}", field.kind.expected());
                self.problem(origin, Some(found), message);
            }
        }
    }

    fn unknown(&mut self, key: &str, found: String, origin: Origin) {
        let message = match self.layout.nearest(key) {
            Some(known) => format!("is not a key; did you mean `{known}`?"),
            None => "is not a key".to_owned(),
        };
        self.problem(origin, Some(found), message);
    }

    fn problem(&mut self, origin: Origin, key: Option<String>, message: String) {
        let key = key.map(|key| key.chars().take(SHOWN_MAX).collect());
        self.problems.push(Problem {
            origin,
            key,
            message,
        });
    }

    /// A later layer's list of tables replaces an earlier one's.
    fn forget(&mut self, prefix: &str) {
        self.merged.values.retain(|key, _| !key.starts_with(prefix));
    }
}

fn join(section: &str, name: &str) -> String {
    if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    }
}

/// Without spans; nothing for what no kind takes (dates, tables).
fn plain(value: &DeValue<'_>) -> Option<toml::Value> {
    Some(match value {
        DeValue::String(text) => toml::Value::String(text.to_string()),
        DeValue::Integer(number) => {
            let digits = number.as_str();
            toml::Value::Integer(i64::from_str_radix(digits, number.radix()).ok()?)
        }
        DeValue::Float(number) => toml::Value::Float(number.as_str().parse().ok()?),
        DeValue::Boolean(flag) => toml::Value::Boolean(*flag),
        DeValue::Array(list) => {
            let all: Option<Vec<_>> = list.iter().map(|one| plain(one.get_ref())).collect();
            toml::Value::Array(all?)
        }
        DeValue::Datetime(_) | DeValue::Table(_) => return None,
    })
}

impl Merged {
    /// How many tables a list has.
    pub fn rows(&self, list: &str) -> usize {
        let prefix = format!("{list}[");
        let index = |key: &String| {
            let rest = key.strip_prefix(&prefix)?;
            rest.split_once(']')?.0.parse::<usize>().ok()
        };
        self.values
            .keys()
            .filter_map(index)
            .max()
            .map_or(0, |last| last + 1)
    }

    /// Where the key was given; for one that was not, where its table was.
    pub fn origin(&self, key: &str) -> Origin {
        let table = key.rsplit_once('.').map_or(key, |(table, _)| table);
        let is_row = table.ends_with(']');
        let beside = |(other, _): &(&String, &(Value, Origin))| {
            is_row
                && other
                    .strip_prefix(table)
                    .is_some_and(|rest| rest.starts_with('.'))
        };
        let given = self.values.get(key);
        let given = given.or_else(|| self.values.iter().find(beside).map(|(_, value)| value));
        given.map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// What is wrong with a value that its kind alone does not tell.
    pub fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        Problem {
            origin: self.origin(key),
            key: Some(key.to_owned()),
            message: message.into(),
        }
    }

    /// Every key and value, secrets masked, for a person.
    pub fn shown(&self) -> Vec<(String, String, Origin)> {
        let shown = self.values.iter().map(|(key, (value, origin))| {
            let is_secret = self.secrets.contains(key) && *value != Value::Text(String::new());
            let text = if is_secret {
                "…".to_owned()
            } else {
                value.to_string()
            };
            (key.clone(), text, origin.clone())
        });
        shown.collect()
    }

    /// *Errors*: where the key is not there: it has no default and was not given.
    pub fn text(&self, key: &str) -> Result<&str, Problem> {
        match self.value(key)? {
            Value::Text(text) => Ok(text),
            _ => Err(self.misread(key)),
        }
    }

    /// `None` where it is not there, or empty.
    pub fn text_if_any(&self, key: &str) -> Option<&str> {
        self.text(key).ok().filter(|text| !text.is_empty())
    }

    pub fn path_if_any(&self, key: &str) -> Option<PathBuf> {
        self.text_if_any(key).map(PathBuf::from)
    }

    pub fn address(&self, key: &str) -> Result<SocketAddr, Problem> {
        match self.value(key)? {
            Value::Address(address) => Ok(*address),
            _ => Err(self.misread(key)),
        }
    }

    pub fn texts(&self, key: &str) -> Result<&[String], Problem> {
        match self.value(key)? {
            Value::Texts(texts) => Ok(texts),
            _ => Err(self.misread(key)),
        }
    }

    /// Any integer type that its range fits.
    pub fn integer<T: TryFrom<i64>>(&self, key: &str) -> Result<T, Problem> {
        let number = match self.value(key)? {
            Value::Integer(number) => T::try_from(*number).ok(),
            _ => None,
        };
        number.ok_or_else(|| self.misread(key))
    }

    pub fn number(&self, key: &str) -> Result<f64, Problem> {
        match self.value(key)? {
            Value::Number(number) => Ok(*number),
            _ => Err(self.misread(key)),
        }
    }

    pub fn flag(&self, key: &str) -> Result<bool, Problem> {
        match self.value(key)? {
            Value::Flag(flag) => Ok(*flag),
            _ => Err(self.misread(key)),
        }
    }

    fn value(&self, key: &str) -> Result<&Value, Problem> {
        let found = self.values.get(key).map(|(value, _)| value);
        found.ok_or_else(|| self.problem(key, "is missing"))
    }

    /// The layout gave the key another kind than its reader expects; a test reads every key once.
    fn misread(&self, key: &str) -> Problem {
        self.problem(key, "is of another kind than the program reads")
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Address(address) => write!(f, "\"{address}\""),
            Self::Texts(texts) => write!(f, "{texts:?}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

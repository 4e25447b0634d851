//! A configuration's keys as data: meaning, unit, range, default. Knows no value that was given.

use std::net::SocketAddr;

use super::layers::Value;

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// *Shape*: `section.name`; for a list of tables `section[].name`.
    pub key: &'static str,
    pub kind: Kind,
    /// Empty where there is none.
    pub unit: &'static str,
    /// A sentence without its stop.
    pub meaning: &'static str,
}

/// What a value must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Text,
    /// As text, and printed masked.
    Secret,
    /// A path in the file system; empty for none.
    Path,
    /// An IP address and a port.
    Address,
    /// A list of text; in a variable or flag separated by commas.
    Texts,
    Choice(&'static [&'static str]),
    Integer {
        min: i64,
        max: i64,
    },
    /// A number above zero.
    Positive,
    Flag,
}

impl Kind {
    /// For people: what is expected.
    pub fn expected(self) -> String {
        match self {
            Self::Text | Self::Secret => "text".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Address => "an IP address and a port, e.g. 127.0.0.1:7400".to_owned(),
            Self::Texts => "a list of text".to_owned(),
            Self::Choice(choices) => format!("one of {}", choices.join(", ")),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Positive => "a number above 0".to_owned(),
            Self::Flag => "true or false".to_owned(),
        }
    }

    /// The value as TOML tells it. *Errors*: nothing, where it is of another kind or out of range.
    pub(super) fn read(self, value: &toml::Value) -> Option<Value> {
        match (self, value) {
            (Self::Texts, toml::Value::Array(list)) => {
                let all: Option<Vec<String>> = list
                    .iter()
                    .map(|one| one.as_str().map(str::to_owned))
                    .collect();
                all.map(Value::Texts)
            }
            (Self::Integer { .. }, toml::Value::Integer(number)) => self.integer(*number),
            (Self::Positive, toml::Value::Integer(number)) => {
                // Exact up to 2^53; a cost beyond that is refused by nothing and means the same.
                self.number(caerus_engine::number::float(*number))
            }
            (Self::Positive, toml::Value::Float(number)) => self.number(*number),
            (Self::Flag, toml::Value::Boolean(flag)) => Some(Value::Flag(*flag)),
            (
                Self::Text | Self::Secret | Self::Path | Self::Address | Self::Choice(_),
                toml::Value::String(text),
            ) => self.text(text),
            _ => None,
        }
    }

    /// The value as a variable or a flag tells it.
    pub(super) fn parse(self, text: &str) -> Option<Value> {
        match self {
            Self::Texts => {
                let all = text.split(',').map(str::trim);
                let all = all.filter(|one| !one.is_empty()).map(str::to_owned);
                Some(Value::Texts(all.collect()))
            }
            Self::Integer { .. } => self.integer(text.parse().ok()?),
            Self::Positive => self.number(text.parse().ok()?),
            Self::Flag => text.parse().ok().map(Value::Flag),
            Self::Text | Self::Secret | Self::Path | Self::Address | Self::Choice(_) => {
                self.text(text)
            }
        }
    }

    fn text(self, text: &str) -> Option<Value> {
        match self {
            Self::Address => text.parse::<SocketAddr>().ok().map(Value::Address),
            Self::Choice(choices) => {
                let found = choices.iter().find(|choice| **choice == text)?;
                Some(Value::Text((*found).to_owned()))
            }
            _ => Some(Value::Text(text.to_owned())),
        }
    }

    fn integer(self, number: i64) -> Option<Value> {
        match self {
            Self::Integer { min, max } if (min..=max).contains(&number) => {
                Some(Value::Integer(number))
            }
            _ => None,
        }
    }

    fn number(self, number: f64) -> Option<Value> {
        (number.is_finite() && number > 0.0).then_some(Value::Number(number))
    }
}

/// All keys of one program, with their defaults.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub program: &'static str,
    /// Of its variables, e.g. `CAERUS__`.
    pub prefix: &'static str,
    pub fields: &'static [Field],
    /// TOML with a value for every key outside lists of tables.
    pub defaults: &'static str,
}

impl Layout {
    pub(super) fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == key)
    }

    /// Whether keys begin with `section.` or `section[].`.
    pub(super) fn is_section(&self, section: &str) -> bool {
        self.fields.iter().any(|field| {
            let rest = field.key.strip_prefix(section);
            rest.is_some_and(|rest| rest.starts_with('.'))
        })
    }

    /// The key spelled most like this one, where one is close.
    pub(super) fn nearest(&self, key: &str) -> Option<&'static str> {
        /// More slips than this are another word.
        const SLIPS_MAX: usize = 3;
        let all = self.fields.iter().map(|field| field.key);
        let near = all.map(|known| (slips(known, key), known)).min()?;
        (near.0 <= SLIPS_MAX).then_some(near.1)
    }

    /// Every key with meaning, unit, range and default, as Markdown.
    pub fn doc(&self) -> String {
        let defaults = self.defaults.parse::<toml::Table>().unwrap_or_default();
        let mut page = format!(
            "# Configuration of `{}`\n\n\
             Compiled-in defaults, then the file given with `--config`, then variables (`{}SECTION__KEY`), then flags;\n\
             the later wins. Unknown keys are refused. Everything is read once, at start: a change needs a restart.\n\n\
             | key | meaning | unit | range | default | while running |\n| --- | --- | --- | --- | --- | --- |\n",
            self.program, self.prefix
        );
        for field in self.fields {
            page.push_str(&format!(
                "| `{}` | {} | {} | {} | {} | no |\n",
                field.key,
                field.meaning,
                if field.unit.is_empty() {
                    "–"
                } else {
                    field.unit
                },
                field.kind.expected(),
                default_text(&defaults, field.key),
            ));
        }
        page
    }
}

fn default_text(defaults: &toml::Table, key: &str) -> String {
    let mut parts = key.split('.');
    let first = parts.next().and_then(|part| defaults.get(part));
    let value = parts.try_fold(first, |at, part| Some(at?.get(part)));
    match value.flatten() {
        None => "–".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}

/// How many letters must be changed, added or removed (Levenshtein).
fn slips(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut next = vec![i + 1];
        for (r, above) in right.iter().zip(row.windows(2)) {
            let (diagonal, up) = match above {
                [diagonal, up] => (*diagonal, *up),
                _ => (0, 0),
            };
            let beside = next.last().copied().unwrap_or(0);
            let best = (diagonal + usize::from(l != *r))
                .min(up + 1)
                .min(beside + 1);
            next.push(best);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

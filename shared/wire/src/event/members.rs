//! The members of one object, taken out by name and type. Knows no event: what each member is called is told it.

use std::borrow::Cow;
use std::net::IpAddr;

use caerus_engine::id::DecisionId;
use caerus_engine::number::{float, quantise};
use caerus_engine::time::Timestamp;
use serde_json::{Map, Value};

use super::{
    EventError, EventType, NAME_CHARS_MAX, RADIUS_KM_MAX, TEXT_CHARS_MAX, WORKLOAD_CHARS_MAX,
};
use crate::json::{self, Node};
use crate::moment;
use crate::text::cut;

pub(super) type Read<T> = Result<T, EventError>;

/// An object's members, taken out one by one; what is left is unknown.
pub(super) struct Members<'a> {
    /// The path before a member's name.
    prefix: Cow<'static, str>,
    members: Vec<(Cow<'a, str>, Node<'a>)>,
}

impl<'a> Members<'a> {
    /// The outermost object's.
    pub(super) fn new(members: Vec<(Cow<'a, str>, Node<'a>)>) -> Self {
        Self {
            prefix: Cow::Borrowed(""),
            members,
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Node<'a>> {
        let place = self.members.iter().position(|(known, _)| known == name)?;
        let (_, node) = self.members.swap_remove(place);
        (node != Node::Null).then_some(node)
    }

    pub(super) fn rest(&mut self) -> Map<String, Value> {
        json::into_map(std::mem::take(&mut self.members))
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn wrong_type(&self, name: &str, expected: &'static str, found: &Node<'_>) -> EventError {
        EventError::WrongType {
            member: self.path(name),
            expected,
            found: found.kind(),
        }
    }

    fn unreadable(&self, name: &str, value: &str, expected: &'static str) -> EventError {
        EventError::Unreadable {
            member: self.path(name),
            value: cut(value),
            expected,
        }
    }

    fn out_of_range(&self, name: &str, expected: &'static str) -> EventError {
        EventError::OutOfRange {
            member: self.path(name),
            expected,
        }
    }

    fn string(&mut self, name: &str) -> Read<Option<Cow<'a, str>>> {
        match self.take(name) {
            None => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(name, "a string", &other)),
        }
    }

    pub(super) fn object(&mut self, name: &'static str) -> Read<Option<Members<'a>>> {
        match self.take(name) {
            None => Ok(None),
            Some(Node::Object(members)) => Ok(Some(Members {
                prefix: Cow::Owned(format!("{}{name}.", self.prefix)),
                members,
            })),
            Some(other) => Err(self.wrong_type(name, "an object", &other)),
        }
    }

    /// A string of so many characters without control characters.
    pub(super) fn chars(&mut self, name: &str, min: usize, max: usize) -> Read<Option<String>> {
        let Some(text) = self.string(name)? else {
            return Ok(None);
        };
        check_chars(&text, min, max, |_| false).map_err(|fault| fault.of(self.path(name)))?;
        Ok(Some(text.into_owned()))
    }

    pub(super) fn name(&mut self, name: &str) -> Read<Option<String>> {
        self.chars(name, 1, NAME_CHARS_MAX)
    }

    pub(super) fn text(&mut self, name: &str) -> Read<Option<String>> {
        self.chars(name, 0, TEXT_CHARS_MAX)
    }

    /// What people write: it may have lines and tabs.
    pub(super) fn prose(&mut self, name: &str) -> Read<Option<String>> {
        let Some(text) = self.string(name)? else {
            return Ok(None);
        };
        let is_layout = |c| matches!(c, '\n' | '\r' | '\t');
        check_chars(&text, 0, TEXT_CHARS_MAX, is_layout)
            .map_err(|fault| fault.of(self.path(name)))?;
        Ok(Some(text.into_owned()))
    }

    pub(super) fn names(&mut self, name: &str, max: usize) -> Read<Option<Vec<String>>> {
        let Some(nodes) = self.list(name, "an array of strings", max)? else {
            return Ok(None);
        };
        let mut names = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.into_iter().enumerate() {
            let path = format!("{name}[{index}]");
            let Node::Text(text) = node else {
                return Err(self.wrong_type(&path, "a string", &node));
            };
            check_chars(&text, 1, NAME_CHARS_MAX, |_| false)
                .map_err(|fault| fault.of(self.path(&path)))?;
            names.push(text.into_owned());
        }
        Ok(Some(names))
    }

    pub(super) fn truth(&mut self, name: &str) -> Read<Option<bool>> {
        match self.take(name) {
            None => Ok(None),
            Some(Node::Bool(truth)) => Ok(Some(truth)),
            Some(other) => Err(self.wrong_type(name, "a boolean", &other)),
        }
    }

    pub(super) fn integer<T: TryFrom<u64> + PartialOrd>(
        &mut self,
        name: &str,
        min: T,
        max: T,
        range: &'static str,
    ) -> Read<Option<T>> {
        let number = match self.take(name) {
            None => return Ok(None),
            Some(Node::Unsigned(number)) => T::try_from(number).ok(),
            Some(Node::Negative(_)) => None,
            // Integers beyond 64 bits are read as floating point.
            Some(Node::Float(number)) if number.fract() == 0.0 && number.abs() >= TWO_TO_63 => None,
            Some(other) => return Err(self.wrong_type(name, "an integer", &other)),
        };
        match number {
            Some(number) if number >= min && number <= max => Ok(Some(number)),
            _ => Err(self.out_of_range(name, range)),
        }
    }

    fn number(&mut self, name: &str) -> Read<Option<f64>> {
        match self.take(name) {
            None => Ok(None),
            Some(Node::Float(number)) => Ok(Some(number)),
            Some(Node::Unsigned(number)) => Ok(Some(whole(i64::try_from(number)))),
            Some(Node::Negative(number)) => Ok(Some(whole(Ok::<_, ()>(number)))),
            Some(other) => Err(self.wrong_type(name, "a number", &other)),
        }
    }

    pub(super) fn degrees(
        &mut self,
        name: &str,
        most: i32,
        range: &'static str,
    ) -> Read<Option<i32>> {
        let Some(degrees) = self.number(name)? else {
            return Ok(None);
        };
        if degrees.abs() > f64::from(most) {
            return Err(self.out_of_range(name, range));
        }
        Ok(i32::try_from(quantise(degrees * 1e6)).ok())
    }

    pub(super) fn radius(&mut self, name: &str) -> Read<Option<u32>> {
        let Some(radius_km) = self.number(name)? else {
            return Ok(None);
        };
        if !(0.0..=f64::from(RADIUS_KM_MAX)).contains(&radius_km) {
            return Err(self.out_of_range(name, "0 to 20038"));
        }
        Ok(u32::try_from(quantise(radius_km * 1e3)).ok())
    }

    pub(super) fn word<T>(
        &mut self,
        name: &str,
        parse: fn(&str) -> Option<T>,
        words: &'static [&'static str],
    ) -> Read<Option<T>> {
        let Some(text) = self.string(name)? else {
            return Ok(None);
        };
        match parse(&text) {
            Some(word) => Ok(Some(word)),
            None => Err(EventError::UnknownWord {
                member: self.path(name),
                value: cut(&text),
                expected: words,
            }),
        }
    }

    pub(super) fn event_type(&mut self) -> Read<Option<EventType>> {
        let Some(text) = self.string("type")? else {
            return Ok(None);
        };
        match EventType::parse(&text) {
            Some(kind) => Ok(Some(kind)),
            None => Err(EventError::UnknownType { value: cut(&text) }),
        }
    }

    pub(super) fn time(&mut self, name: &str) -> Read<Option<Timestamp>> {
        const EXPECTED: &str = "an RFC 3339 time or integer milliseconds";
        let moment = match self.take(name) {
            None => return Ok(None),
            Some(Node::Unsigned(ms)) => i64::try_from(ms).ok().map(Timestamp),
            Some(Node::Negative(ms)) => Some(Timestamp(ms)),
            Some(Node::Float(ms)) if ms.fract() == 0.0 && ms.abs() >= TWO_TO_63 => None,
            Some(Node::Text(text)) => match moment::parse(&text) {
                Some(moment) => Some(moment),
                None => return Err(self.unreadable(name, &text, EXPECTED)),
            },
            Some(other) => return Err(self.wrong_type(name, EXPECTED, &other)),
        };
        match moment {
            Some(moment) if moment::is_plausible(moment) => Ok(Some(moment)),
            _ => Err(self.out_of_range(name, "the years 2000 to 2100")),
        }
    }

    pub(super) fn address(&mut self, name: &str) -> Read<Option<IpAddr>> {
        let Some(text) = self.string(name)? else {
            return Ok(None);
        };
        match text.parse::<IpAddr>() {
            Ok(address) => Ok(Some(address)),
            Err(_) => Err(self.unreadable(name, &text, "an IPv4 or IPv6 address")),
        }
    }

    pub(super) fn country(&mut self, name: &str) -> Read<Option<String>> {
        let Some(text) = self.string(name)? else {
            return Ok(None);
        };
        if text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic()) {
            return Ok(Some(text.to_ascii_uppercase()));
        }
        Err(self.unreadable(name, &text, "a country's two letters"))
    }

    pub(super) fn spiffe_id(&mut self, name: &str) -> Read<Option<String>> {
        let Some(id) = self.chars(name, 1, WORKLOAD_CHARS_MAX)? else {
            return Ok(None);
        };
        if is_spiffe_id(&id) {
            return Ok(Some(id));
        }
        Err(self.unreadable(name, &id, "a SPIFFE ID (`spiffe://trust-domain/path`)"))
    }

    pub(super) fn decision(&mut self, name: &str) -> Read<Option<DecisionId>> {
        let Some(text) = self.string(name)? else {
            return Ok(None);
        };
        match DecisionId::parse(&text) {
            Some(id) => Ok(Some(id)),
            None => Err(self.unreadable(name, &text, "a decision's id")),
        }
    }

    /// The objects of an array, at most so many.
    pub(super) fn objects(&mut self, name: &str, max: usize) -> Read<Vec<Members<'a>>> {
        let mut objects = Vec::new();
        for (index, node) in self
            .list(name, "an array of objects", max)?
            .into_iter()
            .flatten()
            .enumerate()
        {
            let path = format!("{name}[{index}]");
            let Node::Object(members) = node else {
                return Err(self.wrong_type(&path, "an object", &node));
            };
            objects.push(Members {
                prefix: Cow::Owned(format!("{}{path}.", self.prefix)),
                members,
            });
        }
        Ok(objects)
    }

    fn list(
        &mut self,
        name: &str,
        expected: &'static str,
        max: usize,
    ) -> Read<Option<Vec<Node<'a>>>> {
        match self.take(name) {
            None => Ok(None),
            Some(Node::List(nodes)) if nodes.len() <= max => Ok(Some(nodes)),
            Some(Node::List(nodes)) => Err(EventError::BadLength {
                member: self.path(name),
                len: nodes.len(),
                of: "entries",
                min: 0,
                max,
            }),
            Some(other) => Err(self.wrong_type(name, expected, &other)),
        }
    }
}

/// The least magnitude that no signed 64-bit integer has.
const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

fn whole<E>(number: Result<i64, E>) -> f64 {
    float(number.unwrap_or(i64::MAX))
}

/// What is wrong with a string, before its member is known.
enum CharsFault {
    Length { len: usize, min: usize, max: usize },
    Control { code: u32, at: usize },
}

impl CharsFault {
    fn of(self, member: String) -> EventError {
        match self {
            Self::Length { len, min, max } => EventError::BadLength {
                member,
                len,
                of: "characters",
                min,
                max,
            },
            Self::Control { code, at } => EventError::ControlCharacter { member, code, at },
        }
    }
}

fn check_chars(
    text: &str,
    min: usize,
    max: usize,
    is_allowed: fn(char) -> bool,
) -> Result<(), CharsFault> {
    // Bytes are at least as many as characters: the usual name is not counted.
    if text.len() > max || text.is_empty() {
        let len = text.chars().count();
        if len < min || len > max {
            return Err(CharsFault::Length { len, min, max });
        }
    }
    let control = text
        .chars()
        .enumerate()
        .find(|(_, c)| c.is_control() && !is_allowed(*c));
    match control {
        Some((index, c)) => Err(CharsFault::Control {
            code: u32::from(c),
            at: index + 1,
        }),
        None => Ok(()),
    }
}

/// *Source*: SPIFFE-ID §2: a lower-case trust domain, and a path of non-empty segments that are not dots.
fn is_spiffe_id(id: &str) -> bool {
    let Some(rest) = id.strip_prefix("spiffe://") else {
        return false;
    };
    let mut parts = rest.split('/');
    let domain = parts.next().unwrap_or_default();
    let is_domain = !domain.is_empty()
        && domain
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_'));
    let is_segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    };
    is_domain && parts.all(is_segment)
}

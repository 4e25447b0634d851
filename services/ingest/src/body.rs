//! A posted body: its media type, its coding, expanded within bounds, and cut into events. Knows nothing of what they say.

use std::fmt;
use std::io::{self, Read};

use bytes::Bytes;
use caerus_wire::event::EVENT_BYTES_MAX;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use serde::Deserializer as _;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// *Units*: bytes of a body as sent.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// *Units*: bytes of a body once expanded.
pub const EXPANDED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Events of one request.
pub const EVENTS_MAX: usize = 10_000;
/// *Units*: the power of two of the bytes a zstd frame may make its reader hold.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One object, or an array of them.
    Json,
    /// An object on each line.
    Lines,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Plain,
    Gzip,
    Zstd,
}

/// Why a body cannot be read as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("{0}")]
    MediaType(String),
    #[error("{0}")]
    TooLarge(String),
    #[error("{0}")]
    Unreadable(String),
}

impl Form {
    /// *Errors*: anything but `application/json` and `application/x-ndjson` in UTF-8.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, BodyError> {
        let expected = "events come as application/json or application/x-ndjson";
        let Some(text) = only(headers, CONTENT_TYPE)? else {
            return Err(BodyError::MediaType(format!("no content-type; {expected}")));
        };
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let charset = parts
            .filter_map(|part| part.split_once('='))
            .find_map(|(key, value)| {
                key.eq_ignore_ascii_case("charset")
                    .then(|| value.trim_matches('"').to_ascii_lowercase())
            });
        if let Some(charset) = charset.filter(|charset| charset != "utf-8") {
            let message = format!("charset {} is not taken; events are UTF-8", Cut(&charset));
            return Err(BodyError::MediaType(message));
        }
        match essence.as_str() {
            "application/json" => Ok(Self::Json),
            "application/x-ndjson" => Ok(Self::Lines),
            other => Err(BodyError::MediaType(format!(
                "{} is not taken; {expected}",
                Cut(other)
            ))),
        }
    }
}

impl Coding {
    /// *Errors*: anything but gzip, zstd and identity, and several codings one over the other.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, BodyError> {
        let Some(text) = only(headers, CONTENT_ENCODING)? else {
            return Ok(Self::Plain);
        };
        match text.trim().to_ascii_lowercase().as_str() {
            "identity" => Ok(Self::Plain),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            other => Err(BodyError::MediaType(format!(
                "content-encoding {} is not taken; it may be gzip, zstd or absent",
                Cut(other)
            ))),
        }
    }

    pub(crate) fn is_plain(self) -> bool {
        self == Self::Plain
    }

    /// *Errors*: a body that is not of this coding, is cut off, or expands beyond the bound; no more than the bound is
    /// ever held.
    pub(crate) fn expand(self, body: Bytes) -> Result<Bytes, BodyError> {
        let unreadable = |error: io::Error| {
            BodyError::Unreadable(format!("the body is no readable {}: {error}", self.name()))
        };
        match self {
            Self::Plain => Ok(body),
            Self::Gzip => {
                bounded(flate2::read::MultiGzDecoder::new(body.as_ref())).map_err(unreadable)?
            }
            Self::Zstd => {
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(body.as_ref()).map_err(unreadable)?;
                decoder
                    .window_log_max(ZSTD_WINDOW_LOG_MAX)
                    .map_err(unreadable)?;
                bounded(decoder).map_err(unreadable)?
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "text",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

fn bounded(decoder: impl Read) -> io::Result<Result<Bytes, BodyError>> {
    let limit = EXPANDED_BYTES_MAX as u64;
    let mut expanded = Vec::new();
    decoder.take(limit + 1).read_to_end(&mut expanded)?;
    if expanded.len() > EXPANDED_BYTES_MAX {
        let message = format!("the body expands beyond {EXPANDED_BYTES_MAX} bytes");
        return Ok(Err(BodyError::TooLarge(message)));
    }
    Ok(Ok(expanded.into()))
}

/// The header's one value, if any.
fn only(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, BodyError> {
    let mut all = headers.get_all(&name).iter();
    let Some(first) = all.next() else {
        return Ok(None);
    };
    match (first.to_str(), all.next()) {
        (Ok(text), None) => Ok(Some(text)),
        (Err(_), _) => Err(BodyError::MediaType(format!("{name} is not text"))),
        (_, Some(_)) => Err(BodyError::MediaType(format!("{name} stands twice"))),
    }
}

/// Outside text in a message: in backticks, cut.
struct Cut<'a>(&'a str);

impl fmt::Display for Cut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHARS_MAX: usize = 64;
        let cut: String = self
            .0
            .chars()
            .filter(|c| !c.is_control())
            .take(CHARS_MAX)
            .collect();
        write!(f, "`{cut}`")
    }
}

/// The events of a body, each as it stands there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Events<'a> {
    /// The body is one event: what is wrong with it is wrong with the request.
    One(&'a [u8]),
    /// *Shape*: at most [`EVENTS_MAX`].
    Many(Vec<&'a [u8]>),
}

impl Events<'_> {
    pub(crate) fn as_slice(&self) -> &[&[u8]] {
        match self {
            Self::One(event) => core::slice::from_ref(event),
            Self::Many(events) => events,
        }
    }
}

pub(crate) fn split(body: &[u8], form: Form) -> Result<Events<'_>, BodyError> {
    match form {
        Form::Lines => lines(body).map(Events::Many),
        Form::Json => match body.trim_ascii() {
            [] => Err(BodyError::Unreadable(
                "the body is empty; an event is a JSON object".to_owned(),
            )),
            array @ [b'[', ..] => elements(array).map(Events::Many),
            event if event.len() > EVENT_BYTES_MAX => {
                let len = event.len();
                let message =
                    format!("the event has {len} bytes; at most {EVENT_BYTES_MAX} are taken");
                Err(BodyError::TooLarge(message))
            }
            event => Ok(Events::One(event)),
        },
    }
}

fn lines(body: &[u8]) -> Result<Vec<&[u8]>, BodyError> {
    let mut events = Vec::new();
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        if events.len() == EVENTS_MAX {
            return Err(too_many());
        }
        events.push(line);
    }
    Ok(events)
}

fn too_many() -> BodyError {
    BodyError::TooLarge(format!("more than {EVENTS_MAX} events in one request"))
}

/// The elements of a JSON array as they stand there; each is read as an event on its own.
fn elements(array: &[u8]) -> Result<Vec<&[u8]>, BodyError> {
    let text = core::str::from_utf8(array).map_err(|error| {
        BodyError::Unreadable(format!(
            "not UTF-8 at byte {} of the array",
            error.valid_up_to()
        ))
    })?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = deserializer
        .deserialize_seq(Elements)
        .and_then(|events| deserializer.end().map(|()| events));
    match read {
        Ok(events) if events.len() > EVENTS_MAX => Err(too_many()),
        Ok(events) => Ok(events),
        Err(error) => {
            let message = error.to_string();
            Err(if message.starts_with(TOO_MANY) {
                too_many()
            } else {
                BodyError::Unreadable(format!("not a JSON array: {message}"))
            })
        }
    }
}

/// Marks the visitor's own refusal: serde's errors carry text alone.
const TOO_MANY: &str = "too many events";

struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut events = Vec::new();
        while let Some(event) = seq.next_element::<&'de RawValue>()? {
            if events.len() == EVENTS_MAX {
                return Err(A::Error::custom(TOO_MANY));
            }
            events.push(event.get().as_bytes());
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn media_types_are_the_two_of_the_contract() {
        let form = |values: &[&str]| Form::of(&headers(CONTENT_TYPE, values));
        assert_eq!(form(&["application/json"]), Ok(Form::Json));
        assert_eq!(
            form(&["Application/JSON; charset=\"UTF-8\""]),
            Ok(Form::Json)
        );
        assert_eq!(form(&["application/x-ndjson"]), Ok(Form::Lines));
        for (values, message) in [
            (&[][..], "no content-type"),
            (&["text/plain"], "`text/plain` is not taken"),
            (&["application/json; charset=latin1"], "charset `latin1`"),
            (
                &["application/json", "application/json"],
                "content-type stands twice",
            ),
        ] {
            let error = form(values).unwrap_err();
            assert!(matches!(error, BodyError::MediaType(_)), "{error:?}");
            assert!(error.to_string().starts_with(message), "{error}");
        }
    }

    #[test]
    fn codings_are_those_of_the_contract() {
        let coding = |values: &[&str]| Coding::of(&headers(CONTENT_ENCODING, values));
        assert_eq!(coding(&[]), Ok(Coding::Plain));
        assert_eq!(coding(&["identity"]), Ok(Coding::Plain));
        assert_eq!(coding(&["GZIP"]), Ok(Coding::Gzip));
        assert_eq!(coding(&["zstd"]), Ok(Coding::Zstd));
        assert!(matches!(coding(&["br"]), Err(BodyError::MediaType(_))));
        assert!(matches!(
            coding(&["gzip, zstd"]),
            Err(BodyError::MediaType(_))
        ));
        assert!(matches!(
            coding(&["gzip", "gzip"]),
            Err(BodyError::MediaType(_))
        ));
    }

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().into()
    }

    fn zstd(bytes: &[u8]) -> Bytes {
        zstd::stream::encode_all(bytes, 1).unwrap().into()
    }

    #[test]
    fn both_codings_expand_and_several_members_count_as_one() {
        let twice = |bytes: &Bytes| Bytes::from([bytes.as_ref(), bytes.as_ref()].concat());
        for (coding, coded) in [(Coding::Gzip, gzip(b"abc")), (Coding::Zstd, zstd(b"abc"))] {
            assert_eq!(coding.expand(coded.clone()).unwrap(), "abc");
            assert_eq!(coding.expand(twice(&coded)).unwrap(), "abcabc");
        }
    }

    #[test]
    fn what_is_cut_off_or_something_else_cannot_be_read() {
        for (coding, coded) in [(Coding::Gzip, gzip(b"abc")), (Coding::Zstd, zstd(b"abc"))] {
            for bytes in [
                coded.slice(..coded.len() - 2),
                Bytes::from_static(b"{\"id\":1}"),
            ] {
                let error = coding.expand(bytes).unwrap_err();
                assert!(matches!(error, BodyError::Unreadable(_)), "{error:?}");
                assert!(error.to_string().contains(coding.name()), "{error}");
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_the_bound() {
        let zeros = vec![b' '; EXPANDED_BYTES_MAX + 1];
        for (coding, coded) in [(Coding::Gzip, gzip(&zeros)), (Coding::Zstd, zstd(&zeros))] {
            assert!(coded.len() < 256 * 1024);
            let error = coding.expand(coded).unwrap_err();
            assert!(matches!(error, BodyError::TooLarge(_)), "{error:?}");
        }
        assert_eq!(
            Coding::Gzip.expand(gzip(&zeros[1..])).unwrap().len(),
            EXPANDED_BYTES_MAX
        );
    }

    #[test]
    fn a_body_is_one_event_or_many() {
        let one = |text: &'static str| split(text.as_bytes(), Form::Json);
        assert_eq!(one(" {} \n"), Ok(Events::One(b"{}")));
        assert_eq!(one("[]"), Ok(Events::Many(Vec::new())));
        let many = Events::Many(vec![b"{\"a\":[1,\"]\"]}", b"2", b"null"]);
        assert_eq!(one(" [ {\"a\":[1,\"]\"]} , 2,null ]"), Ok(many));
        let lines = split(b"{}\r\n\n  \n[1]\nx", Form::Lines);
        assert_eq!(lines, Ok(Events::Many(vec![b"{}", b"[1]", b"x"])));
        assert_eq!(split(b"", Form::Lines), Ok(Events::Many(Vec::new())));
    }

    #[test]
    fn a_body_that_is_no_array_is_told_where_it_breaks() {
        for (body, message) in [
            (&b" "[..], "the body is empty"),
            (
                b"[{},",
                "not a JSON array: EOF while parsing a value at line 1 column 4",
            ),
            (
                b"[1] 2",
                "not a JSON array: trailing characters at line 1 column 5",
            ),
            (b"[\"\xff\"]", "not UTF-8 at byte 2 of the array"),
        ] {
            let error = split(body, Form::Json).unwrap_err();
            assert_eq!(error, BodyError::Unreadable(error.to_string()));
            assert!(error.to_string().starts_with(message), "{error}");
        }
    }

    #[test]
    fn neither_many_events_nor_deep_ones_exceed_the_bounds() {
        let many = format!("[{}0]", "0,".repeat(EVENTS_MAX));
        let error = split(many.as_bytes(), Form::Json).unwrap_err();
        assert_eq!(error.to_string(), "more than 10000 events in one request");
        let lines = "0\n".repeat(EVENTS_MAX);
        assert_eq!(
            split(lines.as_bytes(), Form::Lines)
                .unwrap()
                .as_slice()
                .len(),
            EVENTS_MAX
        );
        let more = format!("{lines}0");
        assert!(matches!(
            split(more.as_bytes(), Form::Lines),
            Err(BodyError::TooLarge(_))
        ));
        let deep = "[".repeat(1_000_000);
        assert!(matches!(
            split(deep.as_bytes(), Form::Json),
            Err(BodyError::Unreadable(_))
        ));
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(EVENT_BYTES_MAX));
        assert!(matches!(
            split(long.as_bytes(), Form::Json),
            Err(BodyError::TooLarge(_))
        ));
    }
}

//! The stored form of values: compact bytes for logs and stores, JSON for exports. Knows no meaning and no version.
//!
//! Each form is declared field by field (`forms!`): a field or a variant that is added to a type fails to compile
//! until it is declared here, which is the moment to think of what was stored before. Reading foreign or damaged bytes
//! gives an error with its place; it never panics and never reserves more memory than the bytes justify.

mod base;
mod climate;
mod decide;
mod evidence;
mod id;
pub(crate) mod macros;
mod profile;
mod record;
#[cfg(test)]
pub(crate) mod sample;
mod signal;
#[cfg(test)]
mod tests;
pub(crate) mod value;

pub(crate) use macros::forms;
pub(crate) use value::Content;
pub use value::ValueError;

use serde_json::Value;

/// Levels of nesting that are read; a tree of the engine has four.
const DEPTH_MAX: usize = 64;
/// *Units*: entries reserved before they are read; more are taken as they come.
const RESERVED_MAX: usize = 1_024;
/// *Units*: bytes of the longest variable-length integer, 64 bits in groups of 7.
const VARINT_BYTES_MAX: usize = 10;

/// What has a stored form. Reading what was written gives an equal value, in both forms.
pub trait Form: Sized {
    fn write(&self, out: &mut Vec<u8>);

    fn read(from: &mut Reader<'_>) -> Result<Self, FormError>;

    /// *Shape*: absent options are `null`, and left out of objects.
    fn to_value(&self) -> Value;

    fn from_value(value: &Value) -> Result<Self, ValueError>;
}

/// Why bytes could not be read. *Units*: `at` is a byte's index from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    #[error("the bytes end at {at}, where {wanted} more were expected")]
    Truncated { at: usize, wanted: usize },
    #[error("{len} entries or bytes are announced at byte {at}, where {left} bytes are left")]
    TooLong { at: usize, len: u64, left: usize },
    #[error("the integer at byte {at} is out of range")]
    OutOfRange { at: usize },
    #[error("the text at byte {at} is not UTF-8")]
    NotUtf8 { at: usize },
    #[error("{tag} at byte {at} is no known kind of {of}")]
    UnknownTag {
        at: usize,
        of: &'static str,
        tag: u8,
    },
    #[error("nested deeper than {DEPTH_MAX} levels at byte {at}")]
    TooDeep { at: usize },
    #[error("{left} bytes are left over at byte {at}")]
    LeftOver { at: usize, left: usize },
    #[error("a {of} of version {version} cannot be read; versions up to {newest} can")]
    UnknownVersion {
        of: &'static str,
        version: u8,
        newest: u8,
    },
}

/// Bytes being read, with the place reached.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            depth: 0,
        }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, FormError> {
        let byte = self
            .bytes
            .get(self.at)
            .copied()
            .ok_or(FormError::Truncated {
                at: self.at,
                wanted: 1,
            })?;
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], FormError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..len).ok_or(FormError::Truncated {
            at: self.bytes.len(),
            wanted: len.saturating_sub(rest.len()),
        })?;
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FormError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// LEB128: seven bits a byte, the lowest first.
    fn varint(&mut self) -> Result<u64, FormError> {
        let start = self.at;
        let mut number = 0_u64;
        for index in 0..VARINT_BYTES_MAX {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shift = 7 * index;
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(FormError::OutOfRange { at: start })
    }

    /// How many entries follow. An entry takes a byte at least, so that a damaged length is seen before it is believed.
    fn len(&mut self) -> Result<usize, FormError> {
        let at = self.at;
        let len = self.varint()?;
        let left = self.left();
        match usize::try_from(len) {
            Ok(len) if len <= left => Ok(len),
            _ => Err(FormError::TooLong { at, len, left }),
        }
    }

    fn text(&mut self) -> Result<&'a str, FormError> {
        let len = self.len()?;
        let at = self.at;
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes).map_err(|error| FormError::NotUtf8 {
            at: at + error.valid_up_to(),
        })
    }

    fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, FormError>,
    ) -> Result<T, FormError> {
        if self.depth >= DEPTH_MAX {
            return Err(FormError::TooDeep { at: self.at });
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    /// All entries of a collection.
    fn entries<T: Form>(&mut self) -> Result<Vec<T>, FormError> {
        let len = self.len()?;
        self.deeper(|from| {
            let mut entries = Vec::with_capacity(len.min(RESERVED_MAX));
            for _ in 0..len {
                entries.push(T::read(from)?);
            }
            Ok(entries)
        })
    }

    /// Ends the reading. *Errors*: something is left over.
    pub fn end(self) -> Result<(), FormError> {
        match self.left() {
            0 => Ok(()),
            left => Err(FormError::LeftOver { at: self.at, left }),
        }
    }
}

fn write_varint(mut number: u64, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

fn write_len(len: usize, out: &mut Vec<u8>) {
    // No collection in memory has more than 2^64 entries.
    write_varint(u64::try_from(len).unwrap_or(u64::MAX), out);
}

/// The value's bytes behind a version tag.
pub(crate) fn to_versioned<T: Form>(value: &T, version: u8) -> Vec<u8> {
    let mut out = vec![version];
    value.write(&mut out);
    out
}

/// Reads what [`to_versioned`] wrote with `newest`. *Errors*: any other version is named.
pub(crate) fn from_versioned<T: Form>(
    bytes: &[u8],
    of: &'static str,
    newest: u8,
) -> Result<T, FormError> {
    let mut from = Reader::new(bytes);
    let version = from.byte()?;
    if version != newest {
        return Err(FormError::UnknownVersion {
            of,
            version,
            newest,
        });
    }
    let value = T::read(&mut from)?;
    from.end()?;
    Ok(value)
}

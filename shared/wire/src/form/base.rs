//! Forms of what every other form is made of: numbers, text, options, collections.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::{Form, FormError, Reader, ValueError, write_len, write_varint};

impl Form for u8 {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, FormError> {
        from.byte()
    }

    fn to_value(&self) -> Value {
        Value::from(*self)
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        let number = value.as_u64().and_then(|number| number.try_into().ok());
        number.ok_or_else(|| ValueError::new("an integer of 8 bits", value))
    }
}

macro_rules! unsigned {
    ($($name:ty: $expected:literal,)+) => {$(
        impl Form for $name {
            fn write(&self, out: &mut Vec<u8>) {
                write_varint(u64::from(*self), out);
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, FormError> {
                let at = from.at();
                let number = Self::try_from(from.varint()?);
                number.or(Err(FormError::OutOfRange { at }))
            }

            fn to_value(&self) -> Value {
                Value::from(*self)
            }

            fn from_value(value: &Value) -> Result<Self, ValueError> {
                let number = value.as_u64().and_then(|number| number.try_into().ok());
                number.ok_or_else(|| ValueError::new($expected, value))
            }
        }
    )+};
}

unsigned! {
    u16: "an integer of 16 bits",
    u32: "an integer of 32 bits",
    u64: "an integer of 64 bits",
}

/// Small magnitudes of both signs as small numbers: 0, -1, 1, -2 as 0, 1, 2, 3.
fn zigzag(number: i64) -> u64 {
    let magnitude = number.unsigned_abs();
    if number < 0 {
        magnitude.wrapping_mul(2).wrapping_sub(1)
    } else {
        magnitude * 2
    }
}

fn unzigzag(number: u64) -> i64 {
    let half = i64::try_from(number >> 1).unwrap_or(i64::MAX);
    if number & 1 == 0 { half } else { -half - 1 }
}

macro_rules! signed {
    ($($name:ty: $expected:literal,)+) => {$(
        impl Form for $name {
            fn write(&self, out: &mut Vec<u8>) {
                write_varint(zigzag(i64::from(*self)), out);
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, FormError> {
                let at = from.at();
                let number = Self::try_from(unzigzag(from.varint()?));
                number.or(Err(FormError::OutOfRange { at }))
            }

            fn to_value(&self) -> Value {
                Value::from(*self)
            }

            fn from_value(value: &Value) -> Result<Self, ValueError> {
                let number = value.as_i64().and_then(|number| number.try_into().ok());
                number.ok_or_else(|| ValueError::new($expected, value))
            }
        }
    )+};
}

signed! {
    i32: "a signed integer of 32 bits",
    i64: "a signed integer of 64 bits",
}

/// Hashes alone are this wide: bytes as they are, 32 hex digits in JSON, which has no such integers.
impl Form for u128 {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, FormError> {
        Ok(Self::from_le_bytes(from.array()?))
    }

    fn to_value(&self) -> Value {
        Value::String(format!("{self:032x}"))
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        let digits = value.as_str().filter(|text| text.len() == 32);
        let number = digits.and_then(|digits| Self::from_str_radix(digits, 16).ok());
        number.ok_or_else(|| ValueError::new("32 hex digits", value))
    }
}

impl Form for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, FormError> {
        let at = from.at();
        match from.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(FormError::UnknownTag {
                at,
                of: "truth value",
                tag,
            }),
        }
    }

    fn to_value(&self) -> Value {
        Value::Bool(*self)
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        value
            .as_bool()
            .ok_or_else(|| ValueError::new("a boolean", value))
    }
}

impl Form for String {
    fn write(&self, out: &mut Vec<u8>) {
        write_text(self, out);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, FormError> {
        Ok(from.text()?.to_owned())
    }

    fn to_value(&self) -> Value {
        Value::String(self.clone())
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        Ok(text_of(value)?.to_owned())
    }
}

pub(super) fn write_text(text: &str, out: &mut Vec<u8>) {
    write_len(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn text_of(value: &Value) -> Result<&str, ValueError> {
    value
        .as_str()
        .ok_or_else(|| ValueError::new("a string", value))
}

/// An option of an option has no form: both would be `null`.
impl<T: Form> Form for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(1);
                value.write(out);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, FormError> {
        let at = from.at();
        match from.byte()? {
            0 => Ok(None),
            1 => Ok(Some(T::read(from)?)),
            tag => Err(FormError::UnknownTag {
                at,
                of: "option",
                tag,
            }),
        }
    }

    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, Form::to_value)
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value {
            Value::Null => Ok(None),
            value => Ok(Some(T::from_value(value)?)),
        }
    }
}

impl<T: Form> Form for Box<T> {
    fn write(&self, out: &mut Vec<u8>) {
        T::write(self, out);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, FormError> {
        from.deeper(|from| Ok(Self::new(T::read(from)?)))
    }

    fn to_value(&self) -> Value {
        T::to_value(self)
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        Ok(Self::new(T::from_value(value)?))
    }
}

macro_rules! collections {
    ($($name:ident $(+ $bound:ident)?,)+) => {$(
        impl<T: Form $(+ $bound)?> Form for $name<T> {
            fn write(&self, out: &mut Vec<u8>) {
                write_len(self.len(), out);
                for entry in self {
                    entry.write(out);
                }
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, FormError> {
                Ok(from.entries()?.into_iter().collect())
            }

            fn to_value(&self) -> Value {
                Value::Array(self.iter().map(Form::to_value).collect())
            }

            fn from_value(value: &Value) -> Result<Self, ValueError> {
                let Value::Array(entries) = value else {
                    return Err(ValueError::new("an array", value));
                };
                let entry = |(index, entry)| {
                    T::from_value(entry).map_err(|error| error.at(index))
                };
                entries.iter().enumerate().map(entry).collect()
            }
        }
    )+};
}

collections! {
    Vec,
    VecDeque,
    BTreeSet + Ord,
}

/// *Shape*: pairs, also in JSON, because keys need not be text.
impl<K: Form + Ord + Clone, V: Form + Clone> Form for BTreeMap<K, V> {
    fn write(&self, out: &mut Vec<u8>) {
        write_len(self.len(), out);
        for (key, value) in self {
            key.write(out);
            value.write(out);
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, FormError> {
        Ok(from.entries::<(K, V)>()?.into_iter().collect())
    }

    fn to_value(&self) -> Value {
        let pair = |(key, value): (&K, &V)| Value::Array(vec![key.to_value(), value.to_value()]);
        Value::Array(self.iter().map(pair).collect())
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        Ok(Vec::<(K, V)>::from_value(value)?.into_iter().collect())
    }
}

impl<A: Form, B: Form> Form for (A, B) {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, FormError> {
        Ok((A::read(from)?, B::read(from)?))
    }

    fn to_value(&self) -> Value {
        Value::Array(vec![self.0.to_value(), self.1.to_value()])
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value.as_array().map(Vec::as_slice) {
            Some([first, second]) => Ok((
                A::from_value(first).map_err(|error| error.at(0))?,
                B::from_value(second).map_err(|error| error.at(1))?,
            )),
            _ => Err(ValueError::new("an array of two", value)),
        }
    }
}

impl Form for IpAddr {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::V4(address) => {
                out.push(4);
                out.extend_from_slice(&address.octets());
            }
            Self::V6(address) => {
                out.push(6);
                out.extend_from_slice(&address.octets());
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, FormError> {
        let at = from.at();
        match from.byte()? {
            4 => Ok(Self::V4(Ipv4Addr::from(from.array::<4>()?))),
            6 => Ok(Self::V6(Ipv6Addr::from(from.array::<16>()?))),
            tag => Err(FormError::UnknownTag {
                at,
                of: "address",
                tag,
            }),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.to_string())
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        let address = value.as_str().and_then(|text| text.parse().ok());
        address.ok_or_else(|| ValueError::new("an IPv4 or IPv6 address", value))
    }
}

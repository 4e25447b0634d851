//! Forms of names, moments and quantities.

use caerus_engine::evidence::CountExpected;
use caerus_engine::id::{
    AcrValue, AppId, Asn, CountryCode, DecisionId, DeviceId, EventId, Fingerprint, Prefix,
    PrincipalId, ResourceId, RevisionId, RuleId, SessionId, SourceId, SubjectHash, SubjectKey,
    TenantId, UserId, WorkloadId,
};
use caerus_engine::number::{Count, Nats, Points, Score};
use caerus_engine::time::{Span, Timestamp};
use serde_json::Value;

use super::base::{text_of, write_text};
use super::{Form, FormError, Reader, ValueError, forms};

macro_rules! texts {
    ($($name:ident)+) => {$(
        impl Form for $name {
            fn write(&self, out: &mut Vec<u8>) {
                write_text(self.as_str(), out);
            }

            fn read(from: &mut Reader<'_>) -> Result<Self, FormError> {
                Ok(Self::new(from.text()?))
            }

            fn to_value(&self) -> Value {
                Value::String(self.as_str().to_owned())
            }

            fn from_value(value: &Value) -> Result<Self, ValueError> {
                Ok(Self::new(text_of(value)?))
            }
        }
    )+};
}

texts! {
    TenantId UserId SessionId DeviceId WorkloadId AppId ResourceId EventId SourceId RuleId
    RevisionId AcrValue Fingerprint PrincipalId
}

forms! {
    newtype Timestamp;
    newtype Span;
    newtype Nats;
    newtype Points;
    newtype Score;
    newtype Count;
    newtype CountExpected;
    newtype Asn;
    newtype SubjectHash;
    enum SubjectKey {
        0 User { tenant, user },
        1 Device { tenant, device },
        2 Network { tenant, prefix },
        3 Workload { tenant, workload },
        4 Tenant { tenant, shard },
    }
}

impl Form for CountryCode {
    fn write(&self, out: &mut Vec<u8>) {
        let Self(letters) = self;
        out.extend_from_slice(letters);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, FormError> {
        Ok(Self(from.array()?))
    }

    fn to_value(&self) -> Value {
        Value::String(self.to_string())
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        match value.as_str().map(str::as_bytes) {
            Some([first, second]) if value.as_str().is_some_and(str::is_ascii) => {
                Ok(Self([*first, *second]))
            }
            _ => Err(ValueError::new("a country's two letters", value)),
        }
    }
}

/// Its address says all: the length follows from it.
impl Form for Prefix {
    fn write(&self, out: &mut Vec<u8>) {
        self.address().write(out);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, FormError> {
        Ok(Self::of(Form::read(from)?))
    }

    fn to_value(&self) -> Value {
        self.address().to_value()
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        Ok(Self::of(Form::from_value(value)?))
    }
}

impl Form for DecisionId {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { owner, suffix } = self;
        owner.write(out);
        suffix.write(out);
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, FormError> {
        Ok(Self {
            owner: Form::read(from)?,
            suffix: Form::read(from)?,
        })
    }

    fn to_value(&self) -> Value {
        Value::String(self.to_string())
    }

    fn from_value(value: &Value) -> Result<Self, ValueError> {
        let id = value.as_str().and_then(Self::parse);
        id.ok_or_else(|| ValueError::new("a decision's id", value))
    }
}

//! What is told to the ledger's recorder over the bus: receipts of enforcement points, latest assessments. Knows neither
//! who tells nor where it is kept.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The version of both forms; no other is read.
const VERSION: u32 = 1;

/// What one instance of an enforcement point said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointTold<'a> {
    #[serde(rename = "v")]
    version: u32,
    /// The credential's name.
    #[serde(borrow)]
    pub enforcement_point: Cow<'a, str>,
    /// The instance's own label.
    #[serde(borrow)]
    pub client: Cow<'a, str>,
    /// Whose decisions it may see; empty for everybody's.
    pub tenants: Vec<String>,
    /// *Units*: milliseconds since 1970.
    pub at: i64,
    pub is_connected: bool,
    /// The latest cursor acknowledged on its stream.
    pub acknowledged: Option<Cow<'a, str>>,
    /// What is in force there since then.
    pub receipts: Vec<ReceiptTold<'a>>,
}

/// One decision in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptTold<'a> {
    #[serde(borrow)]
    pub decision: Cow<'a, str>,
    #[serde(borrow)]
    pub tenant: Cow<'a, str>,
}

/// Latest assessments of some subjects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingsTold {
    #[serde(rename = "v")]
    version: u32,
    pub standings: Vec<StandingTold>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingTold {
    pub tenant: String,
    /// `user`, `device`, `workload`.
    pub kind: String,
    pub name: String,
    pub session: Option<String>,
    pub score: u8,
    /// *Units*: milliseconds since 1970.
    pub at: i64,
    /// The score line.
    pub json: String,
}

/// Why a record is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum ToldError {
    #[error("could not read what was told to the recorder")]
    Unreadable(#[source] serde_json::Error),
    #[error(
        "could not read what was told to the recorder: it has version {version}, expected {VERSION}"
    )]
    Version { version: u32 },
}

impl<'a> PointTold<'a> {
    /// Said at that moment (ms since 1970); nothing in force yet.
    pub fn new(enforcement_point: &'a str, client: &'a str, at: i64) -> Self {
        Self {
            version: VERSION,
            enforcement_point: enforcement_point.into(),
            client: client.into(),
            tenants: Vec::new(),
            at,
            is_connected: true,
            acknowledged: None,
            receipts: Vec::new(),
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(self)
    }

    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, ToldError> {
        let told: Self = serde_json::from_slice(bytes).map_err(ToldError::Unreadable)?;
        check(told.version).map(|()| told)
    }
}

impl StandingsTold {
    pub fn new(standings: Vec<StandingTold>) -> Self {
        Self {
            version: VERSION,
            standings,
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(self)
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ToldError> {
        let told: Self = serde_json::from_slice(bytes).map_err(ToldError::Unreadable)?;
        check(told.version).map(|()| told)
    }
}

fn to_bytes(told: &impl Serialize) -> Vec<u8> {
    // Texts and numbers: writing them cannot fail.
    serde_json::to_vec(told).unwrap_or_default()
}

fn check(version: u32) -> Result<(), ToldError> {
    match version {
        VERSION => Ok(()),
        version => Err(ToldError::Version { version }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{"v":1,"enforcement_point":"pep","client":"nginx \"7\"","tenants":["acme"],"at":5,"is_connected":false,"acknowledged":"c","receipts":[{"decision":"d-1","tenant":"acme"}]}"#;

    #[test]
    fn what_a_point_said_is_read_as_it_was_written() {
        let told = PointTold::from_bytes(OLD.as_bytes()).unwrap();
        assert_eq!(told.client, "nginx \"7\"");
        assert_eq!(told.to_bytes(), OLD.as_bytes());
        let said = PointTold {
            tenants: vec!["acme".to_owned()],
            is_connected: false,
            acknowledged: Some("c".into()),
            receipts: vec![ReceiptTold {
                decision: "d-1".into(),
                tenant: "acme".into(),
            }],
            ..PointTold::new("pep", "nginx \"7\"", 5)
        };
        assert_eq!(said, told);
    }

    #[test]
    fn standings_are_read_as_they_were_written() {
        let told = StandingsTold::new(vec![StandingTold {
            tenant: "acme".to_owned(),
            kind: "user".to_owned(),
            name: "alice".to_owned(),
            session: None,
            score: 87,
            at: -5,
            json: "{\"score\":87}".to_owned(),
        }]);
        let bytes = told.to_bytes();
        assert_eq!(StandingsTold::from_bytes(&bytes).unwrap(), told);
    }

    #[test]
    fn another_version_is_told_apart_from_nonsense() {
        let newer = OLD.replace("\"v\":1", "\"v\":2");
        let error = PointTold::from_bytes(newer.as_bytes()).unwrap_err();
        assert!(matches!(error, ToldError::Version { version: 2 }));
        let error = StandingsTold::from_bytes(b"nonsense").unwrap_err();
        assert!(matches!(error, ToldError::Unreadable(_)));
    }
}

//! The set that is in force where none is configured: `deploy/policies`, compiled in. Knows no other files.

/// Names and texts of the default set, as [`crate::PolicySet::load`] takes them.
pub fn default_files() -> Vec<(String, String)> {
    FILES
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

const FILES: [(&str, &str); 4] = [
    (
        "account.cedar",
        include_str!("../../../deploy/policies/account.cedar"),
    ),
    (
        "device.cedar",
        include_str!("../../../deploy/policies/device.cedar"),
    ),
    (
        "session.cedar",
        include_str!("../../../deploy/policies/session.cedar"),
    ),
    (
        "shadow.cedar",
        include_str!("../../../deploy/policies/shadow.cedar"),
    ),
];

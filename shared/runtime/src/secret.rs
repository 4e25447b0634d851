//! Text that is never printed. Knows nothing of what it opens.

use std::fmt;

/// A token, a password: masked wherever it is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// For the one place that sends, hashes or stores it; never for a log or an error.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_masked() {
        #[derive(Debug)]
        struct Holder {
            _token: Secret,
        }
        let holder = Holder {
            _token: Secret::new("hunter2"),
        };
        assert_eq!(format!("{holder:?}"), "Holder { _token: Secret(…) }");
    }
}

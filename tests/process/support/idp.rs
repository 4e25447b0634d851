//! An identity provider's tokens: signed by a key of the tests' own, beside the set that verifies them. Knows no rule.

use std::path::PathBuf;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::person::now;

pub(crate) const MFA: &str = "urn:caerus:acr:mfa";
const ISSUER: &str = "https://idp.example";
const AUDIENCE: &str = "payroll";

/// Where the key set lies.
pub(crate) fn key_set() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("process/idp/jwks.json")
}

/// The enforcer's rules for these tokens. *Shape*: a section of TOML.
pub(crate) fn jwt_section() -> String {
    let keys = key_set();
    format!(
        "[jwt]\njwks_file = \"{}\"\nissuers = [\"{ISSUER}\"]\naudiences = [\"{AUDIENCE}\"]\n",
        keys.display()
    )
}

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signer {
    Idp,
    /// Somebody with a key of their own, who claims the provider's.
    Stranger,
}

/// A token of a user's session; `changes` are laid over its claims.
pub(crate) fn token(signer: Signer, user: &str, session: &str, changes: &Value) -> String {
    let second = now().0.div_euclid(1_000);
    let mut claims = json!({
        "iss": ISSUER, "aud": AUDIENCE, "exp": second + 600, "iat": second, "sub": user, "sid": session,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let pem: &[u8] = match signer {
        Signer::Idp => include_bytes!("../idp/idp.pem"),
        Signer::Stranger => include_bytes!("../idp/stranger.pem"),
    };
    let header = Header {
        kid: Some("idp-1".to_owned()),
        ..Header::new(Algorithm::EdDSA)
    };
    encode(&header, &claims, &EncodingKey::from_ed_pem(pem).unwrap()).unwrap()
}

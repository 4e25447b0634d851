//! Every key is read, every wrong value is told by place and expectation.

use caerus_engine::id::AppId;
use caerus_engine::time::Span;
use caerus_runtime::config::{Environment, Flag};

use super::*;
use crate::identity::SessionForm;
use crate::route::{OnAnonymous, OnStale};

fn load(text: &str) -> Result<Settings, ConfigError> {
    Settings::from_merged(&LAYOUT.check(text, Path::new("enforcer.toml"))?)
}

fn wrong(text: &str) -> String {
    let problems = Settings::check(text, Path::new("enforcer.toml"));
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    told.join("\n")
}

#[test]
fn the_defaults_are_right_and_every_key_has_one() {
    let settings = load("").unwrap();
    assert_eq!(
        settings.stream.web_socket_url(),
        "ws://127.0.0.1:7400/v1/stream"
    );
    assert_eq!(settings.listen.address, "127.0.0.1:7401".parse().unwrap());
    assert!(settings.trusted.contains("127.0.0.1".parse().unwrap()));
    assert!(!settings.trusted.contains("10.0.0.1".parse().unwrap()));
    assert!(matches!(settings.tokens, Tokens::Ignored));
    assert!(!settings.knows_identities());
    let fallback = settings.routes.fallback();
    assert_eq!(fallback.on_stale, OnStale::Deny);
    assert_eq!(fallback.on_anonymous, OnAnonymous::Deny);
    assert_eq!(fallback.max_staleness, Span::seconds(60));
    let merged = LAYOUT.check("", Path::new("x")).unwrap();
    let given: BTreeSet<String> = merged.shown().into_iter().map(|(key, ..)| key).collect();
    for field in LAYOUT.fields {
        let is_list = field.key.contains("[]");
        assert!(is_list || given.contains(field.key), "{}", field.key);
        assert!(!field.meaning.is_empty());
    }
    for field in LAYOUT.fields {
        let rest = LAYOUT.doc();
        assert!(rest.contains(&format!("`{}`", field.key)));
    }
}

const FULL: &str = r#"
url = "https://caerus.example/base/"
proxy = "traefik"
trusted_proxies = ["10.0.0.0/8"]
tenant = "acme"
filter_apps = ["payroll"]
state_dir = ""
[identity]
session_cookie = "sid"
session_form = "sha256_hex"
user_header = "X-Auth-Request-User"
[jwt]
jwks_url = "https://idp.example/jwks"
algorithms = ["ES256"]
issuers = ["https://idp.example"]
[microsoft]
authorization_uri = "https://login.example"
[[context]]
acr = "urn:caerus:acr:mfa"
value = "c1"
[[class]]
acr = "urn:caerus:acr:mfa"
amr = ["mfa"]
[[class]]
acr = "urn:caerus:acr:mfa"
amr = ["pwd", "otp"]
[defaults]
max_staleness = 0.5
on_stale = "allow"
[[route]]
path = "/pay"
app = "payroll"
sensitivity = 3
max_staleness = 2
on_stale = "step_up"
stale_acr_values = ["urn:x"]
stale_max_age_s = 60
on_anonymous = "allow"
iat_is_auth_time = true
[[route]]
host = "Admin.Example"
tenant = "ops"
"#;

#[test]
fn a_full_configuration_is_read_as_meant() {
    let settings = load(FULL).unwrap();
    assert_eq!(
        settings.stream.web_socket_url(),
        "wss://caerus.example:443/base/v1/stream"
    );
    assert_eq!(settings.proxy, ProxyKind::Traefik);
    assert_eq!(settings.state_dir, None);
    assert_eq!(settings.cookie.unwrap().form, SessionForm::Sha256Hex);
    assert_eq!(settings.headers.user.unwrap(), "x-auth-request-user");
    assert!(matches!(settings.tokens, Tokens::Verified { .. }));
    assert_eq!(settings.classes.values().next().unwrap().len(), 2);
    assert_eq!(settings.microsoft.contexts.len(), 1);
    let routes: Vec<_> = settings.routes.iter().collect();
    let [admin, pay, fallback] = routes[..] else {
        panic!("{routes:?}");
    };
    assert_eq!(admin.host.as_deref(), Some("admin.example"));
    assert_eq!(admin.tenant.as_str(), "ops");
    assert_eq!(admin.max_staleness, Span::millis(500));
    assert_eq!(admin.on_stale, OnStale::Allow);
    assert_eq!(pay.app, Some(AppId::new("payroll")));
    assert_eq!(pay.tenant.as_str(), "acme");
    assert_eq!((pay.sensitivity, pay.on_stale), (3, OnStale::StepUp));
    assert_eq!(pay.max_staleness, Span::seconds(2));
    assert_eq!(
        pay.stale_requires,
        crate::sample::requires(&["urn:x"], Some(60))
    );
    assert_eq!(pay.on_anonymous, OnAnonymous::Allow);
    assert!(pay.is_iat_auth_time && !fallback.is_iat_auth_time);
}

/// A file, and what is said of it.
const WRONG: &[(&str, &str)] = &[
    (
        "url = \"caerus\"",
        "`url` does not fit: `caerus/v1/events` is no URL of the form `http(s)://",
    ),
    ("token_file = \"\"", "`token_file` must not be empty"),
    (
        "proxy = \"envoy\"",
        "`proxy` must be one of nginx, caddy, traefik, haproxy",
    ),
    ("prox = \"nginx\"", "did you mean `proxy`?"),
    ("trusted_proxies = []", "nobody could ask"),
    (
        "trusted_proxies = [\"proxy.local\"]",
        "holds `proxy.local`: expected an address or a network",
    ),
    (
        "listen = \"0.0.0.0:7401\"",
        "is not loopback, and there is no TLS",
    ),
    (
        "listen = \"0.0.0.0:7401\"\ntls_certificate = \"c\"\ntls_key = \"k\"",
        "set `operator_token_file`",
    ),
    (
        "tls_key = \"k\"",
        "`tls_key` is given, and `tls_certificate` is not",
    ),
    (
        "[identity]\nuser_header = \"a b\"",
        "is no name of a header",
    ),
    (
        "[identity]\nuser_header = \"Cookie\"",
        "is a header of the client's own",
    ),
    (
        "[identity]\nsession_cookie = \"a;b\"",
        "is no name of a cookie",
    ),
    (
        "[jwt]\nalgorithms = [\"HS256\"]",
        "holds `HS256`: expected some of RS256, PS256, ES256, EdDSA",
    ),
    (
        "[jwt]\nalgorithms = []",
        "`jwt.algorithms` must not be empty",
    ),
    ("[jwt]\njwks_url = \"x\"", "`jwt.jwks_url` does not fit"),
    (
        "[jwt]\njwks_url = \"http://x\"\njwks_file = \"y\"",
        "is given beside `jwt.jwks_url`",
    ),
    (
        "unverified_jwt = true\n[jwt]\njwks_file = \"y\"",
        "there are keys to verify by",
    ),
    (
        "[[class]]\nacr = \"a\"\namr = []",
        "everybody would reach it",
    ),
    ("[[class]]\namr = [\"otp\"]", "`class[0].acr` is missing"),
    (
        "[[context]]\nacr = \"a\"\nvalue = \"c1\"\n[[context]]\nacr = \"a\"\nvalue = \"c2\"",
        "is given twice",
    ),
    (
        "[[route]]\npath = \"pay\"",
        "enforcer.toml:2:1: `route[0].path` must begin with `/`",
    ),
    ("[[route]]\npath = \"/a%20b\"", "must be a plain path"),
    (
        "[[route]]\npath = \"/a\"\n[[route]]\npath = \"/a\"",
        "`route[1].path` is given twice for one host",
    ),
    (
        "[[route]]\nsensitivity = 5",
        "`route[0].sensitivity` must be a whole number from 0 to 4",
    ),
    ("[defaults]\nmax_staleness = 0", "must be a number above 0"),
    (
        "[defaults]\non_stale = \"open\"",
        "must be one of allow, step_up, deny",
    ),
];

#[test]
fn wrong_values_are_told_by_place_and_expectation() {
    for (text, expected) in WRONG {
        let told = wrong(text);
        assert!(told.contains(expected), "{text}\n{told}");
    }
}

#[test]
fn flags_win_over_variables_and_those_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("enforcer.toml");
    std::fs::write(
        &file,
        "tenant = \"file\"\nclient = \"file\"\nproxy = \"caddy\"\n",
    )
    .unwrap();
    let settings = Settings::load(&Sources {
        file: Some(&file),
        environment: &Environment::from_pairs([
            ("CAERUS_ENFORCER__CLIENT", "variable"),
            ("CAERUS_ENFORCER__TENANT", "variable"),
        ]),
        flags: &[Flag {
            name: "--tenant",
            key: "tenant",
            value: "flag".to_owned(),
        }],
    })
    .unwrap();
    assert_eq!(settings.proxy, ProxyKind::Caddy);
    assert_eq!(settings.client.as_deref(), Some("variable"));
    assert_eq!(settings.routes.fallback().tenant.as_str(), "flag");
}

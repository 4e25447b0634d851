//! Every key of the enforcer's configuration. Knows no value that was given.

use caerus_runtime::config::{Field, Kind};

const fn field(key: &'static str, kind: Kind, unit: &'static str, meaning: &'static str) -> Field {
    Field {
        key,
        kind,
        unit,
        meaning,
    }
}

const fn text(key: &'static str, meaning: &'static str) -> Field {
    field(key, Kind::Text, "", meaning)
}

const fn integer(
    key: &'static str,
    (min, max): (i64, i64),
    unit: &'static str,
    meaning: &'static str,
) -> Field {
    field(key, Kind::Integer { min, max }, unit, meaning)
}

const ON_STALE: Kind = Kind::Choice(&["allow", "step_up", "deny"]);
const ON_ANONYMOUS: Kind = Kind::Choice(&["allow", "deny"]);
const SENSITIVITY: (i64, i64) = (0, 4);
const AGE_S: (i64, i64) = (1, 31_536_000);

pub(super) const FIELDS: &[Field] = &[
    text(
        "url",
        "Where Caerus is, `http://…` or `https://…`; its stream and its events are found under it",
    ),
    field(
        "token_file",
        Kind::Path,
        "",
        "File with the enforcement point's token",
    ),
    field(
        "ca_file",
        Kind::Path,
        "",
        "PEM file with the certificates trusted for TLS to Caerus and to the key set; empty for the system's",
    ),
    text(
        "client",
        "Label of this instance in receipts; empty for the host's name",
    ),
    text(
        "tenant",
        "Tenant of requests that neither their route nor their identity places",
    ),
    field(
        "filter_tenants",
        Kind::Texts,
        "",
        "Tenants whose decisions are wanted; empty for all that the token may see",
    ),
    field(
        "filter_apps",
        Kind::Texts,
        "",
        "Apps whose decisions are wanted, besides those that name no app; empty for all",
    ),
    field(
        "report_met_step_ups",
        Kind::Flag,
        "",
        "Whether a step-up that a verified token meets here is told to Caerus",
    ),
    field(
        "state_dir",
        Kind::Path,
        "",
        "Directory of the saved picture, from which a restart begins; empty to save nothing",
    ),
    field(
        "listen",
        Kind::Address,
        "",
        "Where proxies ask; anything but loopback needs TLS and `operator_token_file`",
    ),
    field(
        "tls_certificate",
        Kind::Path,
        "",
        "PEM file with the listener's certificate chain; empty for no TLS",
    ),
    field(
        "tls_key",
        Kind::Path,
        "",
        "PEM file with the certificate's private key",
    ),
    field(
        "operator_token_file",
        Kind::Path,
        "",
        "File with the token (`caerus_…`) that `/status`, `/metrics` and AuthZEN ask for off loopback",
    ),
    integer(
        "connections_max",
        (1, 100_000),
        "connections",
        "Open connections; more are turned away",
    ),
    field(
        "proxy",
        Kind::Choice(&["nginx", "caddy", "traefik", "haproxy"]),
        "",
        "Kind of the proxy in front: fixes which forwarding headers are read; others' are refused",
    ),
    field(
        "trusted_proxies",
        Kind::Texts,
        "",
        "Addresses and networks of the peers that may ask",
    ),
    field(
        "unverified_jwt",
        Kind::Flag,
        "",
        "Whether JWTs are believed unverified, because somebody else verifies them before they come here",
    ),
    text(
        "identity.user_header",
        "Header that names the user; the proxy must set or remove it on every request; empty: not read",
    ),
    text("identity.session_header", "The same for the session"),
    text("identity.device_header", "The same for the device"),
    text(
        "identity.workload_header",
        "The same for the calling workload, a SPIFFE ID",
    ),
    text("identity.tenant_header", "The same for the tenant"),
    text(
        "identity.session_cookie",
        "Cookie whose value tells the session; empty: none",
    ),
    field(
        "identity.session_form",
        Kind::Choice(&["plain", "sha256_hex", "sha256_base64url"]),
        "",
        "How events name the session: by the cookie's value, or by its SHA-256",
    ),
    text(
        "jwt.jwks_url",
        "Where the identity provider's keys are; with keys, bearer JWTs are verified and are identities",
    ),
    field(
        "jwt.jwks_file",
        Kind::Path,
        "",
        "File with the keys, instead of a URL",
    ),
    integer(
        "jwt.refresh_s",
        (10, 86_400),
        "seconds",
        "Between two readings of the keys",
    ),
    field(
        "jwt.algorithms",
        Kind::Texts,
        "",
        "Algorithms accepted, of RS256, PS256, ES256, EdDSA",
    ),
    field(
        "jwt.issuers",
        Kind::Texts,
        "",
        "Issuers accepted; empty: not looked at",
    ),
    field(
        "jwt.audiences",
        Kind::Texts,
        "",
        "Audiences accepted, any of them; empty: not looked at",
    ),
    integer(
        "jwt.leeway_s",
        (0, 300),
        "seconds",
        "Between the clocks of the issuer and of this host",
    ),
    text("jwt.user_claim", "Claim that names the user"),
    text(
        "jwt.session_claim",
        "Claim that names the session; empty: none",
    ),
    text(
        "jwt.device_claim",
        "Claim that names the device; empty: none",
    ),
    text(
        "jwt.workload_claim",
        "Claim that names the workload; empty: none",
    ),
    text(
        "jwt.tenant_claim",
        "Claim that names the tenant; empty: none",
    ),
    text("jwt.acr_claim", "Claim with the class reached"),
    text("jwt.acrs_claim", "Claim with several classes reached"),
    text("jwt.amr_claim", "Claim with the methods used"),
    text(
        "jwt.auth_time_claim",
        "Claim with the moment of authentication",
    ),
    text(
        "jwt.capabilities_claim",
        "Claim in which `cp1` says that the client understands Microsoft's claims challenges",
    ),
    text(
        "microsoft.authorization_uri",
        "Named in claims challenges; empty: left out",
    ),
    text("context[].acr", "A class, as decisions name it"),
    text(
        "context[].value",
        "The authentication context (`c1`…`c99`) that stands for it in claims challenges",
    ),
    text("class[].acr", "A class, as decisions name it"),
    field(
        "class[].amr",
        Kind::Texts,
        "",
        "Methods that together reach it; a class may be given several times",
    ),
    text("defaults.app", "App of routes that name none; empty: none"),
    integer(
        "defaults.sensitivity",
        SENSITIVITY,
        "",
        "How sensitive what routes lead to is, where they do not say",
    ),
    field(
        "defaults.max_staleness",
        Kind::Positive,
        "seconds",
        "How old the picture may be",
    ),
    field(
        "defaults.on_stale",
        ON_STALE,
        "",
        "What answers when it is older: the old picture alone, a demand for a recent authentication, or a refusal",
    ),
    field(
        "defaults.stale_acr_values",
        Kind::Texts,
        "",
        "Classes that a step-up for staleness asks for; empty: any",
    ),
    integer(
        "defaults.stale_max_age_s",
        AGE_S,
        "seconds",
        "How recent the authentication must be that meets it",
    ),
    field(
        "defaults.on_anonymous",
        ON_ANONYMOUS,
        "",
        "What answers requests that name nobody",
    ),
    field(
        "defaults.iat_is_auth_time",
        Kind::Flag,
        "",
        "Whether `iat` stands in for an absent `auth_time`; only true where no token is ever refreshed",
    ),
    text("route[].host", "Host of the route; absent: any"),
    text(
        "route[].path",
        "Prefix of its paths, as text: `/pay` holds for `/payroll` too",
    ),
    text("route[].tenant", "Tenant of its requests"),
    text("route[].app", "App it leads to"),
    integer(
        "route[].sensitivity",
        SENSITIVITY,
        "",
        "How sensitive what it leads to is",
    ),
    field(
        "route[].max_staleness",
        Kind::Positive,
        "seconds",
        "As in `defaults`",
    ),
    field("route[].on_stale", ON_STALE, "", "As in `defaults`"),
    field(
        "route[].stale_acr_values",
        Kind::Texts,
        "",
        "As in `defaults`",
    ),
    integer(
        "route[].stale_max_age_s",
        AGE_S,
        "seconds",
        "As in `defaults`",
    ),
    field("route[].on_anonymous", ON_ANONYMOUS, "", "As in `defaults`"),
    field(
        "route[].iat_is_auth_time",
        Kind::Flag,
        "",
        "As in `defaults`",
    ),
    field(
        "telemetry.log_format",
        Kind::Choice(&["text", "json"]),
        "",
        "Form of the log's lines on stderr",
    ),
];

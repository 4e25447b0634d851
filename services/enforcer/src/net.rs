//! Outgoing connections: plain or TLS, dialled within a time, and one small HTTP request over them. Knows no frame, no
//! key and no event.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::limit;

/// Where Linux distributions keep the certificates they trust.
const SYSTEM_ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Any connection that was dialled.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug> Socket for T {}

/// Why there is no connection, or no answer over it.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error("`{url}` is no URL of the form `{expected}://host[:port]/path`")]
    Url { url: String, expected: &'static str },
    #[error("TLS is not possible: {reason}")]
    NoTls { reason: String },
    #[error("could not connect to `{authority}`")]
    Connect {
        authority: String,
        #[source]
        source: std::io::Error,
    },
    #[error("no connection to `{authority}` within {ms} ms")]
    TimedOut { authority: String, ms: u64 },
    #[error("`{authority}` is no name a certificate could be for")]
    Name { authority: String },
    #[error("the HTTP exchange with `{authority}` failed")]
    Http {
        authority: String,
        #[source]
        source: hyper::Error,
    },
    #[error("the answer of `{authority}` could not be read, or is larger than {max} bytes")]
    Answer {
        authority: String,
        max: usize,
        #[source]
        source: axum::Error,
    },
}

/// What is needed to dial: the certificates that are trusted.
#[derive(Clone, Debug)]
pub struct Dialer {
    tls: Result<Arc<ClientConfig>, String>,
}

/// Whether a URL asks for TLS, whom to dial and what to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    is_tls: bool,
    host: String,
    port: u16,
    /// Path and query.
    path: String,
}

/// Which schemes a URL may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    WebSocket,
}

impl Address {
    /// Reads `http(s)://…` or `ws(s)://…`. Credentials in a URL are refused.
    pub fn parse(url: &str, scheme: Scheme) -> Result<Self, NetError> {
        let (plain, secure, expected) = match scheme {
            Scheme::Http => ("http", "https", "http(s)"),
            Scheme::WebSocket => ("ws", "wss", "ws(s)"),
        };
        let refused = || NetError::Url {
            url: url.chars().take(200).collect(),
            expected,
        };
        let uri: Uri = url
            .parse()
            .map_err(|_malformed: http::uri::InvalidUri| refused())?;
        let is_tls = match uri.scheme_str() {
            Some(scheme) if scheme == plain => false,
            Some(scheme) if scheme == secure => true,
            _ => return Err(refused()),
        };
        let authority = uri.authority().ok_or_else(refused)?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(refused());
        }
        Ok(Self {
            is_tls,
            host: authority.host().to_owned(),
            port: authority
                .port_u16()
                .unwrap_or(if is_tls { 443 } else { 80 }),
            path: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }

    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// As the upgrade's request names it.
    pub fn web_socket_url(&self) -> String {
        let scheme = if self.is_tls { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.authority(), self.path)
    }
}

/// An answer, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

impl Dialer {
    /// Trusts the certificates in `roots`, or the system's. *Errors*: only when TLS is then asked for.
    pub fn new(roots: Option<&Path>) -> Self {
        Self {
            tls: client_config(roots).map(Arc::new),
        }
    }

    /// The reason why TLS cannot be spoken, for a check of the configuration.
    pub fn tls_obstacle(&self) -> Option<&str> {
        self.tls.as_ref().err().map(String::as_str)
    }

    pub async fn dial(&self, address: &Address) -> Result<Box<dyn Socket>, NetError> {
        let limit = Duration::from_millis(limit::CONNECT_MS_MAX);
        tokio::time::timeout(limit, self.connect(address))
            .await
            .unwrap_or_else(|_elapsed| {
                Err(NetError::TimedOut {
                    authority: address.authority(),
                    ms: limit::CONNECT_MS_MAX,
                })
            })
    }

    async fn connect(&self, address: &Address) -> Result<Box<dyn Socket>, NetError> {
        let authority = address.authority();
        let connect = |source| NetError::Connect {
            authority: authority.clone(),
            source,
        };
        let tcp = TcpStream::connect(&authority).await.map_err(connect)?;
        // Acknowledgements are small and must not wait for company.
        tcp.set_nodelay(true).map_err(connect)?;
        if !address.is_tls {
            return Ok(Box::new(tcp));
        }
        let config = self
            .tls
            .clone()
            .map_err(|reason| NetError::NoTls { reason })?;
        let host = address.host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(|_invalid| NetError::Name {
            authority: authority.clone(),
        })?;
        let tls = TlsConnector::from(config)
            .connect(name, tcp)
            .await
            .map_err(connect)?;
        Ok(Box::new(tls))
    }

    pub async fn get(&self, url: &str, body_bytes_max: usize) -> Result<Answer, NetError> {
        let address = Address::parse(url, Scheme::Http)?;
        let request = Request::builder().method(Method::GET);
        self.exchange(&address, request, Body::empty(), body_bytes_max)
            .await
    }

    /// Posts JSON with a bearer token.
    pub async fn post(
        &self,
        address: &Address,
        authorization: &HeaderValue,
        json: String,
    ) -> Result<Answer, NetError> {
        let request = Request::builder()
            .method(Method::POST)
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/json");
        self.exchange(
            address,
            request,
            Body::from(json),
            limit::REPORT_ANSWER_BYTES_MAX,
        )
        .await
    }

    async fn exchange(
        &self,
        address: &Address,
        request: http::request::Builder,
        body: Body,
        body_bytes_max: usize,
    ) -> Result<Answer, NetError> {
        let authority = address.authority();
        let failed = |source| NetError::Http {
            authority: authority.clone(),
            source,
        };
        let url = |_malformed: http::Error| NetError::Url {
            url: authority.clone(),
            expected: "http(s)",
        };
        let request = request
            .uri(&address.path)
            .header(HOST, &authority)
            .body(body)
            .map_err(url)?;
        let socket = TokioIo::new(self.dial(address).await?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(socket)
            .await
            .map_err(failed)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(failed)?;
            let status = response.status().as_u16();
            let body = axum::body::to_bytes(Body::new(response.into_body()), body_bytes_max)
                .await
                .map_err(|source| NetError::Answer {
                    authority: authority.clone(),
                    max: body_bytes_max,
                    source,
                })?;
            Ok(Answer { status, body })
        };
        tokio::pin!(exchange);
        // The connection does the work; the answer may be complete before or after it ends.
        tokio::select! {
            answer = &mut exchange => answer,
            ended = connection => match ended {
                Ok(()) => exchange.await,
                Err(source) => Err(failed(source)),
            },
        }
    }
}

fn client_config(roots: Option<&Path>) -> Result<ClientConfig, String> {
    let system = || {
        SYSTEM_ROOTS
            .iter()
            .map(Path::new)
            .find(|path| path.exists())
    };
    let path = roots
        .or_else(system)
        .ok_or("no trusted certificates were found; name a PEM file as `ca_file`")?;
    let shown = path.display();
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        let certificate =
            certificate.map_err(|error| format!("`{shown}` is no PEM file: {error}"))?;
        // A system's bundle may hold odd certificates; they are merely not trusted.
        if let Err(error) = store.add(certificate) {
            tracing::debug!(%error, path = %shown, "certificate left out");
        }
    }
    if store.is_empty() {
        return Err(format!(
            "`{shown}` holds no certificate that can be trusted"
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_tls_port_and_path() {
        let cases = [
            ("http://h", Scheme::Http, "h:80 / false"),
            ("https://h/a?b=c", Scheme::Http, "h:443 /a?b=c true"),
            (
                "ws://[::1]:7400/v1/stream",
                Scheme::WebSocket,
                "[::1]:7400 /v1/stream false",
            ),
            ("wss://h:9/x", Scheme::WebSocket, "h:9 /x true"),
        ];
        for (url, scheme, expected) in cases {
            let address = Address::parse(url, scheme).unwrap();
            let told = format!(
                "{} {} {}",
                address.authority(),
                address.path,
                address.is_tls
            );
            assert_eq!(told, expected);
        }
        for (url, scheme) in [
            ("h:80", Scheme::Http),
            ("ftp://h", Scheme::Http),
            ("ws://h", Scheme::Http),
            ("http://h", Scheme::WebSocket),
            ("http://user:secret@h/", Scheme::Http),
            ("", Scheme::Http),
        ] {
            assert!(
                matches!(Address::parse(url, scheme), Err(NetError::Url { .. })),
                "{url}"
            );
        }
    }

    #[tokio::test]
    async fn without_certificates_plain_connections_work_and_tls_says_why_not() {
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().join("roots.pem");
        std::fs::write(&empty, "").unwrap();
        let dialer = Dialer::new(Some(&empty));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let plain = Address::parse(&format!("http://127.0.0.1:{port}/"), Scheme::Http).unwrap();
        assert!(dialer.dial(&plain).await.is_ok());
        let tls = Address::parse(&format!("https://127.0.0.1:{port}/"), Scheme::Http).unwrap();
        let refused = dialer.dial(&tls).await.unwrap_err();
        assert!(
            refused.to_string().contains("holds no certificate"),
            "{refused}"
        );
    }
}

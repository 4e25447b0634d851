//! The enforcer's listener: as the house's shell serves, and besides it tells every request who its peer is, because
//! whom to believe depends on that. Knows no route.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use caerus_runtime::http::{ServerSettings, Shell, TlsFiles, demand_protection, dress};
use caerus_runtime::metric::Metrics;
use caerus_runtime::metric::label::ConnectionRefusal;
use caerus_runtime::shutdown::Shutdown;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::net::Socket;

/// When the system has no more sockets to give, asking again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Longest request head: a browser's cookies and a token fit many times.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("could not listen on {address}: the port is taken")]
    PortTaken {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("could not listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("could not read the PEM file `{path}`")]
    Pem {
        path: String,
        #[source]
        source: pem::Error,
    },
    #[error("the certificate and its key do not serve")]
    Tls {
        #[source]
        source: rustls::Error,
    },
    #[error(transparent)]
    Exposed(#[from] caerus_runtime::http::Exposed),
}

impl ServeError {
    /// Whether another configuration would help.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Exposed(_) | Self::Tls { .. } | Self::Pem { .. } => true,
            Self::PortTaken { .. } | Self::Listen { .. } => false,
        }
    }
}

/// A listener, bound and not yet serving.
pub struct Listener {
    listener: TcpListener,
    local: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    settings: ServerSettings,
    shell: Shell,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

impl Listener {
    /// Binds. *Errors*: where it would stand open to strangers, the port is taken, or the TLS files do not serve.
    pub async fn bind(settings: ServerSettings, shell: Shell) -> Result<Self, ServeError> {
        let address = settings.address;
        demand_protection(address, settings.tls.as_ref(), shell.tokens.as_ref())?;
        let acceptor = settings.tls.as_ref().map(acceptor).transpose()?;
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ServeError::PortTaken { address, source },
            _ => ServeError::Listen { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            local,
            acceptor,
            settings,
            shell,
        })
    }

    /// Where it listens; with the real port where 0 was asked for.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    pub fn url(&self) -> String {
        let scheme = if self.acceptor.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.local)
    }

    /// Serves `routes` until the shutdown, then lets what is under way end within the drain.
    pub async fn serve(self, routes: Router, shutdown: Shutdown) {
        let seats = Arc::new(Semaphore::new(self.settings.connections_max));
        let door = Door {
            router: dress(routes, &self.settings, &self.shell, self.local),
            acceptor: self.acceptor,
            metrics: self.shell.metrics,
            header_timeout: self.settings.header_timeout,
            shutdown: shutdown.clone(),
        };
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.begun() => break,
                accepted = self.listener.accept() => accepted,
                Some(_) = connections.join_next() => continue,
            };
            let (tcp, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match Arc::clone(&seats).try_acquire_owned() {
                Ok(seat) => {
                    connections.spawn(door.clone().attend(tcp, peer, seat));
                }
                Err(_full) => door.refuse(ConnectionRefusal::TooMany),
            }
        }
        drop(self.listener);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.settings.drain, drained)
            .await
            .is_err()
        {
            connections.shutdown().await;
        }
    }
}

/// What each connection needs.
#[derive(Clone)]
struct Door {
    router: Router,
    acceptor: Option<TlsAcceptor>,
    metrics: Metrics,
    header_timeout: Duration,
    shutdown: Shutdown,
}

impl Door {
    async fn attend(self, tcp: TcpStream, peer: SocketAddr, _seat: OwnedSemaphorePermit) {
        let open = self.metrics.http.open_connections.clone();
        open.inc();
        self.converse(tcp, peer).await;
        open.dec();
    }

    async fn converse(self, tcp: TcpStream, peer: SocketAddr) {
        // An answer is one small packet and must not wait for company.
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "connection gone before it began");
            return;
        }
        let socket: Box<dyn Socket> = match &self.acceptor {
            None => Box::new(tcp),
            Some(acceptor) => {
                match tokio::time::timeout(self.header_timeout, acceptor.accept(tcp)).await {
                    Ok(Ok(tls)) => Box::new(tls),
                    Ok(Err(_)) | Err(_) => return self.refuse(ConnectionRefusal::Tls),
                }
            }
        };
        let router = TowerToHyperService::new(self.router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_buf_size(HEAD_BYTES_MAX)
            .half_close(false)
            .serve_connection(TokioIo::new(socket), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.shutdown.begun() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            if error.is_parse() {
                self.refuse(ConnectionRefusal::Protocol);
            }
            tracing::debug!(%error, "connection ended early");
        }
    }

    fn refuse(&self, reason: ConnectionRefusal) {
        self.metrics.http.refused_connections.of(&reason).inc();
    }
}

fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, ServeError> {
    let pem = |path: &std::path::Path, source| ServeError::Pem {
        path: path.display().to_string(),
        source,
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|source| pem(&files.certificate, source))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| pem(&files.key, source))?;
    let unusable = |source| ServeError::Tls { source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

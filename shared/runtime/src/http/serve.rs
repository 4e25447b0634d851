//! Listening, and letting go of it in good order. Knows no route.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::tls::TlsError;
use super::transport::{Seat, Stream, Transport};
use super::{Exposed, ServerSettings, Shell, demand_protection, dress};
use crate::metric::Metrics;
use crate::metric::label::ConnectionRefusal;
use crate::shutdown::Shutdown;

/// When the system has no more sockets to give, asking again at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Longest request head; tokens and traces fit many times.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Why a listener does not serve.
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
    #[error("could not serve TLS on {address}")]
    Tls {
        address: SocketAddr,
        #[source]
        source: TlsError,
    },
    #[error(transparent)]
    Exposed(#[from] Exposed),
}

impl ServeError {
    /// Whether another configuration would help: the caller then exits with 78, else with 1.
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Exposed(_) | Self::Tls { .. } => true,
            Self::PortTaken { .. } | Self::Listen { .. } => false,
        }
    }
}

/// A listener, bound and not yet serving.
pub struct Server {
    listener: TcpListener,
    local: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    settings: ServerSettings,
    shell: Shell,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let server = &mut f.debug_struct("Server");
        server.field("url", &self.url()).finish_non_exhaustive()
    }
}

impl Server {
    /// Binds. *Errors*: where it would stand open to strangers, the port is taken, or the TLS files do not serve.
    pub async fn bind(settings: ServerSettings, shell: Shell) -> Result<Self, ServeError> {
        let address = settings.address;
        demand_protection(address, settings.tls.as_ref(), shell.tokens.as_ref())?;
        let acceptor = match &settings.tls {
            None => None,
            Some(files) => Some(
                files
                    .acceptor()
                    .map_err(|source| ServeError::Tls { address, source })?,
            ),
        };
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

    /// What a person types.
    pub fn url(&self) -> String {
        let scheme = if self.acceptor.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.local)
    }

    /// Serves `routes` until the shutdown, then lets what is under way end within the drain.
    pub async fn serve(self, routes: Router, shutdown: Shutdown) -> Result<(), ServeError> {
        let router = dress(routes, &self.settings, &self.shell, self.local);
        let seats = Arc::new(Semaphore::new(self.settings.connections_max));
        let door = Door {
            router,
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
            let tcp = match accepted {
                Ok((tcp, _)) => tcp,
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match Arc::clone(&seats).try_acquire_owned() {
                Ok(permit) => {
                    let seat = Seat::taken(permit, door.metrics.http.open_connections.clone());
                    connections.spawn(door.clone().attend(tcp, seat));
                }
                Err(_) => door.refuse(ConnectionRefusal::TooMany),
            }
        }
        drop(self.listener);
        drain(connections, &seats, &self.settings).await;
        Ok(())
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
    async fn attend(self, tcp: TcpStream, seat: Seat) {
        // Small frames must not wait for each other's acknowledgement.
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "connection gone before it began");
            return;
        }
        let stream = match &self.acceptor {
            None => Stream::Plain(tcp),
            Some(acceptor) => {
                match tokio::time::timeout(self.header_timeout, acceptor.accept(tcp)).await {
                    Ok(Ok(stream)) => Stream::Tls(Box::new(stream)),
                    Ok(Err(_)) | Err(_) => return self.refuse(ConnectionRefusal::Tls),
                }
            }
        };
        let service = TowerToHyperService::new(self.router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.header_timeout)
            .max_buf_size(HEAD_BYTES_MAX)
            .half_close(false)
            .serve_connection(TokioIo::new(Transport::new(stream, seat)), service)
            .with_upgrades();
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
        tracing::debug!(reason = reason.value(), "connection refused");
    }
}

/// Waits for every seat: those of streams that were upgraded are held by whoever serves them.
async fn drain(mut connections: JoinSet<()>, seats: &Semaphore, settings: &ServerSettings) {
    let all = u32::try_from(settings.connections_max).unwrap_or(u32::MAX);
    let emptied = tokio::time::timeout(settings.drain, seats.acquire_many(all));
    if emptied.await.is_err() {
        let open = settings.connections_max - seats.available_permits();
        tracing::warn!(open, "connections cut: they did not end in time");
        connections.shutdown().await;
    }
}

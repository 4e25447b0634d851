//! Logs on stderr, and spans to a collector where one is configured. Knows no service.

mod export;

use std::fmt;
use std::io::{self, IsTerminal};
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::{Handle, TryCurrentError};
use tracing::Subscriber;
use tracing::subscriber::SetGlobalDefaultError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{Environment, LogFormat, Otlp, Telemetry};
use crate::metric::Counter;

/// Which lines the log has where `RUST_LOG` does not say.
const FILTER: &str = "info";
/// For the last spans, when the program ends.
const FLUSH: Duration = Duration::from_secs(5);

/// Why there is no telemetry.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("`RUST_LOG` is no filter (expected e.g. `info` or `caerus_gateway=debug,warn`)")]
    Filter {
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    #[error("could not prepare the export of spans to `{endpoint}`")]
    Exporter {
        endpoint: String,
        #[source]
        source: opentelemetry_otlp::ExporterBuildError,
    },
    #[error("spans are exported from inside a runtime, and there is none")]
    NoRuntime(#[source] TryCurrentError),
    #[error("the log is already set up")]
    Twice(#[source] SetGlobalDefaultError),
}

/// Delivers what is left when dropped. Hold it to the program's end, inside the runtime.
#[must_use = "spans that are left are delivered when this is dropped"]
pub struct TelemetryGuard {
    provider: Option<SdkTracerProvider>,
}

impl fmt::Debug for TelemetryGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetryGuard")
            .field("exports_spans", &self.provider.is_some())
            .finish()
    }
}

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        let Some(provider) = &self.provider else {
            return;
        };
        if let Err(error) = provider.shutdown_with_timeout(FLUSH) {
            tracing::warn!(%error, "last spans not delivered");
        }
    }
}

/// Sets the process's log and spans up; once. With a collector configured it must run inside a runtime of several
/// threads. `service` names the program, e.g. `caerus`; `dropped` counts spans that were not delivered.
pub fn init(
    service: &'static str,
    settings: &Telemetry,
    environment: &Environment,
    dropped: &Counter,
) -> Result<TelemetryGuard, TelemetryError> {
    let provider = match &settings.otlp {
        None => None,
        Some(otlp) => Some(provider(service, otlp, dropped)?),
    };
    let form = Form {
        format: settings.log_format,
        has_colour: io::stderr().is_terminal() && !environment.forbids_colour(),
    };
    let guard = TelemetryGuard { provider };
    let subscriber = subscriber(form, environment, &guard, io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(TelemetryError::Twice)?;
    Ok(guard)
}

/// Sets the log alone up, for commands that read no configuration.
pub fn init_log(
    format: LogFormat,
    environment: &Environment,
) -> Result<TelemetryGuard, TelemetryError> {
    let settings = Telemetry {
        log_format: format,
        otlp: None,
    };
    init("caerus", &settings, environment, &Counter::default())
}

fn provider(
    service: &'static str,
    otlp: &Otlp,
    dropped: &Counter,
) -> Result<SdkTracerProvider, TelemetryError> {
    let runtime = Handle::try_current().map_err(TelemetryError::NoRuntime)?;
    export::provider(service, otlp, dropped, runtime).map_err(|source| TelemetryError::Exporter {
        endpoint: otlp.endpoint.clone(),
        source,
    })
}

#[derive(Clone, Copy, Debug)]
struct Form {
    format: LogFormat,
    has_colour: bool,
}

fn subscriber<W>(
    form: Form,
    environment: &Environment,
    guard: &TelemetryGuard,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + 'static, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(environment.log_filter().unwrap_or(FILTER))
        .map_err(|source| TelemetryError::Filter { source })?;
    let spans = guard.provider.as_ref().map(|provider| {
        let tracer = provider.tracer("caerus");
        // Code locations and thread names say little and cost much on every span.
        tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
    });
    let subscriber = Registry::default()
        .with(filter)
        .with(lines(form, writer))
        .with(spans);
    Ok(subscriber)
}

fn lines<S, W>(form: Form, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    match form.format {
        LogFormat::Text => lines.with_ansi(form.has_colour).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    }
}

#[cfg(test)]
mod tests;

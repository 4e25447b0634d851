//! Spans over HTTP to a collector, in batches, from the runtime's own threads. Knows no span by name.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter as Export};
use tokio::runtime::Handle;

use crate::config::Otlp;
use crate::metric::Counter;

/// For one batch.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn provider(
    service: &'static str,
    otlp: &Otlp,
    dropped: &Counter,
    runtime: Handle,
) -> Result<SdkTracerProvider, ExporterBuildError> {
    crate::http::tls::provide_crypto();
    let header =
        |secret: &crate::secret::Secret| (AUTHORIZATION.to_string(), secret.expose().to_owned());
    let headers: HashMap<String, String> = otlp.authorization.iter().map(header).collect();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(&otlp.endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .with_headers(headers)
        .build()?;
    let exporter = OnRuntime {
        exporter: Arc::new(exporter),
        resource: None,
        runtime,
        dropped: dropped.clone(),
    };
    let resource = Resource::builder().with_service_name(service).build();
    Ok(SdkTracerProvider::builder()
        .with_resource(resource)
        .with_batch_exporter(exporter)
        .build())
}

/// The batches come from a thread of their own that knows no reactor; the client needs one.
struct OnRuntime {
    exporter: Arc<SpanExporter>,
    resource: Option<Resource>,
    runtime: Handle,
    dropped: Counter,
}

impl fmt::Debug for OnRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnRuntime")
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}

impl Export for OnRuntime {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let exporter = Arc::clone(&self.exporter);
        let sent = self
            .runtime
            .spawn(async move { exporter.export(batch).await });
        let outcome = match sent.await {
            Ok(outcome) => outcome,
            Err(error) => Err(OTelSdkError::InternalFailure(error.to_string())),
        };
        if outcome.is_err() {
            self.dropped.inc_by(spans);
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = Some(resource.clone());
        // Called once, before the first batch, while nobody else holds the exporter.
        if let Some(exporter) = Arc::get_mut(&mut self.exporter) {
            exporter.set_resource(resource);
        }
    }
}

//! W3C trace context: which trace a piece of work belongs to, as text that rides with it. Knows no exporter.

use std::convert::Infallible;
use std::fmt;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing_opentelemetry::OpenTelemetrySpanExt;

pub const TRACEPARENT: &str = "traceparent";

const TRACE_DIGITS: usize = 32;
const SPAN_DIGITS: usize = 16;

/// A trace and the span that caused this work. *Source*: W3C Trace Context, level 1, section 3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Traceparent {
    trace: u128,
    span: u64,
    is_sampled: bool,
}

impl Traceparent {
    /// Reads the header's text; `None` where it is not one: the trace then begins here.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // A later version may add parts; this one has four.
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let read = |text: &str, digits| {
            let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            let fits = text.len() == digits && text.bytes().all(is_hex);
            fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
        };
        read(version, 2)?;
        let parent = Self {
            trace: read(trace, TRACE_DIGITS)?,
            span: u64::try_from(read(span, SPAN_DIGITS)?).ok()?,
            is_sampled: read(flags, 2)? & 1 == 1,
        };
        (parent.trace != 0 && parent.span != 0).then_some(parent)
    }

    /// A new trace.
    pub fn random() -> Self {
        let mut bytes = [0_u8; 24];
        // Without randomness the trace has a well-known name: worse to look for, and nothing else depends on it.
        if getrandom::fill(&mut bytes).is_err() {
            bytes.fill(1);
        }
        let (trace, span) = bytes.split_at(16);
        let trace = <[u8; 16]>::try_from(trace).map_or(1, u128::from_be_bytes);
        let span = <[u8; 8]>::try_from(span).map_or(1, u64::from_be_bytes);
        Self {
            trace: trace.max(1),
            span: span.max(1),
            is_sampled: true,
        }
    }

    /// As the headers name it; a header that is repeated or no trace context counts as none.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(TRACEPARENT).iter();
        let only = all.next()?;
        match all.next() {
            None => Self::parse(only.to_str().ok()?),
            Some(_) => None,
        }
    }

    /// The span at hand, where spans are exported; `None` otherwise.
    pub fn current() -> Option<Self> {
        let context = tracing::Span::current().context();
        let span = context.span().span_context().clone();
        span.is_valid().then(|| Self {
            trace: u128::from_be_bytes(span.trace_id().to_bytes()),
            span: u64::from_be_bytes(span.span_id().to_bytes()),
            is_sampled: span.is_sampled(),
        })
    }

    /// Makes `span`, not yet entered, a child of this; does nothing where spans are not exported.
    pub fn adopt(&self, span: &tracing::Span) {
        let flags = if self.is_sampled {
            TraceFlags::SAMPLED
        } else {
            TraceFlags::default()
        };
        let remote = SpanContext::new(
            TraceId::from(self.trace),
            SpanId::from(self.span),
            flags,
            true,
            TraceState::default(),
        );
        let parent = Context::new().with_remote_span_context(remote);
        if let Err(error) = span.set_parent(parent) {
            tracing::trace!(%error, "span keeps no parent");
        }
    }

    /// 32 hex digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.is_sampled);
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.trace, self.span)
    }
}

/// The request's trace: that of its header, or one of its own.
impl<S: Sync> FromRequestParts<S> for Traceparent {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let known = parts.extensions.get::<Self>().copied();
        Ok(known
            .or_else(|| Self::from_headers(&parts.headers))
            .unwrap_or_else(Self::random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_reads_back() {
        let parent = Traceparent::parse(GOOD).unwrap();
        assert_eq!(parent.to_string(), GOOD);
        assert_eq!(parent.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more";
        assert_eq!(Traceparent::parse(later), Some(parent));
        let own = Traceparent::random();
        assert_eq!(Traceparent::parse(&own.to_string()), Some(own));
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        for text in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333é-01",
            "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(Traceparent::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_repeated_header_counts_as_none() {
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, GOOD.parse().unwrap());
        assert_eq!(
            Traceparent::from_headers(&headers),
            Traceparent::parse(GOOD)
        );
        headers.append(TRACEPARENT, GOOD.parse().unwrap());
        assert_eq!(Traceparent::from_headers(&headers), None);
    }
}

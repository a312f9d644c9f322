//! Metrics that are counted elsewhere.

use crate::http::Answer;
use metal_image::{Store, store::Stats};
use metal_runtime::{
    metrics::{Registry, gauge},
    tls::{self, Certificate},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
    },
};
use std::{fmt, sync::Arc};

const COUNTERS: [(&str, &str); 4] = [
    ("image_cache_hits", "Requests for layers that were cached or being downloaded"),
    ("image_downloads", "Layer downloads started"),
    ("image_download_failures", "Failed layer downloads"),
    ("image_download_bytes", "Bytes downloaded from registries"),
];
const GAUGES: [(&str, &str); 2] = [
    ("image_cache_blobs", "Layers in the cache"),
    ("image_cache_bytes", "Bytes in the cache, including downloads in progress"),
];

/// The registry of this binary, with the end of this certificate.
pub(crate) fn registry(certificate: Option<&Arc<Certificate>>) -> Registry {
    let mut registry = Registry::of("boot_operator");
    tls::expiry(&mut registry, certificate);
    registry
}

/// Registers the counter of responses to machines.
pub(crate) fn answers(registry: &mut Registry) -> Family<Answer, Counter> {
    let answers = Family::default();
    let help = "HTTP responses to machines, by endpoint, status and reason";
    registry.register("http_answers", help, answers.clone());
    answers
}

/// Names, texts and types of what a [`Cache`] counts.
pub(crate) fn of_cache() -> impl Iterator<Item = (&'static str, &'static str, MetricType)> {
    let counters = COUNTERS.into_iter().map(|(name, help)| (name, help, MetricType::Counter));
    counters.chain(GAUGES.into_iter().map(|(name, help)| (name, help, MetricType::Gauge)))
}

/// Metrics of the image cache.
pub(crate) struct Cache(pub(crate) Store);

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache")
    }
}

impl Collector for Cache {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Stats { hits, downloads, failures, bytes, blobs, size } = self.0.stats();
        for ((name, help), value) in COUNTERS.into_iter().zip([hits, downloads, failures, bytes]) {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        for ((name, help), value) in GAUGES.into_iter().zip([blobs, size]) {
            gauge(&mut encoder, (name, help), i64::try_from(value).unwrap_or(i64::MAX))?;
        }
        Ok(())
    }
}

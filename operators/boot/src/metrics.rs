//! Metrics of what is counted elsewhere.

use metal_image::{Store, store::Stats};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};
use std::fmt;

/// What the image cache has done.
pub(crate) struct Cache(pub(crate) Store);

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache")
    }
}

impl Collector for Cache {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Stats { hits, downloads, failures, bytes, blobs, size } = self.0.stats();
        let counters = [
            ("image_cache_hits", "Requests for layers that were there, or on their way", hits),
            ("image_downloads", "Layers whose download was begun", downloads),
            ("image_download_failures", "Layers whose download failed", failures),
            ("image_download_bytes", "Bytes downloaded from registries", bytes),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        let gauges = [
            ("image_cache_blobs", "Layers in the cache", blobs),
            ("image_cache_bytes", "Bytes in the cache, with those on their way", size),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}

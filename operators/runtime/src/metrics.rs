//! The metrics of a binary, each under its name.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{MetricType, gauge::ConstGauge},
    registry::{Metric, Registry as Inner},
};
use std::fmt::{self, Write as _};

/// The metrics in `/metrics`. All names begin with that of the binary.
#[derive(Debug)]
pub struct Registry {
    inner: Inner,
    binary: &'static str,
    metrics: Vec<Description>,
}

/// A metric, as named in `/metrics`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Description {
    name: String,
    kind: &'static str,
    help: String,
}

impl Registry {
    /// The registry of `binary`, whose name is written with underscores.
    pub fn of(binary: &'static str) -> Self {
        Self { inner: Inner::with_prefix(binary), binary, metrics: Vec::new() }
    }

    /// Adds a metric. `name` is without the binary's name and `_total`, `help` without a final
    /// period.
    pub fn register(&mut self, name: &str, help: &str, metric: impl Metric) {
        self.describe(name, help, EncodeMetric::metric_type(&metric));
        self.inner.register(name, help, metric);
    }

    /// Adds a collector, which counts when it is read; `metrics` are its names, texts and types.
    pub fn register_collector<'a>(
        &mut self,
        collector: impl Collector,
        metrics: impl IntoIterator<Item = (&'a str, &'a str, MetricType)>,
    ) {
        for (name, help, kind) in metrics {
            self.describe(name, help, kind);
        }
        self.inner.register_collector(Box::new(collector));
    }

    /// Describes a metric that is registered elsewhere.
    pub fn describe(&mut self, name: &str, help: &str, kind: MetricType) {
        let (kind, end) = match kind {
            MetricType::Counter => ("counter", "_total"),
            MetricType::Gauge => ("gauge", ""),
            MetricType::Histogram => ("histogram", ""),
            MetricType::Info => ("info", "_info"),
            MetricType::Unknown => ("unknown", ""),
        };
        let name = format!("{}_{name}{end}", self.binary);
        self.metrics.push(Description { name, kind, help: help.to_owned() });
    }

    /// All metrics, as a Markdown table.
    pub fn table(&self) -> String {
        let mut metrics: Vec<_> = self.metrics.iter().collect();
        metrics.sort();
        let mut table = String::from("| metric | type | description |\n|---|---|---|\n");
        for Description { name, kind, help } in metrics {
            // Writing to a string cannot fail.
            writeln!(table, "| `{name}` | {kind} | {help} |").ok();
        }
        table
    }

    /// The current metrics, in the OpenMetrics text format.
    ///
    /// # Errors
    ///
    /// If a metric cannot be written as text.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.inner)?;
        Ok(text)
    }
}

/// Encodes one gauge, for a collector.
///
/// # Errors
///
/// If it cannot be written as text.
pub fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    value: i64,
) -> Result<(), fmt::Error> {
    let gauge = ConstGauge::new(value);
    let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
    gauge.encode(metric)
}

/// Encodes gauges that differ in the value of one label, for a collector.
///
/// # Errors
///
/// If they cannot be written as text.
pub fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    label: &str,
    values: impl IntoIterator<Item = (String, i64)>,
) -> Result<(), fmt::Error> {
    let gauge = ConstGauge::new(0_i64);
    let mut family = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
    for (value, count) in values {
        let labels = [(label.to_owned(), value)];
        let gauge = ConstGauge::new(count);
        gauge.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

    #[test]
    fn a_metric_is_described_by_the_name_under_which_it_is_told() {
        let mut registry = Registry::of("some_binary");
        registry.register("passes", "Passes so far", Counter::<u64>::default());
        registry.register("depth", "Keys that wait", Gauge::<i64>::default());
        let (table, text) = (registry.table(), registry.text().unwrap());
        let names: Vec<_> = table.split('`').skip(1).step_by(2).collect();
        assert_eq!(names, ["some_binary_depth", "some_binary_passes_total"]);
        assert!(names.iter().all(|name| text.contains(&format!("\n{name} 0\n"))), "{text}");
    }
}

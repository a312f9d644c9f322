//! Metrics of the files that are read again when they change.

use metal_runtime::{file::Reading, metrics::Registry};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

/// How many times changed files were read.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileReadings(Family<File, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct File {
    file: &'static str,
    result: &'static str,
}

impl FileReadings {
    /// Registers them.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let readings = Self::default();
        registry.register(
            "file_readings",
            "Reloads of changed files, by result",
            readings.0.clone(),
        );
        readings
    }

    /// A changed file was read.
    pub(crate) fn read(&self, file: &'static str, reading: Reading) {
        let result = match reading {
            Reading::Taken => "Taken",
            Reading::Refused => "Refused",
        };
        self.0.get_or_create(&File { file, result }).inc();
    }
}

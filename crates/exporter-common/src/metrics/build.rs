//! The `*_build_info` gauge.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::{Number, gauges};
use crate::build_info;

/// Exposes `version`, `commit` and `rustversion` of this build as the labels of a gauge that is always 1.
#[derive(Debug, Clone, Copy)]
pub struct BuildInfo {
    /// The family's full name, such as `spacelift_build_info`.
    pub name: &'static str,
}

impl Collector for BuildInfo {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let labels = [
            ("version", build_info::VERSION),
            ("commit", build_info::COMMIT),
            ("rustversion", build_info::RUST_VERSION),
        ];
        gauges(
            &mut encoder,
            self.name,
            "Version, commit and compiler of the exporter",
            [(labels, Number(1.0))],
        )
    }
}

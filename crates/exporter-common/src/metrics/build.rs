//! The `*_build_info` gauge.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::{Number, gauges};
use crate::build_info;

/// Exposes what this build is as the labels of a gauge that is always 1: `version`, `commit` and `rustversion`, and
/// beside them `revision` and `branch`, which dashboards of many exporters ask for.
#[derive(Debug, Clone, Copy)]
pub struct BuildInfo {
    /// The family's full name, such as `spacelift_build_info`.
    pub name: &'static str,
}

impl Collector for BuildInfo {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let labels = [
            ("branch", build_info::BRANCH),
            ("commit", build_info::COMMIT),
            ("revision", build_info::REVISION),
            ("rustversion", build_info::RUST_VERSION),
            ("version", build_info::VERSION),
        ];
        gauges(
            &mut encoder,
            self.name,
            "Version, commit and compiler of the exporter",
            [(labels, Number(1.0))],
        )
    }
}

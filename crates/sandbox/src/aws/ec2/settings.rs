//! Switches of the simulated EC2.

use std::time::Duration;

/// How EC2 behaves. The default is a healthy EC2 with small responses.
#[derive(Clone, Debug, PartialEq)]
pub struct Ec2Settings {
    /// Network interfaces and addresses are added until the XML of an instance has about this size in bytes.
    /// Real instances take 5,000 to 10,000 bytes; zero adds nothing.
    pub padding: usize,
    /// Whether the elements of a response and of each instance have a random order.
    pub shuffle: bool,
    /// Whether `IncludeManagedResources` is rejected with `UnknownParameter`.
    pub reject_managed_resources: bool,
    /// Whether each further page repeats the token with which it was requested.
    pub repeat_token: bool,
    /// Cuts the XML after this number of bytes. The HTTP response itself is complete.
    pub cut: Option<usize>,
    /// How long terminated instances are listed.
    pub terminated_retention: Duration,
    /// The interval at which a terminated instance loses one tag after the other; `None` keeps all tags.
    pub tag_loss: Option<Duration>,
    /// The time during which a new instance is missing from the responses.
    pub appearance_delay: Duration,
    /// The time zone in transition reasons: `GMT` or `UTC`.
    pub time_zone: &'static str,
}

impl Default for Ec2Settings {
    fn default() -> Self {
        Self {
            padding: 0,
            shuffle: false,
            reject_managed_resources: false,
            repeat_token: false,
            cut: None,
            terminated_retention: Duration::from_secs(60 * 60),
            tag_loss: None,
            appearance_delay: Duration::ZERO,
            time_zone: "GMT",
        }
    }
}

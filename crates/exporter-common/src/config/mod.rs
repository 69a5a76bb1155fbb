//! Configuration: flags override environment variables, which override the YAML file, which overrides the defaults.
//! figment merges them.
//!
//! Every value is text, whatever its source, so that a key id made of digits or a secret with leading zeros is the same
//! in a flag, a variable and a file. A binary declares its options once, as a table of [`Setting`]s. Flags, variables,
//! `--help` and the README's tables are derived from that table.
//!
//! There are two types of configuration: as written (a serde struct of optional fields that rejects unknown keys, see
//! [`Loaded`]) and as validated (the binary's own type). Only a validated configuration can be run.

mod cli;
mod duration;
mod error;
mod load;
mod nearest;
mod setting;
mod url;
mod values;
mod variables;

pub use cli::{Arguments, Command, Invocation};
pub use duration::{DurationError, format_duration, parse_duration};
pub use error::ConfigError;
pub use load::{Environment, Loaded, load};
pub(crate) use nearest::nearest;
pub use setting::{Setting, SettingKind};
pub use url::{UrlError, parse_url};
pub use values::{TextList, parse_bool, parse_metrics_path, parse_page_path, parse_size};
pub use variables::unknown_variables;

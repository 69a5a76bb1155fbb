//! Configuration: flags over environment over YAML file over defaults, put together by figment.
//!
//! Every value arrives as text, wherever it was written, so that a key id made of digits or a secret with
//! leading zeros means the same in a flag, a variable and a file. A binary declares its options once, as a
//! table of [`Setting`]s; flags, variables, `--help` and the README's tables come from that table.
//!
//! Configuration exists twice: as written (a serde struct of optional fields that rejects unknown keys, see
//! [`Loaded`]) and as validated (the binary's own type, which is the only one that can be run).

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
pub use setting::{Kind, Setting};
pub use url::{UrlError, parse_url};
pub use values::{TextList, parse_bool, parse_metrics_path, parse_page_path, parse_size};
pub use variables::unknown_variables;

//! The HTTP server: bind first, then serve.
//!
//! A [`Listener`] is bound before anything slow happens. [`serve`] then runs a [`Site`] on it until shutdown.
//! No client can delay another client's scrape: each connection is monitored ([`Limits`]), and at the limit on
//! connections the one that has waited longest for its client is closed. The module [`web`] decides which clients have
//! access.

mod body;
mod connection;
pub mod html;
mod landing;
mod limits;
mod line_limit;
mod listen;
mod monitor;
mod negotiate;
mod quota;
mod rejection;
mod response;
mod routes;
mod scrape;
mod server;
mod site;
pub mod web;

pub use body::BodyError;
pub use landing::{Fact, ago};
pub use limits::Limits;
pub use line_limit::LineLimit;
pub use listen::{BindError, ListenAddress, ListenAddressError, Listener};
pub use negotiate::{AcceptedFormat, Encoding, Escaping, accepted_encoding, accepted_format, prefers_html};
pub use routes::{ResponseFuture, Route};
pub use scrape::{Scrape, ScrapeError, ScrapeRequest};
pub use server::serve;
pub use site::Site;
pub use web::Web;

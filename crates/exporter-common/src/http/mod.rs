//! The HTTP server: bind first, then serve.
//!
//! A [`Listener`] is bound before anything slow happens. [`serve`] then runs a [`Site`] on it until shutdown.
//! No client can delay another's scrape: each connection is watched ([`Limits`]), and when their number
//! reaches its bound the one that has waited longest makes room. Who may ask at all is for [`web`] to say.

mod answer;
mod body;
mod connection;
pub mod html;
mod landing;
mod line_limit;
mod listen;
mod negotiate;
mod quota;
mod rejection;
mod routes;
mod scrape;
mod server;
mod site;
mod visit;
pub mod web;

pub use body::BodyError;
pub use connection::Limits;
pub use landing::{Fact, ago};
pub use line_limit::LineLimit;
pub use listen::{BindError, ListenAddress, ListenAddressError, Listener};
pub use negotiate::{Accepted, Encoding, Escaping, accepted_encoding, accepted_format, prefers_html};
pub use routes::{Answering, Route};
pub use scrape::{Scrape, ScrapeError, ScrapeRequest};
pub use server::serve;
pub use site::Site;
pub use web::Web;

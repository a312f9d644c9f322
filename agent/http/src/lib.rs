//! The HTTP/1 client of agents: small enough for an image that is loaded over the network.
//!
//! One request per connection, each wait under a deadline, each answer within a limit. The path of a URL may
//! hold a token, so no message has one. An error says what happened; what to do about it depends on the
//! program, which adds that itself.

mod client;
mod error;
mod reason;
mod trust;
mod url;

pub use client::{Answer, Client};
pub use error::RequestError;
pub use reason::Reason;
pub use trust::{Identity, Trust, TrustError};
pub use url::{InvalidUrl, ServerUrl};

//! One request to one BMC: how it is reached, who we are there, and how much it may ask of us. No resource is
//! known here.

pub(crate) mod answer;
pub(crate) mod call;
pub(crate) mod condition;
pub(crate) mod encoding;
pub(crate) mod etags;
pub(crate) mod field;
pub(crate) mod form;
pub(crate) mod json;
pub(crate) mod limits;
pub(crate) mod memory;
pub(crate) mod message;
pub(crate) mod names;
pub(crate) mod permit;
pub(crate) mod pin;
pub(crate) mod public_key;
pub(crate) mod recent;
pub(crate) mod redact;
pub(crate) mod request;
pub(crate) mod root;
pub(crate) mod session;
pub(crate) mod task;
pub(crate) mod tls;
pub(crate) mod uri;
pub(crate) mod wire;

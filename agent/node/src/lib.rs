//! Agent of an installed machine: with its TPM it gets a token from metalman, with the token the
//! certificate of its node, and it renews that for as long as it runs.
//!
//! ```text
//! /etc/bloomery/agent.json ──► TPM: EK, SRK ──► metalman: POST /attest ──► token, for ten minutes
//!                                                                              │
//!        kubeconfig, and the certificate beside it ◄── API server: a certificate request, signed
//! ```
//!
//! `plan` decides what is to be done about the certificate that is there; `attest`, `http` and `kube` do it,
//! `store` keeps the result, and [`agent`] is the loop around them. What metalman, the API server and the
//! TPM answer is bounded and parsed before it is used; the token goes to nobody but the API server of the
//! configuration, by TLS.

pub mod agent;
pub mod args;
mod attest;
mod certificate;
pub mod config;
mod event_log;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod http;
mod key;
mod kube;
mod notify;
mod plan;
#[cfg(test)]
mod reference_page;
mod store;

#[cfg(test)]
mod testing;

//! What all binaries share. Knows no domain types.
//!
//! A binary is composed of these, in this order:
//!
//! ```no_run
//! use clap::Parser;
//! use metal_runtime::{
//!     admin, args, client, election, health::Readiness, listener, metrics::Registry, shutdown,
//!     telemetry,
//! };
//! use tokio_util::sync::CancellationToken;
//!
//! /// The example operator.
//! #[derive(Debug, Parser)]
//! struct Args {
//!     #[command(flatten)]
//!     runtime: args::RuntimeArgs,
//!     /// How long a discovery may take.
//!     #[arg(long, default_value = "30m", value_parser = args::duration)]
//!     discovery_timeout: std::time::Duration,
//! }
//!
//! /// Flags of ironcore that mean nothing here.
//! const ACCEPTED: &[args::Accepted] =
//!     &[args::Accepted::value("registry-resync-interval", "the registry does not resync")];
//!
//! async fn run() -> anyhow::Result<()> {
//!     let args::Parsed { args, ignored } = args::parse::<Args>(ACCEPTED);
//!     telemetry::init(&args.runtime.log)?;
//!     args::warn(&ignored);
//!     listener::raise_file_limit();
//!     let shutdown = shutdown::on_signal()?;
//!     let client = client::connect(&args.runtime.client, "example-operator/0.1.0").await?;
//!
//!     let (readiness, mut registry) = (Readiness::default(), Registry::of("example"));
//!     let leading = election::leading(&readiness, &mut registry);
//!     let admin = admin::Admin::bind(&args.runtime.admin).await?;
//!     let candidate = args.runtime.election.candidate(&client, "example-operator");
//!     let work = || async { /* controllers, until `shutdown` is cancelled */ };
//!     tokio::select! {
//!         // It serves until the lease is released, and does not end the process before.
//!         () = admin.serve(readiness, registry, CancellationToken::new()) => Ok(()),
//!         worked = election::run_elected(candidate, &leading, &shutdown, work) => Ok(drop(worked)),
//!     }
//! }
//! ```

pub mod admin;
mod apply;
pub mod args;
mod behind;
pub mod client;
pub mod clock;
pub mod controller;
mod deferred;
pub mod election;
mod error_class;
mod events;
mod failures;
pub mod file;
mod follow;
pub mod health;
pub mod index;
pub mod listener;
mod log_limit;
mod metered;
pub mod metrics;
mod object_writer;
mod ok_if;
mod pages;
mod parse_guard;
pub mod process;
pub mod queue;
pub mod reference_page;
mod refusals;
mod relist;
pub mod report;
mod response;
pub mod shared_key;
pub mod shutdown;
mod single_writer;
pub mod telemetry;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tls;
pub mod wiring;
pub mod work;
mod write_limit;

pub use apply::{
    MetadataChange, apply, apply_status, delete_seen, patch_annotations, patch_metadata, patch_spec,
};
pub use behind::is_behind;
pub use deferred::Deferred;
pub use follow::{
    Selection, absence, follow, follow_fields, follow_if_served, follow_selected, watch_if_served,
    watch_in_pages,
};
pub use log_limit::LogLimit;
pub use metal_base::jittered;
pub use object_writer::{Writer, Written};
pub use ok_if::{OkIf, lacks_right};
pub use pages::{kept_in_pages, list_in_pages, list_selected_in_pages};
pub use refusals::{Absence, Refusals};
pub use relist::Relist;
pub use single_writer::{record_spec, record_status};

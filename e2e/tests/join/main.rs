//! metal-agent with a TPM in software, a metalman under the rights of its overlay, and a control plane that
//! signs: from a machine without any secret to its node, and what may go wrong on the way.

mod away;
mod boot;
mod certificate;
mod ek_certificate;
mod join;
mod killed;
mod machine;
mod site;
mod tpm;

use std::time::Duration;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

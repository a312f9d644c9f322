//! Controller of `ServerBootConfiguration`: `observe` reads, [`metal_core::boot::configuration`]
//! decides, `act` writes. It is the one writer of the state.

mod act;
mod observe;
#[cfg(test)]
mod tests;

use crate::{
    Error, Next,
    context::{Context, Named},
};
use jiff::Timestamp;
use metal_core::boot::configuration::{decide, outdated};
use metal_runtime::work::NOT_LISTED;
use std::sync::Arc;

/// One pass over one configuration: at most one write.
///
/// # Errors
///
/// If something could not be read or written.
pub async fn pass(ctx: Arc<Context>, (namespace, name): Named) -> Result<Next, Error> {
    // A server or a boot config that is not listed yet would be taken for one that is not there.
    // Nor is a link written that has no token.
    if !ctx.view.is_ready() || ctx.key.get().is_none() {
        return Ok(Next::After(NOT_LISTED));
    }
    let Some(configuration) = ctx.view.configurations.named(Some(&namespace), &name) else {
        return Ok(Next::Wait);
    };
    if let Some(decision) = outdated(&configuration, ctx.modes, Timestamp::now()) {
        return act::act(&ctx, &configuration, decision).await;
    }
    let seen = observe::observe(&ctx, &configuration).await?;
    act::act(&ctx, &configuration, decide(&seen.as_observation(), ctx.modes)).await
}

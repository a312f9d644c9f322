//! The state of the image of a Machine, for its status.

use super::{Refused, rendered};
use crate::Context;
use metal_api::Machine;
use metal_core::machine::netboot::image::State;

/// The state of the image. A template that cannot be rendered for this Machine is reported as a
/// flaw of the image.
pub(crate) fn state(ctx: &Context, machine: &Machine) -> State {
    let state = ctx.images.state(machine);
    let (State::Ready { digest, .. }, Some(image)) = (&state, ctx.images.of(machine)) else {
        return state;
    };
    let url = ctx.serve_url.as_deref().unwrap_or_default();
    let mut templates = image.templates().into_iter();
    let flaw = templates.find_map(|path| match rendered(ctx, &image, machine, &path, url) {
        Err(Refused::Template(wrong)) => Some(wrong.to_string()),
        Ok(_) | Err(_) => None,
    });
    State::Ready { digest: digest.clone(), flaw }
}

//! How far the image of a Machine is, as its status is to say it.

use super::open::{Refused, rendered};
use crate::Context;
use metal_api::Machine;
use metal_core::machine::netboot::image::State;

/// How far it is. A template that cannot be rendered for this Machine is a flaw of the image.
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

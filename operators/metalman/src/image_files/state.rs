//! The state of the image of a Machine, for its status.

use super::{Page, Refused, rendered};
use crate::{
    Context,
    images::{Image, ImageProblem},
};
use metal_api::Machine;
use metal_machine::{operations::installs, provisioning::image::ImageState};
use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::spawn_blocking;

/// How long all templates of an image may take for one Machine.
const TOGETHER: Duration = Duration::from_secs(4);

/// The state of the image; `None` while other Machines keep those busy who look at its templates. A
/// template that cannot be rendered for this Machine is reported as a flaw of the image, and that none can be
/// because nobody knows which cluster machines join, in place of it. Flaws are looked
/// for once for each image, generation and installation of the Machine, since it takes as long as the
/// image likes.
pub(crate) async fn state(ctx: &Arc<Context>, machine: &Arc<Machine>) -> Option<ImageState> {
    let state = ctx.images.state(machine);
    let (ImageState::Ready { digest, .. }, Some(image)) = (&state, ctx.images.of(machine)) else {
        return Some(state);
    };
    let key = ImageProblem {
        digest: digest.clone(),
        machine: machine.metadata.uid.clone(),
        generation: machine.metadata.generation,
        installs: installs(machine, ctx.now()),
    };
    let known = ctx.images.flaw(&key);
    let flaw = if let Some(known) = known {
        known
    } else {
        let place = Arc::clone(image.places()).try_acquire_owned().ok()?;
        let (context, machine) = (Arc::clone(ctx), Arc::clone(machine));
        let found = spawn_blocking(move || {
            let found = flaw(&context, &image, &machine);
            drop(place);
            found
        });
        match found.await.ok()? {
            Ok(flaw) => {
                ctx.images.keep_flaw(key, flaw.clone());
                flaw
            }
            Err(NotReady) => match ctx.cluster.unknown() {
                Some(message) => {
                    return Some(ImageState::Failed { reason: "ClusterUnknown", message });
                }
                None => None,
            },
        }
    };
    Some(ImageState::Ready { digest: digest.clone(), flaw })
}

/// What templates need is not known yet.
struct NotReady;

fn flaw(ctx: &Context, image: &Image, machine: &Machine) -> Result<Option<String>, NotReady> {
    let url = ctx.serve_url.at(Ipv4Addr::LOCALHOST);
    let since = Instant::now();
    for path in image.templates() {
        if since.elapsed() >= TOGETHER {
            let seconds = TOGETHER.as_secs();
            return Ok(Some(format!("its templates take longer than {seconds} seconds together")));
        }
        match rendered(ctx, image, Page { machine, path: &path, url: &url }) {
            Err(Refused::Template(wrong)) => return Ok(Some(wrong.to_string())),
            Err(Refused::NotReady) => return Err(NotReady),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::Error,
        fixture::{self, OURS, has_image},
    };
    use metal_machine::provisioning::agent::Cluster;

    #[tokio::test]
    async fn an_image_is_not_ready_while_nobody_knows_which_cluster_its_machines_join() {
        let machine = fixture::machine("node-01", OURS, 1);
        let ctx = fixture::cluster([machine.clone()]).await;
        let files: [(&str, &[u8]); 1] = [("disk/grub/grub.cfg.tmpl", b"{{ .Machine.Name }}")];
        let _folder = has_image(&ctx, &machine, &files).await;
        let machine = Arc::new(machine);
        let is_ready =
            async || matches!(state(&ctx, &machine).await, Some(ImageState::Ready { .. }));
        assert!(is_ready().await, "it has just begun to ask");
        ctx.cluster.fail(&Error::Missing("set --apiserver-url"));
        let message = "set --apiserver-url".to_owned();
        let expected = ImageState::Failed { reason: "ClusterUnknown", message };
        assert_eq!(state(&ctx, &machine).await, Some(expected));
        ctx.cluster.set(Cluster::default());
        assert!(is_ready().await);
    }
}

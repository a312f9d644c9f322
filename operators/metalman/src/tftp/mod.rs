//! The files of images by TFTP, as [`crate::image_files`] serves them. A machine is identified by its address.

use crate::{
    Context,
    confirm::confirm_here,
    http::has_begun,
    image_files::{FileRequest, Proof, Refused, Served, opened_here},
    serve_url::ServeUrl,
};
use metal_api::Machine;
use metal_dhcp::{
    fair_queue::Priority,
    tftp::{ReadRequest, Refusal, path},
};
use metal_machine::provisioning::access::{Class, class};
use metal_runtime::{LogLimit, report::Chain};
use metal_serve::tftp::{Files, Found};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// The files of the images of all machines.
pub(crate) struct ImageFiles {
    /// The cached state of the cluster.
    pub(crate) ctx: Arc<Context>,
    /// The base URL for machines.
    pub(crate) url: ServeUrl,
    /// Limits the logging of template errors.
    pub(crate) told: LogLimit,
}

/// Where TFTP requests are served.
pub(crate) type Addresses = Vec<SocketAddr>;

impl Files for ImageFiles {
    fn priority_of(&self, client: IpAddr) -> Priority {
        let is_known = self.ctx.view.machine_at(client).is_ok();
        if is_known { Priority::Known } else { Priority::Unknown }
    }

    fn find(
        &self,
        request: &ReadRequest<'_>,
        client: IpAddr,
        here: IpAddr,
    ) -> Result<Found, Refusal> {
        if !self.ctx.view.is_ready() {
            return Err(Refusal::NotYet);
        }
        // Machines have no other addresses.
        let IpAddr::V4(here) = here.to_canonical() else { return Err(Refusal::NoMachine) };
        let machine = self.ctx.view.machine_at(client).map_err(|_| Refusal::NoMachine)?;
        let machine = confirm_here(&self.ctx, &machine).map_err(|_| Refusal::NotYet)?;
        let image = self.ctx.images.of(&machine).ok_or(Refusal::NotYet)?;
        let path = path(request, image.boot_file().unwrap_or_default())?;
        let (url, proof) = (self.url.at(here), Proof::Address);
        let (url, asked_for) = (url.into_owned(), path.clone());
        let asked_by = Arc::clone(&machine);
        let asked = FileRequest { machine, is_live: true, path: asked_for, url, proof };
        match opened_here(&self.ctx, asked) {
            Ok(Served::File { root, name, .. }) => {
                if class(&path, image.boot_file()) == Class::Install {
                    self.note_installer(asked_by);
                }
                Ok(Found::File { root, path: name, name: path })
            }
            Ok(Served::Text(text)) => {
                Ok(Found::Bytes { name: path, bytes: text.into_bytes().into() })
            }
            Err(refused) => Err(self.refusal(&refused, client, &path)),
        }
    }
}

impl ImageFiles {
    /// Notes that what installs is fetched: that is recorded while it is sent.
    fn note_installer(&self, machine: Arc<Machine>) {
        let ctx = Arc::clone(&self.ctx);
        self.ctx.live.runtime.spawn(async move { has_begun(&ctx, &machine).await });
    }

    fn refusal(&self, refused: &Refused, client: IpAddr, path: &str) -> Refusal {
        match refused {
            Refused::NoImage | Refused::NotReady | Refused::StaleCache | Refused::Busy => {
                Refusal::NotYet
            }
            Refused::NotFound => Refusal::Missing,
            Refused::NotDue => Refusal::NotToBoot,
            Refused::Template(error) => {
                if self.told.may() {
                    tracing::warn!(
                        %client,
                        path,
                        error = %Chain(error),
                        "could not render a template",
                    );
                }
                Refusal::Unreadable
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Serves the files of an image to a machine.

mod render;
mod state;

pub(crate) use render::{opened, opened_here};
pub(crate) use state::state;

use crate::{Context, images::Image};
use metal_api::Machine;
use metal_image::{Tree, tree::File};
use metal_machine::{
    operations::installs,
    provisioning::{
        access::{Class, TokenOf, class, token, token_of},
        agent::config_json,
        template::{TemplateError, Variables, render},
    },
};
use std::{path::PathBuf, sync::Arc};

/// A request for a file.
#[derive(Clone, Debug)]
pub(crate) struct FileRequest {
    /// The Machine.
    pub(crate) machine: Arc<Machine>,
    /// Whether the API server has just said that it is like this.
    pub(crate) is_live: bool,
    /// The path below the folder of the image.
    pub(crate) path: String,
    /// Where the machine reaches us, without a slash at the end.
    pub(crate) url: String,
    /// How it proves that it is the pending installer.
    pub(crate) proof: Proof,
}

/// How a client proves that it is the installer of the pending installation.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    /// By its address: a TFTP client has no other means.
    Address,
    /// By the token in its URL, if there is one.
    Token(Option<String>),
}

/// The response.
#[derive(Clone, Debug)]
pub(crate) enum Served {
    /// A file of the image.
    File {
        /// The folder that contains it.
        root: PathBuf,
        /// Its name there.
        name: String,
        /// The file.
        file: File,
        /// The image that it belongs to.
        tree: Arc<Tree>,
    },
    /// A template that was rendered.
    Text(String),
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub(crate) enum Refused {
    /// The image has not been downloaded yet.
    #[error("the image has not been downloaded yet")]
    NoImage,
    /// There is no such file.
    #[error("no such file")]
    NotFound,
    /// Too many templates of the image are being rendered.
    #[error("too many templates of this image are being rendered")]
    Busy,
    /// Whether an installation is pending is not known at the moment.
    #[error("it is not known whether an installation is pending")]
    #[strum(serialize = "Behind")]
    StaleCache,
    /// It belongs to an installation, and none is pending.
    #[error(
        "no installation is pending: increase spec.operations.repaveCounter of the Machine to \
         request one"
    )]
    NotDue,
    /// The cluster information or the token key is not known yet.
    #[error("not ready yet")]
    NotReady,
    /// The template cannot be rendered.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// Serves a request. Renders its template, if it has one, which may take seconds if the image wants it to.
///
/// # Errors
///
/// If the request is refused.
fn open(ctx: &Context, asked: &FileRequest) -> Result<Served, Refused> {
    let image = ctx.images.of(&asked.machine).ok_or(Refused::NoImage)?;
    let path = asked.path.trim_start_matches('/');
    let class = class(path, image.boot_file());
    if class == Class::Never {
        return Err(Refused::NotFound);
    }
    if let Some(text) =
        rendered(ctx, &image, Page { machine: &asked.machine, path, url: &asked.url })?
    {
        return Ok(Served::Text(text));
    }
    let file = image.file(path).ok_or(Refused::NotFound)?;
    if class == Class::Install {
        admit(ctx, asked)?;
    }
    let tree = Arc::clone(image.tree());
    Ok(Served::File { root: image.dir(), name: file.name(), file, tree })
}

/// What may be a template, for a machine.
#[derive(Clone, Copy)]
pub(crate) struct Page<'a> {
    pub(crate) machine: &'a Machine,
    /// Where it is in the image.
    pub(crate) path: &'a str,
    /// Where the machine reaches this server.
    pub(crate) url: &'a str,
}

/// Renders the template of a path, if there is one.
pub(crate) fn rendered(
    ctx: &Context,
    image: &Image,
    page: Page<'_>,
) -> Result<Option<String>, Refused> {
    let Page { machine, path, url } = page;
    let Some((name, template)) = image.template(path) else { return Ok(None) };
    let cluster = ctx.cluster.get().ok_or(Refused::NotReady)?;
    let due = installs(machine, ctx.now());
    let url = match due {
        Some(repave) => {
            let key = ctx.key.get().ok_or(Refused::NotReady)?;
            format!("{url}/c/{}", token(&key, machine, repave))
        }
        None => url.to_owned(),
    };
    let agent_config_json = config_json(machine, &cluster, &url);
    let apiserver_url = &cluster.apiserver_url;
    let variables = Variables {
        machine,
        installs: due,
        serve_url: &url,
        apiserver_url,
        agent_config_json: &agent_config_json,
    };
    Ok(Some(render(&name, &template, &variables)?))
}

/// Whether the client is the installer of the pending installation.
fn admit(ctx: &Context, asked: &FileRequest) -> Result<(), Refused> {
    let token = match &asked.proof {
        Proof::Address => {
            return installs(&asked.machine, ctx.now()).map(drop).ok_or(Refused::NotDue);
        }
        Proof::Token(None) => return Err(Refused::NotDue),
        Proof::Token(Some(token)) => token,
    };
    let key = ctx.key.get().ok_or(Refused::NotReady)?;
    match token_of(&key, &asked.machine, token, ctx.now()) {
        TokenOf::Due(_) => Ok(()),
        TokenOf::Awaited => Err(Refused::StaleCache),
        // Installers do not come again after a refusal.
        TokenOf::Done | TokenOf::None if !asked.is_live => Err(Refused::StaleCache),
        TokenOf::Done | TokenOf::None => Err(Refused::NotDue),
    }
}

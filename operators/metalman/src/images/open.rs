//! What a machine gets that asks for a path.

use super::Image;
use crate::Context;
use metal_api::Machine;
use metal_core::machine::{
    netboot::{
        access::{Class, class, is_token, token},
        agent::config_json,
        template::{Unusable, Variables, render},
    },
    operations::installs,
};
use metal_image::{Tree, tree::File};
use std::{path::PathBuf, sync::Arc};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// For whom.
    pub machine: &'a Machine,
    /// The path below the folder of the image.
    pub path: &'a str,
    /// Where the machine reaches us, without a slash at the end.
    pub url: &'a str,
    /// How it proves that it is installed now.
    pub proof: Proof<'a>,
}

/// How somebody proves that it is the installer that is due.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// By its address: a loader that asks by TFTP can show nothing else.
    Address,
    /// By the token in its URL, if that has one.
    Token(Option<&'a str>),
}

/// What it gets.
#[derive(Clone, Debug)]
pub enum Served {
    /// A file of the image.
    File {
        /// The folder in which it lies.
        root: PathBuf,
        /// Its name there.
        name: String,
        /// The file.
        file: File,
        /// The image that it is of.
        tree: Arc<Tree>,
    },
    /// A template that was rendered.
    Text(String),
}

/// Why it gets nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub enum Refused {
    /// The image is not there yet.
    #[error("the image has not been downloaded yet")]
    NoImage,
    /// There is no such file.
    #[error("no such file")]
    NotFound,
    /// It installs, and nobody has asked for that.
    #[error(
        "no installation is pending: increase spec.operations.repaveCounter of the Machine to \
         request one"
    )]
    NotDue,
    /// The cluster is not known yet, or the key of tokens.
    #[error("not ready yet")]
    NotReady,
    /// The template cannot be rendered.
    #[error(transparent)]
    Template(#[from] Unusable),
}

/// What is served for what is asked. Waits for nothing.
///
/// # Errors
///
/// Nothing is.
pub fn open(ctx: &Context, asked: &Asked<'_>) -> Result<Served, Refused> {
    let image = ctx.images.of(asked.machine).ok_or(Refused::NoImage)?;
    let path = asked.path.trim_start_matches('/');
    let class = class(path, image.boot_file());
    if class == Class::Never {
        return Err(Refused::NotFound);
    }
    if let Some(text) = rendered(ctx, &image, asked.machine, path, asked.url)? {
        return Ok(Served::Text(text));
    }
    let file = image.file(path).ok_or(Refused::NotFound)?;
    if class == Class::Install {
        admit(ctx, asked)?;
    }
    let tree = Arc::clone(image.tree());
    Ok(Served::File { root: image.dir(), name: file.name(), file, tree })
}

/// What a path is rendered to, if there is a template for it.
pub(crate) fn rendered(
    ctx: &Context,
    image: &Image,
    machine: &Machine,
    path: &str,
    url: &str,
) -> Result<Option<String>, Refused> {
    let Some((name, template)) = image.template(path) else { return Ok(None) };
    let cluster = ctx.cluster.get().ok_or(Refused::NotReady)?;
    let due = installs(machine);
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

/// Whether whoever asks is the installer that is due.
fn admit(ctx: &Context, asked: &Asked<'_>) -> Result<(), Refused> {
    let repave = installs(asked.machine).ok_or(Refused::NotDue)?;
    match asked.proof {
        Proof::Address => Ok(()),
        Proof::Token(None) => Err(Refused::NotDue),
        Proof::Token(Some(token)) => {
            let key = ctx.key.get().ok_or(Refused::NotReady)?;
            let is_ours = is_token(&key, asked.machine, repave, token);
            is_ours.then_some(()).ok_or(Refused::NotDue)
        }
    }
}

//! An image that is there, for machines that are only said to be installed.

use crate::{
    cluster::{Cluster, unique},
    stack::OciRegistry,
};
use anyhow::Result;
use metal_image::testing::archive;
use std::fs;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const IMAGE: &str = "os:1";

/// An image in a registry of its own.
#[derive(Debug)]
pub struct Image {
    /// Its reference.
    pub name: String,
    _registry: OciRegistry,
}

impl Image {
    /// Starts the registry, and pushes an image from which nothing could be booted.
    ///
    /// # Errors
    ///
    /// If the registry does not start, or refuses it.
    pub async fn new(cluster: &Cluster) -> Result<Self> {
        let folder = cluster.scratch().join(unique("registry"));
        fs::create_dir_all(&folder)?;
        let registry = OciRegistry::start(&folder).await?;
        let files: [(&str, &[u8]); 1] = [("disk/vmlinuz", b"a kernel")];
        registry.push(IMAGE, &[(LAYER, &archive(&files))]).await?;
        Ok(Self { name: registry.image(IMAGE), _registry: registry })
    }
}

//! The flags of every binary that pulls images.

use crate::{
    AllowList, Registries,
    reference::MalformedReference,
    registry::{self, TlsError},
};
use clap::Args;
use std::{io, path::PathBuf};
use tokio::fs;

/// Which registries, and how to access them; flatten this into the arguments of a binary.
#[derive(Args, Clone, Debug, Default)]
pub struct RegistryArgs {
    /// OCI registries that images may be pulled from; replaces the default [default: ghcr.io]
    #[arg(long, value_delimiter = ',', value_name = "HOST,..")]
    pub allowed_registries: Vec<String>,
    /// OCI registries to access by plain HTTP; those on localhost always are
    #[arg(long, value_delimiter = ',', value_name = "HOST,..")]
    pub insecure_registries: Vec<String>,
    /// PEM file with certificate authorities for OCI registries, in addition to those of the system
    #[arg(long, value_name = "FILE")]
    pub registry_ca_path: Option<PathBuf>,
}

/// A flag that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArgsError {
    /// The name of a registry is invalid.
    #[error("--{flag}")]
    Registry {
        /// The flag.
        flag: &'static str,
        /// What is wrong.
        source: MalformedReference,
    },
    /// The file cannot be read.
    #[error("--registry-ca-path {path}")]
    File {
        /// The value of the flag.
        path: String,
        /// The reason.
        source: io::Error,
    },
    /// What the file contains cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl RegistryArgs {
    /// The registries that images may be pulled from.
    ///
    /// # Errors
    ///
    /// If the name of a registry is invalid.
    pub fn allowed(&self) -> Result<AllowList, ArgsError> {
        AllowList::new(self.allowed_registries.iter().map(String::as_str))
            .map_err(|source| ArgsError::Registry { flag: "allowed-registries", source })
    }

    /// The registries, accessed as the flags say.
    ///
    /// # Errors
    ///
    /// If the name of a registry is invalid, or the file of authorities cannot be used.
    pub async fn registries(&self) -> Result<Registries, ArgsError> {
        let insecure = self.insecure_registries.iter().filter(|text| !text.is_empty());
        let insecure = insecure
            .map(|text| text.parse())
            .collect::<Result<_, _>>()
            .map_err(|source| ArgsError::Registry { flag: "insecure-registries", source })?;
        let authorities = match &self.registry_ca_path {
            Some(path) => fs::read(path)
                .await
                .map_err(|source| ArgsError::File { path: path.display().to_string(), source })?,
            None => vec![],
        };
        let config = registry::Config { insecure, authorities, ..registry::Config::default() };
        Ok(Registries::new(&config)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unusable_flag_is_named() {
        let names = || vec!["http://a".to_owned()];
        let args = RegistryArgs { allowed_registries: names(), ..RegistryArgs::default() };
        assert_eq!(args.allowed().unwrap_err().to_string(), "--allowed-registries");
        let args = RegistryArgs { insecure_registries: names(), ..RegistryArgs::default() };
        assert_eq!(error_of(&args).await, "--insecure-registries");
        let missing = Some("/nowhere/ca.crt".into());
        let args = RegistryArgs { registry_ca_path: missing, ..RegistryArgs::default() };
        assert_eq!(error_of(&args).await, "--registry-ca-path /nowhere/ca.crt");
    }

    #[tokio::test]
    async fn an_empty_flag_is_no_flag() {
        let empty = || vec![String::new()];
        let args = RegistryArgs {
            allowed_registries: empty(),
            insecure_registries: empty(),
            registry_ca_path: None,
        };
        assert_eq!(args.allowed().unwrap().to_string(), "ghcr.io");
        assert!(args.registries().await.is_ok());
    }

    async fn error_of(args: &RegistryArgs) -> String {
        args.registries().await.err().expect("it is refused").to_string()
    }
}

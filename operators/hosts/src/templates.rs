//! Kickstart templates: files that the operator of the server provides, or the built-in one.

use metal_core::{boot_token::kickstart, template::LARGEST};
use std::{borrow::Cow, io, path::PathBuf};
use tokio::io::AsyncReadExt;

/// Where templates are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Templates(Option<PathBuf>);

/// There is no such template.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Missing {
    /// There is no file.
    #[error("there is no template {0}: --templates-dir has no file {0}.ks.tmpl")]
    NotFound(String),
    /// It cannot be used.
    #[error("could not load template {0}")]
    Read(String, #[source] io::Error),
    /// It is too large.
    #[error("template {0} has more than {LARGEST} bytes")]
    Large(String),
}

impl Templates {
    /// Templates of this folder.
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self(folder)
    }

    /// The template `name`, which is a name of Kubernetes and so no path.
    pub(crate) async fn read(&self, name: &str) -> Result<Cow<'static, [u8]>, Missing> {
        let built_in = Cow::Borrowed(kickstart::DEFAULT.as_bytes());
        let is_default = name == kickstart::DEFAULT_NAME;
        let Some(folder) = &self.0 else {
            return if is_default { Ok(built_in) } else { Err(Missing::NotFound(name.to_owned())) };
        };
        let file = match tokio::fs::File::open(folder.join(format!("{name}.ks.tmpl"))).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_default => {
                return Ok(built_in);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Missing::NotFound(name.to_owned()));
            }
            Err(error) => return Err(Missing::Read(name.to_owned(), error)),
        };
        let mut text = vec![];
        let read = file.take(LARGEST + 1).read_to_end(&mut text).await;
        read.map_err(|error| Missing::Read(name.to_owned(), error))?;
        let is_large = u64::try_from(text.len()).is_ok_and(|length| length > LARGEST);
        if is_large { Err(Missing::Large(name.to_owned())) } else { Ok(Cow::Owned(text)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[tokio::test]
    async fn a_template_of_the_folder_comes_before_the_built_in_one() {
        let folder = tempfile::tempdir().unwrap();
        let templates = Templates::new(Some(folder.path().to_owned()));
        assert_eq!(&*templates.read("default").await.unwrap(), kickstart::DEFAULT.as_bytes());
        assert!(matches!(templates.read("other").await, Err(Missing::NotFound(_))));
        fs::write(folder.path().join("default.ks.tmpl"), "ours").unwrap();
        fs::write(folder.path().join("other.ks.tmpl"), vec![b' '; 300_000]).unwrap();
        assert_eq!(&*templates.read("default").await.unwrap(), b"ours");
        assert!(matches!(templates.read("other").await, Err(Missing::Large(_))));
        let none = Templates::default();
        assert_eq!(&*none.read("default").await.unwrap(), kickstart::DEFAULT.as_bytes());
        assert!(matches!(none.read("other").await, Err(Missing::NotFound(_))));
    }
}

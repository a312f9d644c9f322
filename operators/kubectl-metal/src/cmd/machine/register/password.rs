//! The password of a BMC: read from a file, never from the command line, which others can see.

use crate::{MANAGER, operations::REQUEST};
use anyhow::{Context, Result, bail};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use std::{
    fmt,
    fs::File,
    io::{self, IsTerminal, Read},
    path::Path,
};
use tokio::time::timeout;

/// The key of the password in its Secret.
pub(super) const KEY: &str = "password";

/// Bytes of a password; more is another file.
const MAX: u64 = 1024;

/// A password, which nothing prints.
pub(crate) struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Password {
    /// The content of a file, without a final newline.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is no password.
    pub(crate) fn of_file(path: &Path) -> Result<Self> {
        let read = File::open(path).map_err(Into::into).and_then(Self::read);
        read.with_context(|| format!("--redfish-password-file {}", path.display()))
    }

    /// What comes from standard input, without a final newline.
    ///
    /// # Errors
    ///
    /// If it is a terminal, which would show it, or no password.
    pub(crate) fn of_stdin() -> Result<Self> {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            bail!(
                "--redfish-password-stdin: a terminal would show it; pipe it, or give \
                 --redfish-password-file"
            );
        }
        Self::read(stdin.lock()).context("--redfish-password-stdin")
    }

    fn read(from: impl Read) -> Result<Self> {
        let mut bytes = vec![];
        from.take(MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX {
            bail!("more than {MAX} bytes are no password");
        }
        let Ok(mut text) = String::from_utf8(bytes) else { bail!("it is no UTF-8") };
        let length = text.strip_suffix('\n').map(|it| it.strip_suffix('\r').unwrap_or(it).len());
        text.truncate(length.unwrap_or(text.len()));
        if text.is_empty() || text.contains(['\n', '\r', '\0']) {
            bail!("it is to hold the password alone, on one line");
        }
        Ok(Self(text))
    }

    /// Stores it where metalman reads it.
    ///
    /// # Errors
    ///
    /// If it is refused, or somebody else has stored another one there.
    pub(crate) async fn store(&self, client: &Client, namespace: &str, name: &str) -> Result<()> {
        let mut secret = Secret::default();
        secret.metadata.name = Some(name.to_owned());
        secret.data = Some([(KEY.to_owned(), ByteString(self.0.clone().into_bytes()))].into());
        let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
        let params = PatchParams::apply(MANAGER);
        let stored = timeout(REQUEST, secrets.patch(name, &params, &Patch::Apply(&secret))).await;
        match stored.context("the API server does not answer; the Secret may be there")? {
            Ok(_) => Ok(()),
            // The answer would not quote it, but who knows.
            Err(kube::Error::Api(refusal)) if refusal.is_conflict() => bail!(
                "somebody else has stored a password in secret {namespace}/{name}: delete it if it is \
                 not in use, or register the machine with kubectl apply"
            ),
            Err(error) => Err(error).with_context(|| format!("secret {namespace}/{name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_and_is_never_printed() {
        for (text, password) in [("a b", "a b"), ("a\n", "a"), ("a\r\n", "a"), (" a", " a")] {
            let read = Password::read(text.as_bytes()).unwrap();
            assert_eq!((read.0.as_str(), format!("{read:?}").as_str()), (password, "Password(..)"));
        }
        let long = "a".repeat(1025);
        for wrong in ["", "\n", "a\nb", "a\n\n", "a\0", &long] {
            let error = Password::read(wrong.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains('a') || error.contains("password"), "{error}");
        }
        assert!(Password::read([0xff, 0xfe].as_slice()).is_err());
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_its_flag() {
        let error = Password::of_file(Path::new("/nonexistent/p")).unwrap_err();
        assert_eq!(error.to_string(), "--redfish-password-file /nonexistent/p");
    }
}

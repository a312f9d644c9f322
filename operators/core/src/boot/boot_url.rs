//! A URL that one machine boots by iPXE, which is no Server: a Secret has the URL and the MAC address
//! of the machine.
//!
//! Whoever has such a URL may be able to install a machine, so it is shown to nobody but that machine.

use super::url::MAX_URL;
use crate::boot_token::installer::is_word;
use k8s_openapi::api::core::v1::Secret;
use metal_api::MacAddr;
use std::{fmt, str::FromStr};

/// Type of the Secrets.
pub const SECRET_TYPE: &str = "bloomery.dev/boot-url";
/// Key of the MAC address in a Secret.
pub const MAC: &str = "mac";
/// Key of the URL in a Secret.
pub const URL: &str = "url";

/// A URL of at most [`MAX_URL`] bytes of one word. Its text is not in its debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct BootUrl(String);

impl BootUrl {
    /// Its text, which belongs into an answer to the machine, and nowhere else.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BootUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BootUrl(..)")
    }
}

impl FromStr for BootUrl {
    type Err = BootUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let has_host =
            rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', ':', '?', '#']));
        if has_host && text.len() <= MAX_URL && is_word(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BootUrlError::Url)
        }
    }
}

/// Why a Secret says nothing. Its content is not in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootUrlError {
    /// It has no MAC address, or no such one.
    #[error("data.mac: give the MAC address of the machine, as in aa:bb:cc:00:00:01")]
    Mac,
    /// It has no URL, or no such one.
    #[error(
        "data.url: give http:// or https:// with a host, at most {MAX_URL} characters of printable \
         ASCII, without quotation marks, dollar signs and the like"
    )]
    Url,
}

/// Reads a Secret: the machine, and what it boots.
///
/// # Errors
///
/// Says which field is wrong.
pub fn read(secret: &Secret) -> Result<(MacAddr, BootUrl), BootUrlError> {
    let text = |key: &str| {
        let value = &secret.data.as_ref()?.get(key)?.0;
        // `echo` and editors end a file with a newline.
        std::str::from_utf8(value).ok().map(str::trim_ascii)
    };
    let mac = text(MAC).and_then(|text| text.parse().ok()).ok_or(BootUrlError::Mac)?;
    Ok((mac, text(URL).ok_or(BootUrlError::Url)?.parse()?))
}

/// Removes everything that [`read`] does not need, and values that are too large to be usable.
pub fn prune(secret: &mut Secret) {
    let data = secret.data.take().unwrap_or_default();
    let is_kept = |key: &str| key == MAC || key == URL;
    let data = data.into_iter().filter(|(key, value)| is_kept(key) && value.0.len() <= 2 * MAX_URL);
    secret.data = Some(data.collect());
    secret.string_data = None;
    crate::trim_metadata::trim(secret);
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    const GOOD: &str = "https://hosts.example.org/api/ipxe/metal_ipxe_1";
    const MACHINE: &str = "02:00:00:00:00:01";

    #[test]
    fn only_a_url_that_is_one_word_and_fits_into_an_option_is_one() {
        let long = format!("http://h/{}", "a".repeat(MAX_URL - 9));
        for good in [GOOD, "http://[fd00::1]:8080/a?b=c", &long] {
            assert_eq!(good.parse::<BootUrl>().unwrap().as_str(), good);
        }
        let too_long = format!("{long}a");
        for bad in [
            "",
            "http://",
            "http:///x",
            "https://:1/",
            "ftp://h/",
            "tftp://h/x",
            "//h/x",
            "http://h/a b",
            "http://h/\u{1b}",
            "http://h/é",
            "http://h/${uuid}",
            "http://h/\n#!ipxe",
            &too_long,
        ] {
            assert_eq!(bad.parse::<BootUrl>(), Err(BootUrlError::Url), "{bad:?}");
        }
    }

    #[test]
    fn a_secret_is_read_and_what_is_wrong_with_it_is_said_without_its_content() {
        let (mac, url) = read(&secret(&format!("{MACHINE}\n"), &format!("{GOOD}\n"))).unwrap();
        assert_eq!((mac.to_string().as_str(), url.as_str()), (MACHINE, GOOD));
        assert!(!format!("{url:?}").contains("metal_ipxe"));
        assert_eq!(read(&Secret::default()), Err(BootUrlError::Mac));
        assert_eq!(read(&secret("02:00", GOOD)), Err(BootUrlError::Mac));
        let error = read(&secret(MACHINE, "https://h/metal_ipxe_1 ;")).unwrap_err();
        assert_eq!(error, BootUrlError::Url);
        assert!(error.to_string().starts_with("data.url: ") && !error.to_string().contains("_1"));
    }

    #[test]
    fn a_large_secret_is_kept_as_little_and_a_large_value_is_not_cut_to_a_usable_one() {
        let mut large = secret(MACHINE, &format!("{GOOD}{}", "a".repeat(100_000)));
        let other = ("other".to_owned(), ByteString(vec![0; 100_000]));
        large.data.as_mut().unwrap().extend([other]);
        prune(&mut large);
        let data = large.data.as_ref().unwrap();
        assert_eq!(data.keys().collect::<Vec<_>>(), [MAC]);
        assert_eq!(read(&large), Err(BootUrlError::Url));
        let mut small = secret(MACHINE, GOOD);
        prune(&mut small);
        assert!(read(&small).is_ok());
    }

    fn secret(mac: &str, url: &str) -> Secret {
        let pair = |key: &str, value: &str| (key.to_owned(), ByteString(value.as_bytes().to_vec()));
        Secret { data: Some([pair(MAC, mac), pair(URL, url)].into()), ..Secret::default() }
    }
}

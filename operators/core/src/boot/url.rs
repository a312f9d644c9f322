//! URLs of layers: how they are written into boot configs, and read back.

use std::fmt::Write;

/// Longest URL that DHCPv4 can carry to firmware: the longest value of one option. Firmware does
/// not join split options (RFC 3396).
pub const MAX_URL: usize = 255;

/// Paths of the report registry for whoever has a token: the prefix of all its routes.
pub const WITH_TOKEN: &str = "/t/{token}";
/// Path of the media that BMCs read, as a route.
pub const MEDIUM: &str = "/media/{file}";

/// URL of the report registry for whoever has this token.
pub fn reports(registry_url: &str, token: &str) -> String {
    registry_url.to_owned() + &WITH_TOKEN.replace("{token}", token)
}

/// URL of the medium that this token opens.
pub fn medium(service_url: &str, token: &str) -> String {
    service_url.to_owned() + &MEDIUM.replace("{file}", &format!("{token}.iso"))
}

/// URL of a layer for iPXE, in ironcore's format.
pub fn layer(service_url: &str, image: &str, digest: &str, version: &str) -> String {
    let mut url = format!("{}/image?imageName=", service_url.trim_end_matches('/'));
    encode(&mut url, image);
    url.push_str("&layerDigest=");
    encode(&mut url, digest);
    url.push_str("&version=");
    encode(&mut url, version);
    url
}

/// URL of a unified kernel image for firmware, which relies on the extension.
pub fn uki(image_server_url: &str, image: &str, digest: &str) -> String {
    let digest = digest.replacen(':', "-", 1);
    format!("{}/{image}/{digest}.efi", image_server_url.trim_end_matches('/'))
}

/// Whether a URL of [`layer`] or [`uki`] was made with this base.
pub fn is_below(url: &str, base: &str) -> bool {
    let path = url.strip_prefix(base.trim_end_matches('/'));
    // For a layer, its path follows the base directly.
    path.is_some_and(|path| path.starts_with('/') && path.find("/image?").is_none_or(|at| at == 0))
}

/// A URL of [`uki`] with this token in place of its own. Any other URL is returned unchanged.
///
/// The token comes before the image, so that agents find it in the URL that they were loaded from:
/// `/t/TOKEN/`, as in the URL of an ignition.
pub fn with_token(uki: &str, token: &str) -> String {
    let Some((before, path)) = split(uki).filter(|(_, path)| uki_path(path).is_some()) else {
        return uki.to_owned();
    };
    format!("{before}t/{token}/{}", split_token(path).1)
}

/// Splits the part of a path after `/httpboot/` into its token, if it has one, and the rest.
pub fn split_token(path: &str) -> (Option<&str>, &str) {
    match path.strip_prefix("t/").and_then(|rest| rest.split_once('/')) {
        Some((token, rest)) => (Some(token), rest),
        None => (None, path),
    }
}

/// Splits a URL before the part that names the image; for URLs of [`uki`].
fn split(url: &str) -> Option<(&str, &str)> {
    let (_, rest) = url.split_once("://")?;
    let path = rest.split_once('/')?.1;
    let path = path.split_once("httpboot/").map_or(path, |(_, rest)| rest);
    Some((url.strip_suffix(path)?, path))
}

/// The image and digest in a URL of [`layer`] or [`uki`], whatever its prefix.
///
/// They are not validated; `None` for any other URL.
pub fn named(url: &str) -> Option<(String, String)> {
    if let Some((_, query)) = url.split_once("/image?") {
        let value = |key: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(name, _)| *name == key).map(|(_, value)| decode(value)).next()?
        };
        let image = value("imageName")?;
        let image = image.strip_suffix(".efi").unwrap_or(&image).to_owned();
        return Some((image, value("layerDigest")?));
    }
    uki_path(split(url)?.1)
}

/// The image and digest in the part of a path after `/httpboot/`.
pub fn uki_path(path: &str) -> Option<(String, String)> {
    let (image, file) = split_token(path).1.rsplit_once('/')?;
    let (algorithm, hex) = file.strip_suffix(".efi").unwrap_or(file).split_once('-')?;
    Some((image.to_owned(), format!("{algorithm}:{hex}")))
}

/// Encodes like Go's `url.QueryEscape`.
fn encode(url: &mut String, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                url.push(char::from(byte));
            }
            b' ' => url.push('+'),
            _ => write!(url, "%{byte:02X}").expect("a String takes everything"),
        }
    }
}

fn decode(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match byte {
            b'%' => {
                let (&[high, low], after) = rest.split_first_chunk()?;
                let digit = |byte: u8| char::from(byte).to_digit(16);
                bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
                rest = after;
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = "ghcr.io/a/b";
    const DIGEST: &str = "sha256:e3b0";

    #[test]
    fn layers_have_the_known_form_and_are_read_back() {
        let url = layer("http://boot:8082/", IMAGE, DIGEST, "1.2+3");
        let form = "http://boot:8082/image?imageName=ghcr.io%2Fa%2Fb\
                    &layerDigest=sha256%3Ae3b0&version=1.2%2B3";
        assert_eq!(url, form);
        assert_eq!(named(&url), Some((IMAGE.to_owned(), DIGEST.to_owned())));
    }

    #[test]
    fn ukis_have_the_known_form_and_are_read_back_from_behind_any_base() {
        let bases = ["http://boot:8083/httpboot", "https://boot/x/httpboot/", "https://images"];
        for base in bases {
            let url = uki(base, IMAGE, DIGEST);
            assert!(url.ends_with("/ghcr.io/a/b/sha256-e3b0.efi"), "{url}");
            assert_eq!(named(&url), Some((IMAGE.to_owned(), DIGEST.to_owned())), "{url}");
        }
    }

    #[test]
    fn a_uki_may_carry_a_token_and_names_the_same_image() {
        let named_by = Some((IMAGE.to_owned(), DIGEST.to_owned()));
        for base in ["http://boot:8083/httpboot", "https://boot/x/httpboot/", "https://images"] {
            let plain = uki(base, IMAGE, DIGEST);
            let one = with_token(&plain, "ONE");
            let base = base.trim_end_matches('/');
            assert_eq!(one, format!("{base}/t/ONE/ghcr.io/a/b/sha256-e3b0.efi"));
            assert_eq!(named(&one), named_by, "{one}");
            assert_eq!(with_token(&one, "TWO"), with_token(&plain, "TWO"));
        }
        assert_eq!(split_token("t/ONE/ghcr.io/a/b/c"), (Some("ONE"), "ghcr.io/a/b/c"));
        assert_eq!(split_token("ghcr.io/t/b/c"), (None, "ghcr.io/t/b/c"));
        for url in ["", "http://example.com/uki.efi", "http://example.com", "tftp:uki"] {
            assert_eq!(with_token(url, "ONE"), url);
        }
    }

    #[test]
    fn other_urls_name_nothing() {
        let others = [
            "",
            "http://example.com",
            "http://example.com/",
            "http://example.com/vmlinuz",
            "http://boot/image?imageName=a",
            "http://boot/image?imageName=%&layerDigest=b",
            "http://boot/image?imageName=%zz&layerDigest=b",
            "http://boot/image?imageName=%ff&layerDigest=b",
        ];
        for url in others {
            assert_eq!(named(url), None, "{url}");
        }
    }
}

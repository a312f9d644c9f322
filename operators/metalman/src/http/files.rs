//! Files of images, and templates that are rendered for the machine that asks.

use super::{Requester, Unserved, install::has_begun};
use crate::{
    Context,
    confirm::Confirmed,
    image_files::{FileRequest, Proof, Served, opened},
};
use axum::{
    body::Body,
    extract::{Request, State},
    http::{Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use metal_api::Machine;
use metal_image::respond;
use metal_machine::provisioning::access::{Class, class};
use std::sync::Arc;

/// Content type of rendered templates.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// Serves the file at a path.
pub(super) async fn file(
    State(ctx): State<Arc<Context>>,
    requester: Requester,
    request: Request,
) -> Response {
    let (Parts { method, uri, headers, .. }, _) = request.into_parts();
    if !matches!(method, Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    let Confirmed { machine, is_live } = match requester.confirmed(&ctx).await {
        Ok(confirmed) => confirmed,
        Err(refused) => return *refused,
    };
    let Some(url) = requester.url(&ctx) else {
        return super::unavailable("the URL of this server is unknown");
    };
    let proof = Proof::Token(requester.token.clone());
    let Some(path) = decoded(uri.path()) else {
        return (StatusCode::NOT_FOUND, "no such file\n").into_response();
    };
    let asked =
        FileRequest { machine: Arc::clone(&machine), is_live, path: path.clone(), url, proof };
    match opened(&ctx, asked).await {
        Ok(Served::Text(text)) => {
            ([(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, "no-store")], text)
                .into_response()
        }
        Ok(Served::File { tree, file, .. }) => match tree.open(file).await {
            Ok(content) => {
                if method == Method::GET && is_of_installer(&ctx, &machine, &path) {
                    has_begun(&ctx, &machine).await;
                }
                let response = respond(&method, &headers, &content, type_of(uri.path()));
                response.map(Body::from_stream)
            }
            Err(error) => {
                tracing::warn!(%error, path = uri.path(), "could not read a file of an image");
                super::unavailable("the file could not be read")
            }
        },
        Err(why) => {
            Unserved { machine: &machine, path: uri.path(), why }.answered(&ctx, &requester)
        }
    }
}

/// A path without percent-encoding (RFC 3986, section 2.1), decoded once: what is encoded twice names no file.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let digit = |byte: u8| char::from(byte).to_digit(16);
                u8::try_from((digit(digits[0])? << 4) | digit(digits[1])?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Whether a file is served only to the installer of the pending installation, which has proved itself.
fn is_of_installer(ctx: &Context, machine: &Machine, path: &str) -> bool {
    let image = ctx.images.of(machine);
    let boot_file = image.as_ref().and_then(|image| image.boot_file());
    class(path, boot_file) == Class::Install
}

/// The content type by file name extension; firmware checks the type of a boot file, which distributions call
/// `BOOTX64.EFI` as well.
fn type_of(path: &str) -> &'static str {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        _ if extension.eq_ignore_ascii_case("efi") => "application/efi",
        "cfg" | "ipxe" | "lst" | "txt" | "yaml" => TEXT,
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_file_has_the_type_that_firmware_asks_for_however_it_is_written() {
        for path in ["/shimx64.efi", "/EFI/BOOT/BOOTX64.EFI"] {
            assert_eq!(type_of(path), "application/efi", "{path}");
        }
        assert_eq!(type_of("/grub.cfg"), TEXT);
        assert_eq!(type_of("/efi"), "application/octet-stream");
    }
}

"""Writes an OCI image layout: layout.py LAYOUT TAG KIND ARCHITECTURE=FOLDER..

Each folder holds the files of that kind of image, which become its layers, and the index names the
architectures. The same folders give the same bytes.
"""

import hashlib
import json
import pathlib
import shutil
import sys

TAR = "application/vnd.oci.image.layer.v1.tar"
KINDS = {
    # The media types that boot-operator and hosts look for (operators/image/src/manifest/mod.rs).
    "discovery": {
        "vmlinuz": "application/vnd.ironcore.image.kernel",
        "initrd": "application/vnd.ironcore.image.initramfs",
        "uki.efi": "application/vnd.ironcore.image.uki",
    },
    # What metalman serves: the folder /disk. The disk image is a layer of its own, so that what
    # boots can be replaced without it.
    "netboot": {"disk.tar": TAR, "boot.tar": TAR},
    # What hosts serves. The digest of the disk image is what the installer verifies.
    "hosts": {
        "vmlinuz": "application/vnd.ironcore.image.kernel",
        "initrd": "application/vnd.ironcore.image.initramfs",
        "disk.img": "application/vnd.bloomery.image.disk",
    },
}
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Layout:
    """A folder with blobs by digest."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.blobs = self.folder / "blobs" / "sha256"
        self.blobs.mkdir(parents=True)

    def add_file(self, media_type, path):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        shutil.copyfile(path, self.blobs / digest)
        return descriptor(media_type, digest, path.stat().st_size)

    def add(self, media_type, document):
        content = text(document)
        digest = hashlib.sha256(content).hexdigest()
        (self.blobs / digest).write_bytes(content)
        return descriptor(media_type, digest, len(content))


def descriptor(media_type, digest, size):
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}


def text(document):
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def image(layout, files, architecture, folder):
    """Adds the image of one architecture, and returns what the index says of it."""
    layers = [layout.add_file(kind, folder / name) for name, kind in files.items()]
    platform = {"architecture": architecture, "os": "linux"}
    config = platform | {
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.add(CONFIG, config),
        "layers": layers,
    }
    return layout.add(MANIFEST, manifest) | {"platform": platform}


def main(folder, tag, kind, *images):
    layout = Layout(folder)
    parts = (image.split("=", 1) for image in sorted(images))
    manifests = [
        image(layout, KINDS[kind], architecture, pathlib.Path(path)) for architecture, path in parts
    ]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    top = layout.add(INDEX, index)
    named = top | {"annotations": {"org.opencontainers.image.ref.name": tag}}
    (layout.folder / "index.json").write_bytes(
        text({"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]})
    )
    (layout.folder / "oci-layout").write_bytes(text({"imageLayoutVersion": "1.0.0"}))
    print(top["digest"])


main(*sys.argv[1:])

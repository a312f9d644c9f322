"""Writes an OCI image layout: layout.py LAYOUT TAG ARCHITECTURE=FOLDER..

Each folder holds `vmlinuz`, `initrd` and `uki.efi`. The layers have the media types that
boot-operator looks for (operators/image/src/manifest/mod.rs), and the index names the architectures.
The same folders give the same bytes.
"""

import hashlib
import json
import pathlib
import shutil
import sys

LAYERS = {
    "vmlinuz": "application/vnd.ironcore.image.kernel",
    "initrd": "application/vnd.ironcore.image.initramfs",
    "uki.efi": "application/vnd.ironcore.image.uki",
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


def image(layout, architecture, folder):
    """Adds the image of one architecture, and returns what the index says of it."""
    layers = [layout.add_file(kind, folder / name) for name, kind in LAYERS.items()]
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


def main(folder, tag, *images):
    layout = Layout(folder)
    parts = (image.split("=", 1) for image in sorted(images))
    manifests = [image(layout, architecture, pathlib.Path(path)) for architecture, path in parts]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    top = layout.add(INDEX, index)
    named = top | {"annotations": {"org.opencontainers.image.ref.name": tag}}
    (layout.folder / "index.json").write_bytes(
        text({"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]})
    )
    (layout.folder / "oci-layout").write_bytes(text({"imageLayoutVersion": "1.0.0"}))
    print(top["digest"])


main(*sys.argv[1:])

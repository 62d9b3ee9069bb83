#!/usr/bin/env python3
"""Writes a container image as an archive that `ctr images import` and `kind load image-archive` take.

No registry, no daemon, no root. For the tests; users build with the Dockerfile.

usage: mkimage.py OUT.tar NAME:TAG[,NAME:TAG...] [--entry ARG]... [--command ARG]... [--user USER] [--libraries] SRC:DST...
  SRC          a file, copied to DST: mode 0755 if it can be executed, else 0644
  @TARGET:DST  a symbolic link
  --libraries  also the shared libraries that ldd(1) names for the files
"""

import argparse
import hashlib
import io
import json
import os
import platform
import re
import stat
import subprocess
import tarfile

MEDIA = "application/vnd.oci.image."
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ")[1])
    parser.add_argument("out")
    parser.add_argument("names")
    parser.add_argument("--entry", action="append", default=[])
    parser.add_argument("--command", action="append", default=[])
    parser.add_argument("--user", default="")
    parser.add_argument("--libraries", action="store_true")
    parser.add_argument("items", nargs="*")
    return parser.parse_intermixed_args()


def libraries(files):
    """What the dynamic linker would load for these files, at the places where it would look."""
    found = {}
    for file in files:
        # Static programs have none, and ldd says so by failing.
        output = subprocess.run(["ldd", file], capture_output=True, text=True, check=False).stdout
        for path in re.findall(r"(/\S+) \(0x", output):
            found[path] = path
    return found


def member(name, **fields):
    # Time and owner stay 0, so that the same content has the same digest.
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def layer(contents):
    """One uncompressed layer with these files, {destination: source}."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as archive:
        directories = {"tmp"}
        archive.addfile(member("tmp", type=tarfile.DIRTYPE, mode=0o1777))
        for destination, source in sorted(contents.items()):
            name = destination.strip("/")
            parts = name.split("/")
            for depth in range(1, len(parts)):
                parent = "/".join(parts[:depth])
                if parent not in directories:
                    directories.add(parent)
                    archive.addfile(member(parent, type=tarfile.DIRTYPE, mode=0o755))
            if source.startswith("@"):
                archive.addfile(member(name, type=tarfile.SYMTYPE, linkname=source[1:]))
                continue
            source = os.path.realpath(source)
            mode = 0o755 if os.stat(source).st_mode & stat.S_IXUSR else 0o644
            with open(source, "rb") as file:
                archive.addfile(member(name, mode=mode, size=os.path.getsize(source)), file)
    return data.getvalue()


def write(out, names, config, data):
    blobs = {}

    def blob(content):
        digest = hashlib.sha256(content).hexdigest()
        blobs[digest] = content
        return {"digest": f"sha256:{digest}", "size": len(content)}

    layer_blob = blob(data)
    config = {
        "architecture": ARCHITECTURE,
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer_blob["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MEDIA + "manifest.v1+json",
        "config": {"mediaType": MEDIA + "config.v1+json", **blob(json.dumps(config).encode())},
        "layers": [{"mediaType": MEDIA + "layer.v1.tar", **layer_blob}],
    }
    manifest_blob = blob(json.dumps(manifest).encode())
    index = {
        "schemaVersion": 2,
        "manifests": [
            {
                "mediaType": MEDIA + "manifest.v1+json",
                **manifest_blob,
                "platform": {"architecture": ARCHITECTURE, "os": "linux"},
                "annotations": {"io.containerd.image.name": name},
            }
            for name in names
        ],
    }
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode()}
    files |= {f"blobs/sha256/{digest}": content for digest, content in blobs.items()}
    with tarfile.open(out + ".tmp", "w") as archive:
        for name, content in files.items():
            archive.addfile(member(name, size=len(content), mode=0o644), io.BytesIO(content))
    os.replace(out + ".tmp", out)


def main():
    given = arguments()
    contents = {}
    for item in given.items:
        source, destination = item.rsplit(":", 1)
        contents[destination] = source
    if given.libraries:
        files = [source for source in contents.values() if not source.startswith("@")]
        contents = libraries(files) | contents
    data = layer(contents)
    config = {
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "Entrypoint": given.entry or None,
        "Cmd": given.command or None,
        "WorkingDir": "/",
        "User": given.user,
    }
    write(given.out, given.names.split(","), config, data)
    print(f"{given.names}: {len(data) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

"""Packs the program as a Python wheel: pip puts it into the environment's bin.

Usage: wheel.py TREE VERSION GLIBC MACHINE OUT. The same files give the same bytes.
"""

import base64
import hashlib
import os
import sys
import time
import zipfile
from pathlib import Path


def main() -> None:
    tree, version, glibc, machine, out = sys.argv[1:]
    tag = f"py3-none-manylinux_{glibc}_{machine}"
    info = f"leasehold-{version}.dist-info"
    metadata = (
        "Metadata-Version: 2.1\n"
        "Name: leasehold\n"
        f"Version: {version}\n"
        "Summary: Runs WebAssembly jobs only while the etcd lock that each declares is held\n"
        "License: MIT OR Apache-2.0\n"
        "Requires-Python: >=3.7\n"
        "Description-Content-Type: text/markdown\n\n"
    ).encode() + Path(tree, "doc/README.md").read_bytes()
    wheel = f"Wheel-Version: 1.0\nGenerator: scripts/dist\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    data = f"leasehold-{version}.data"
    files = {
        f"{data}/scripts/leasehold": Path(tree, "bin/leasehold").read_bytes(),
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": wheel,
    }
    for page in sorted(Path(tree, "man/man1").iterdir()):
        files[f"{data}/data/share/man/man1/{page.name}"] = page.read_bytes()
    for name in ("LICENSE-APACHE", "LICENSE-MIT"):
        files[f"{info}/licenses/{name}"] = Path(tree, "doc", name).read_bytes()
    files[f"{info}/RECORD"] = record(files, f"{info}/RECORD")
    # A zip file knows no time before 1980 and no odd second.
    epoch = max(int(os.environ["SOURCE_DATE_EPOCH"]), 315532800)
    when = time.gmtime(epoch)[:6]
    with zipfile.ZipFile(Path(out, f"leasehold-{version}-{tag}.whl"), "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, when)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            mode = 0o755 if "/scripts/" in name else 0o644
            entry.external_attr = (0o100000 | mode) << 16
            archive.writestr(entry, content, compresslevel=9)


def record(files: dict[str, bytes], own: str) -> bytes:
    """The list of files with their digests, which pip checks."""
    lines = []
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}\n")
    lines.append(f"{own},,\n")
    return "".join(lines).encode()


main()

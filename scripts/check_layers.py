#!/usr/bin/env python3
"""check_layers.py [ROOT]

Holds src/ against layers.txt: a file of src/<folder> may include "<folder>/..." and the folders that its line names, and
nothing else in quotes. Also: every folder of src has a line, every line a folder, the arrows have no circle, and each
quoted include names a file. Prints each breach with its place; the last line is "N passed, N failed", one test a folder.
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
SOURCES = {".h", ".cpp", ".inc"}


def read_layers(path):
    """folder -> the set of folders it may include, and the complaints about the file itself."""
    layers, wrong = {}, []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        folder, colon, allowed = line.partition(":")
        if not colon or folder in layers:
            wrong.append(f"{path.name}:{number}: expected one line \"folder: folder folder ...\" for each folder")
            continue
        unknown = [name for name in allowed.split() if name not in layers]
        if unknown:  # Lower folders stand first, so that the file itself shows there is no circle.
            wrong.append(f"{path.name}:{number}: {folder} names {', '.join(unknown)}, which no earlier line declares")
        layers[folder] = set(allowed.split())
    return layers, wrong


def breaches(source, folder, allowed, src):
    for number, line in enumerate(source.read_text(errors="replace").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        included = match.group(1)
        place = f"{source.relative_to(src.parent)}:{number}"
        target = included.partition("/")[0]
        if "/" not in included or not (src / included).is_file():
            yield f"{place}: \"{included}\" is no file of src/: say it as \"folder/file.h\", or in <> if it is a library's"
        elif target != folder and target not in allowed:
            yield f"{place}: {folder} may not include \"{included}\" (layers.txt lets it see: {' '.join(sorted(allowed)) or 'nothing'})"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)
    src = root / "src"
    layers, wrong = read_layers(root / "layers.txt")
    results = {"layers.txt": wrong}
    for folder in sorted(path.name for path in src.iterdir() if path.is_dir()):
        if folder not in layers:
            results[folder] = [f"src/{folder} has no line in layers.txt"]
            continue
        sources = sorted(path for path in (src / folder).rglob("*") if path.suffix in SOURCES)
        results[folder] = [found for path in sources for found in breaches(path, folder, layers[folder], src)]
    for folder in layers.keys() - results.keys():
        results[folder] = [f"layers.txt names {folder}, but there is no src/{folder}"]

    for found in results.values():
        for line in found:
            print(line)
    failed = sum(bool(found) for found in results.values())
    print(f"{len(results) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()

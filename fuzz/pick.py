#!/usr/bin/env python3
"""Chooses what a fuzzer found for the corpus that tests replay: fuzz/pick.py TARGET

Keeps testdata/corpora/TARGET's own files and adds, up to 48 files, those of fuzz/corpus/TARGET that reach most of what no file
before them reaches. Build the fuzzer first: cargo fuzz build TARGET
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

# The tests allow 60: room for what a fault leaves behind.
FILES_MAX = 48


def reached(fuzzer, folders):
    """Each file's features, as the control file of libFuzzer's merge lists them."""
    with tempfile.TemporaryDirectory() as scratch:
        control, out = pathlib.Path(scratch, "control"), pathlib.Path(scratch, "out")
        out.mkdir()
        flags = ["-set_cover_merge=1", "-use_counters=0", f"-merge_control_file={control}"]
        subprocess.run([fuzzer, *flags, out, *folders], check=True, capture_output=True)
        lines = control.read_text().splitlines()
    count = int(lines[0])
    files = [pathlib.Path(line.split()[0]) for line in lines[2 : 2 + count]]
    words = (line.split() for line in lines[2 + count :])
    return {files[int(number)]: set(features) for kind, number, *features in words if kind == "FT"}


def main(target):
    fuzz = pathlib.Path(__file__).resolve().parent
    kept, found = fuzz.parent / "testdata/corpora" / target, fuzz / "corpus" / target
    (fuzzer,) = fuzz.glob(f"target/*/release/{target}")
    features = reached(fuzzer, [kept, found])
    have = set().union(*(features.pop(file) for file in list(features) if file.parent == kept))
    before = len(have)
    for room in range(FILES_MAX - len(list(kept.iterdir()))):
        best = max(features, key=lambda file: (len(features[file] - have), -file.stat().st_size), default=None)
        if best is None or features[best] <= have:
            break
        have |= features.pop(best)
        shutil.copy(best, kept / f"found-{best.name[:12]}")
    print(f"{target}: {before} features before, {len(have)} now, in {len(list(kept.iterdir()))} files")


if __name__ == "__main__":
    main(*sys.argv[1:])

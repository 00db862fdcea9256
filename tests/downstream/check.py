#!/usr/bin/env python3
"""Uses this source tree as a user would: as a subproject, and installed.

Usage: check.py SOURCE_DIR WORK_DIR MESON

CXX and CXXFLAGS say how to compile. Nothing is downloaded.
"""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys

source, work = map(pathlib.Path, sys.argv[1:3])
meson = sys.argv[3]
flags = os.environ.get("CXXFLAGS", "")


def run(*command, **options):
    print("+", shlex.join(map(str, command)), flush=True)
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, **options)


def sources():
    listing = ["git", "-C", source, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = run(*listing, stdout=subprocess.PIPE, text=True).stdout.split("\0")
        return [name for name in names if name and (source / name).is_file()]
    except (OSError, subprocess.CalledProcessError):
        pass  # no git, or no clone: all files except build results
    files = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
    build = work.relative_to(source).parts[0] if work.is_relative_to(source) else None
    return [file for file in files if file.parts[0] not in (".git", "build", build)]


def setup(where, build, *args):
    # The linker needs some of the flags too (-stdlib=libc++), the C compiler none.
    both = [f"-Dcpp_args={flags}", f"-Dcpp_link_args={flags}"] if flags else []
    run(meson, "setup", "--wrap-mode=nodownload", *both, *args, build, where, env=environment)


environment = {key: value for key, value in os.environ.items() if key != "CXXFLAGS"}
shutil.rmtree(work, ignore_errors=True)

project = work / "project"
shutil.copytree(source / "tests" / "downstream", project)
for name in sources():
    target = project / "subprojects" / "mirakuru" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source / name, target)
# Wraps that are downloaded already replace missing packages of the system.
for path in (source / "subprojects").iterdir():
    if path.is_dir() and path.name not in ("packagefiles", "packagecache"):
        shutil.copytree(path, project / "subprojects" / path.name)

setup(project, work / "build")
run(meson, "compile", "-C", work / "build")
built = {path.name for path in (work / "build").rglob("*") if path.is_file()}
for unwanted in ("helper", "quickstart", "test_odr"):
    assert unwanted not in built, f"a user's build made {unwanted}"
run(meson, "test", "-C", work / "build", "--print-errorlogs")

prefix = work / "prefix"
without = [f"-D{part}=disabled" for part in ("tests", "examples")]
setup(
    project / "subprojects" / "mirakuru",
    work / "mirakuru",
    *without,
    f"--prefix={prefix}",
    "--libdir=lib",
)
run(meson, "install", "-C", work / "mirakuru")

if not shutil.which("pkg-config"):
    print("no pkg-config: the installed copy is not tried")
    sys.exit()
environment["PKG_CONFIG_PATH"] = str(prefix / "lib" / "pkgconfig")
compiler = [*shlex.split(os.environ["CXX"]), *shlex.split(flags), "-std=c++20"]
installed = {"mirakuru": "main.cpp"}
if (prefix / "lib" / "pkgconfig" / "mirakuru-tls.pc").exists():
    installed["mirakuru-tls"] = "tls.cpp"
for package, program in installed.items():
    query = ["pkg-config", "--cflags", "--libs", package]
    words = run(*query, env=environment, stdout=subprocess.PIPE, text=True).stdout
    executable = prefix / package
    run(*compiler, project / program, "-o", executable, *shlex.split(words))
    run(executable)

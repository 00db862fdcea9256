#!/usr/bin/env python3
"""Uses this source tree as a user would, in each way that the README names.

Usage: check.py SOURCE_DIR WORK_DIR MESON

CXX and CXXFLAGS say how to compile; Clang is tried, too, if it is there. Nothing is downloaded.

To save time, most ways compile small.cpp, and a copy of the library whose compiled form is one of
its files. The compiler alone takes main.cpp, which starts a server, and the whole library. So does
the newcomer, who has the README and no other text.
"""

import concurrent.futures
import os
import pathlib
import re
import resource
import shlex
import shutil
import subprocess
import sys

source, work = map(pathlib.Path, sys.argv[1:3])
meson = sys.argv[3]
gcc = os.environ["CXX"]
clang = shutil.which("clang++-19") or gcc
flags = {gcc: os.environ.get("CXXFLAGS", "")}
environment = {key: value for key, value in os.environ.items() if key != "CXXFLAGS"}
warnings = "-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wold-style-cast -Werror"
has_tls = shutil.which("pkg-config") and not subprocess.call(
    ["pkg-config", "--exists", "openssl >= 1.1.1"]
)
has_gtest = (
    shutil.which("pkg-config")
    and not subprocess.call(["pkg-config", "--exists", "gtest_main"])
    and "-stdlib=libc++" not in flags[gcc]  # it is built for the other library
)
has_postgres = shutil.which("initdb") or any(
    pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")
)

project = work / "project"
light = project / "subprojects" / "mirakuru"
prefix = {build: work / f"by_{build}" / "opt" / "mirakuru" for build in ("meson", "cmake")}


def run(*command, **options):
    """Returns the standard output. Two ways run at a time, so it prints it at the end."""
    options = {"env": environment, "stderr": subprocess.STDOUT, **options}
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **options
    )
    print(f"+ {shlex.join(map(str, command))}\n{done.stdout}", end="", flush=True)
    done.check_returncode()
    return done.stdout


def sources():
    listing = ["git", "-C", source, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.check_output(listing, text=True).split("\0")
        return [name for name in names if name and (source / name).is_file()]
    except (OSError, subprocess.CalledProcessError):
        pass  # no git, or no clone: all files except build results
    files = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
    build = work.relative_to(source).parts[0] if work.is_relative_to(source) else None
    return [file for file in files if file.parts[0] not in (".git", "build", build)]


def copy_tree():
    shutil.copytree(source / "tests" / "downstream", project)
    for name in sources():
        target = light / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, target)
    (light / "include/mirakuru/src.hpp").write_text("#include <mirakuru/net/socket_path.ipp>\n")
    # Wraps that are downloaded already replace missing packages of the system.
    for path in (source / "subprojects").iterdir():
        if path.is_dir() and path.name not in ("packagefiles", "packagecache"):
            shutil.copytree(path, project / "subprojects" / path.name)


def setup(where, build, *args):
    # The linker needs some of the flags too (-stdlib=libc++), the C compiler none.
    both = [f"-Dcpp_{kind}args={flags[gcc]}" for kind in ("", "link_") if flags[gcc]]
    run(meson, "setup", "--wrap-mode=nodownload", *both, *args, build, where)


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", (source / "README.md").read_text(), re.DOTALL)


def use_cmake(name, text, compiler, *options, program=None):
    """Configures a project with this text, builds it and runs its tests."""
    place = work / name
    place.mkdir()
    (place / "server_test.cpp").write_text(program or (project / "small.cpp").read_text())
    (place / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.20)\nproject({name} CXX)\n{text}"
    )
    run(
        *("cmake", "-S", place, "-B", place / "build", f"-DCMAKE_CXX_COMPILER={compiler}"),
        *("-DCMAKE_CXX_EXTENSIONS=OFF", "-Wdev", "-Werror=dev", "-Werror=deprecated", *options),
        f"-DCMAKE_CXX_FLAGS={flags.get(compiler, '')} {warnings}",
    )
    run("cmake", "--build", place / "build")
    tests = list((place / "build").glob("*_test"))
    assert place / "build" / "server_test" in tests
    for test in tests:
        run(test)
    return {path.name for path in (place / "build").rglob("*")}


def meson_subproject():
    setup(project, work / "build")
    run(meson, "compile", "-C", work / "build")
    built = {path.name for path in (work / "build").rglob("*") if path.is_file()}
    for unwanted in ("helper", "quickstart", "test_odr", "libmirakuru.a"):
        assert unwanted not in built, f"a user's build made {unwanted}"
    run(meson, "test", "-C", work / "build", "--print-errorlogs")


def meson_install():
    without = [f"-D{part}=disabled" for part in ("tests", "examples")]
    setup(light, work / "build-meson", *without, "--prefix=/opt/mirakuru", "--libdir=lib")
    run(meson, "install", "-C", work / "build-meson", "--destdir", work / "by_meson")


def cmake_install():
    build = work / "build-cmake"
    run(
        *("cmake", "-S", light, "-B", build, f"-DCMAKE_CXX_FLAGS={flags[gcc]}"),
        # Some packagers name absolute directories.
        *("-DCMAKE_INSTALL_PREFIX=/opt/mirakuru", "-DCMAKE_INSTALL_LIBDIR=/opt/mirakuru/lib"),
        "-DCMAKE_INSTALL_INCLUDEDIR=/opt/mirakuru/include",
    )
    run("cmake", "--build", build)
    run("cmake", "--install", build, env={**environment, "DESTDIR": str(work / "by_cmake")})


def cmake_after_meson_install():
    text = blocks("cmake")[1]
    if has_tls:
        text += """add_executable(tls_test server_test.cpp)
target_link_libraries(tls_test PRIVATE mirakuru::tls)
target_compile_definitions(tls_test PRIVATE WITH_TLS)
"""
    use_cmake("after_meson", text, gcc, f"-DCMAKE_PREFIX_PATH={prefix['meson']}")


def cmake_after_cmake_install():
    """Each find_package() may ask for other versions and components."""
    text = blocks("cmake")[1].replace("::compiled", "::core")
    text = text.replace("0.1 REQUIRED", "0.1.0 EXACT REQUIRED COMPONENTS core")
    text += """find_package(mirakuru 0...<1 REQUIRED COMPONENTS mirakuru compiled)
foreach(wrong "0.2" "0.0" "1" "0...<0.1" "0.1;COMPONENTS;nothing")
  find_package(mirakuru ${wrong} QUIET)
  if(mirakuru_FOUND AND NOT wrong MATCHES nothing OR mirakuru_nothing_FOUND)
    message(FATAL_ERROR "this is not ${wrong}")
  endif()
endforeach()
"""
    built = use_cmake("after_cmake", text, clang, f"-DCMAKE_PREFIX_PATH={prefix['cmake']}")
    assert "libmirakuru.a" not in built, "a user of the core compiles the rest"


def cmake_fetch_content():
    own = "-DFETCHCONTENT_FULLY_DISCONNECTED=ON", f"-DFETCHCONTENT_SOURCE_DIR_MIRAKURU={light}"
    built = use_cmake("fetch_content", blocks("cmake")[0], clang, *own)
    assert "libmirakuru.a" not in built, "a user of the headers compiles the rest"


def cmake_add_subdirectory():
    text = f"""add_subdirectory({light} mirakuru)
if(mirakuru_INSTALL OR CMAKE_CXX_STANDARD OR BUILD_TESTING)
  message(FATAL_ERROR "the subproject changes its user")
endif()
"""
    text += blocks("cmake")[1].split("\n", 1)[1].replace("::compiled", "::core")
    use_cmake("add_subdirectory", text, gcc)


def newcomer():
    """From an empty project to a test with PostgreSQL, in a few lines of the README."""
    program, text = blocks("cpp")[0], blocks("cmake")[1]
    assert len(program.splitlines()) <= 12 and len(text.splitlines()) <= 6
    shutil.copytree(prefix["cmake"], work / "whole")
    header = "include/mirakuru/src.hpp"
    shutil.copy2(source / header, work / "whole" / header)
    use_cmake("newcomer", text, gcc, f"-DCMAKE_PREFIX_PATH={work / 'whole'}", program=program)
    listed = run("ctest", "--test-dir", work / "newcomer" / "build", "--output-on-failure")
    assert "100% tests passed, 0 tests failed out of 1" in listed


def compile(compiler, *words):
    options = f"{compiler} {flags.get(compiler, '')} -std=c++20 {warnings}"
    run(*shlex.split(options), *words)


def pkg_config():
    found = {**environment, "PKG_CONFIG_PATH": str(prefix["meson"] / "lib" / "pkgconfig")}
    names = {"mirakuru-core": clang, "mirakuru-compiled": gcc}
    if has_tls:
        names["mirakuru-tls"] = gcc  # it requires mirakuru, as does mirakuru-compiled
    for name, compiler in names.items():
        query = run("pkg-config", "--cflags", "--libs", name, env=found, stderr=None)
        words = ["-DWITH_TLS"] if name == "mirakuru-tls" else []
        program = work / f"{name}_test"
        compile(compiler, project / "small.cpp", "-o", program, *words, *shlex.split(query))
        run(program)


def clang_alone():
    """Asio comes first, and nobody defines ASIO_HAS_CO_AWAIT."""
    program = ["-fsyntax-only", project / "asio_first.cpp"]
    form = ["-DMIRAKURU_NO_HTTP", "-DMIRAKURU_SEPARATE_COMPILATION"]
    compile(clang, *program, *form, f"-I{source / 'include'}")


def compiler_alone():
    place = work / "alone"
    place.mkdir()
    shutil.copy(project / "main.cpp", place / "server_test.cpp")
    (place / "include").symlink_to(source / "include")
    commands = next(block for block in blocks("sh") if "server_test.cpp" in block)
    assert len(commands.splitlines()) == 2
    run("sh", "-e", "-c", commands, cwd=place)
    run(place / "server_test")


def two_at_a_time(*ways):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda way: way(), ways))


shutil.rmtree(work, ignore_errors=True)
copy_tree()

installs, ways = [meson_install], [meson_subproject, clang_alone]
if shutil.which("cmake"):
    installs += [cmake_install]
    ways += [cmake_after_meson_install, cmake_after_cmake_install]
    ways += [cmake_fetch_content, cmake_add_subdirectory]
    if has_gtest and has_postgres:
        ways.insert(0, newcomer)  # it takes the longest
    else:
        print("no GoogleTest or no PostgreSQL: the newcomer does not come")
else:
    print("no cmake: its ways are not tried")
if shutil.which("pkg-config"):
    ways += [pkg_config]
else:
    print("no pkg-config: its names are not tried")
if pathlib.Path("/usr/share/llhttp").is_dir():
    ways.insert(0, compiler_alone)
else:
    print("no C sources of llhttp: the README's commands for them are not tried")

two_at_a_time(*installs)
if cmake_install in installs:
    run("diff", "-r", work / "by_meson", work / "by_cmake")
two_at_a_time(*ways)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{used.ru_utime + used.ru_stime:.0f} s of processor time")

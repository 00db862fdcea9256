#!/bin/sh
# Checks the layout of every source file. Usage: tests/format.sh CLANG_FORMAT
set -eu
cd "$(dirname "$0")/.."
find include tests examples bench \( -name '*.[hic]pp' -o -name '*.[ch]' \) -exec "$1" --dry-run -Werror {} +

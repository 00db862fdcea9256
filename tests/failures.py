"""Prints the failed tests of a Meson log, each with the end of its output.

  failures.py NAME testlog.json
"""

import json
import sys

GOOD = ('OK', 'EXPECTEDFAIL', 'SKIP')

name, path = sys.argv[1:]
for line in open(path, encoding='utf-8'):
    test = json.loads(line)
    if test['result'] in GOOD:
        continue
    print(f'{name}: {test["name"]}: {test["result"]}')
    for said in test.get('stdout', '').splitlines()[-20:]:
        print('  | ' + said)

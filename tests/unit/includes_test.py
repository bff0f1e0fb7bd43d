#!/usr/bin/env python3
"""Every #include between our folders is one that ARCHITECTURE.md, section 4, allows. Usage: includes_test.py PROJECT"""
import pathlib
import re
import sys


def allowed_includes(architecture: str) -> dict[str, set[str]]:
    """Folder to the folders it may include, from the table in section 4: `  name/   what it holds    a b c`."""
    rows = re.findall(r"^  (\w+)/ .*?  +([a-z ]+)$", architecture, re.MULTILINE)
    table = {name: set(words.split()) | {name} for name, words in rows}
    for name, words in table.items():
        if "all below" in " ".join(words):
            table[name] = set(table)
    return table


def main() -> int:
    top = pathlib.Path(sys.argv[1])
    table = allowed_includes((top / "ARCHITECTURE.md").read_text())
    wrong, seen = [], 0
    for file in sorted((top / "src").glob("*/*")):
        folder = file.parent.name
        if file.suffix not in (".h", ".cpp") or file.name == "main.cpp":
            continue
        if folder not in table:
            wrong.append(f"{folder}/ is not in ARCHITECTURE.md, section 4")
            continue
        for number, line in enumerate(file.read_text().splitlines(), 1):
            found = re.match(r'#include "(\w+)/', line)
            if not found:
                continue
            seen += 1
            if found[1] not in table[folder]:
                wrong.append(f"{file.relative_to(top)}:{number}: {folder}/ may not include {found[1]}/")
    print("\n".join(dict.fromkeys(wrong)))
    print(f"{seen} includes checked, {len(wrong)} wrong")
    return 1 if wrong or seen < 50 or len(table) < 10 else 0


sys.exit(main())

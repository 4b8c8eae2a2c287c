#!/bin/sh
# Print the Python to set up with: that of .venv when it runs, otherwise the first on PATH that is CPython 3.11, 3.12
# or 3.13 and has venv and ensurepip. Each is really started, since a name on PATH may be a shim that leads nowhere.
without_venv=
for name in .venv/bin/python python3.13 python3.12 python3.11 python3; do
    path=$(command -v "$name") || continue
    "$path" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || continue
    if "$path" -c 'import ensurepip, venv' 2>/dev/null; then
        printf '%s\n' "$path"
        exit 0
    fi
    without_venv=${without_venv:-$path}
done
if [ -n "$without_venv" ]; then
    echo "$without_venv has no venv module. On Debian and Raspberry Pi OS it is a package of its own:" >&2
    echo "    apt-get install python3-venv        (as root)" >&2
else
    echo "Undercroft needs CPython 3.11, 3.12 or 3.13 on the PATH, and found none." >&2
    echo "    apt-get install python3 python3-venv        (as root, on Debian 12 or newer)" >&2
fi
exit 1

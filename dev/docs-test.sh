#!/usr/bin/env bash
# Runs the commands in the documentation. In README.md and docs/*.md, blocks that begin with ```sh test are run, and
# blocks that begin with ```yaml test NAME are written to the file NAME; all blocks of a page are one script, run with
# `bash -eu` in an empty directory that holds a copy of examples/, with `sluice` in PATH. A command that fails fails the
# page, and so does a command behind `! ` that does not. Whatever a page leaves running is stopped.
# usage: dev/docs-test.sh [PAGE…]       SLUICE: the binary; built in the dev profile unless given
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

if [ $# -eq 0 ]; then
    mapfile -t pages < <(grep -lE '^```(sh|yaml) test' README.md docs/*.md)
else
    pages=("$@")
fi

if [ -z "${SLUICE:-}" ]; then
    cargo build --quiet --locked -p sluice
    SLUICE=${CARGO_TARGET_DIR:-target}/debug/sluice
fi
SLUICE=$(realpath "$SLUICE")
for program in curl openssl; do
    command -v "$program" >/dev/null || dev/packages.sh "$program"
done

# Ports on a loopback interface of its own, where that is possible: what the machine runs does not matter then.
isolated=()
if command -v ip >/dev/null && unshare --net ip link set lo up 2>/dev/null; then
    isolated=(unshare --net bash -c 'ip link set lo up && exec "$@"' isolated)
fi

script_of() {
    awk '
        /^```sh test *$/ { sh = 1; next }
        /^```yaml test / { file = $3; print "mkdir -p \"$(dirname " file ")\""; print "cat > " file " <<\"END OF BLOCK\""; next }
        /^```/ { if (file) print "END OF BLOCK"; sh = 0; file = ""; next }
        # `! command` would not end a script under -e when the command succeeds.
        sh { sub(/^! /, "fails ") }
        sh || file { print }
    ' "$1"
}

failed=()
for page in "${pages[@]}"; do
    scratch=$(mktemp -d)
    mkdir "$scratch/bin" "$scratch/page"
    ln -s "$SLUICE" "$scratch/bin/sluice"
    cp -r "$root/examples" "$scratch/page/examples"
    script_of "$page" >"$scratch/script"
    if ! [ -s "$scratch/script" ]; then
        echo "$page: has no block to run" >&2
        failed+=("$page")
        continue
    fi
    start=$SECONDS
    # A session of its own, so that everything the page started can be found and stopped.
    (cd "$scratch/page" && PATH=$scratch/bin:$PATH NO_COLOR=1 exec setsid --wait "${isolated[@]}" bash -c '
        trap "kill \$(jobs -p) 2>/dev/null || true; wait" EXIT
        set -euo pipefail
        fails() { if "$@"; then echo "should have failed: $*"; return 1; fi; }
        . "$1"
    ' page "$scratch/script") >"$scratch/output" 2>&1 </dev/null && result=ok || result=FAILED
    echo "$page: $result after $((SECONDS - start)) s"
    if [ $result = FAILED ]; then
        sed 's/^/    /' "$scratch/output"
        failed+=("$page")
    fi
    rm -rf "$scratch"
done
[ ${#failed[@]} -eq 0 ]

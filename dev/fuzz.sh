#!/usr/bin/env bash
# Fuzzes every target for a while: what the targets promise is in gateway/src/fuzz.rs and tests/src/fuzz. An input that
# breaks a promise fails the run and is kept under target/fuzz/findings; mend the code, then put the input into
# tests/fuzz/corpus/TARGET, where `cargo test` runs it from then on.
# usage: dev/fuzz.sh [SECONDS per target] [TARGET…]
#        dev/fuzz.sh ci [TARGET…]   a number of runs that repeats from one commit to the next: the same seed, no clock; peers
#                                   on real sockets only replay what is committed
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-20}
shift || true
version=0.13.2
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tools=$target/tools
work=$target/fuzz
export PATH=$tools/bin:$PATH

command -v c++ >/dev/null || dev/packages.sh g++
if ! command -v cargo-fuzz >/dev/null; then
    echo "building cargo-fuzz $version into $tools (once, a minute or two)"
    cargo install --quiet --locked --root "$tools" --target-dir "$tools/build" "cargo-fuzz@$version"
    rm -rf "$tools/build"
fi

# The instrumentation is a compiler option that is not stable; the pinned compiler takes it with this variable, so that no
# second toolchain is needed. Our crates have no unsafe code: what is looked for are panics, overflows and broken promises.
export RUSTC_BOOTSTRAP=1
# The product's versions; libFuzzer comes besides.
cp Cargo.lock tests/fuzz/Cargo.lock
build=(--fuzz-dir tests/fuzz --target-dir "$work" --sanitizer none --debug-assertions)
cargo fuzz build "${build[@]}" fuzz
binary=$(find "$work" -path '*/release/fuzz' -type f -perm -u+x | head -n 1)

names=("$@")
if [ ${#names[@]} = 0 ]; then
    for corpus in tests/fuzz/corpus/*/; do names+=("$(basename "$corpus")"); done
fi

failed=0
mkdir -p "$work/findings"
printf '%-16s %12s %9s  %s\n' target executions seconds result
for name in "${names[@]}"; do
    mkdir -p "$work/corpus/$name"
    log=$work/$name.log result=ok
    # What is found goes to the build folder, not into the committed corpus.
    case $seconds-$name in
        ci-hostile_*) bound=(-runs=0) ;;
        ci-yaml) bound=(-seed=1 -runs=3000) ;;
        ci-*) bound=(-seed=1 -runs=50000) ;;
        *) bound=(-max_total_time="$seconds") ;;
    esac
    [ "$seconds" != ci ] || rm -rf "${work:?}/corpus/$name"
    mkdir -p "$work/corpus/$name"
    SLUICE_FUZZ=$name "$binary" "${bound[@]}" -timeout=10 -rss_limit_mb=2048 -max_len=16384 \
        -print_final_stats=1 -artifact_prefix="$work/findings/$name-" \
        "$work/corpus/$name" "tests/fuzz/corpus/$name" >"$log" 2>&1 || result=FAILED
    printf '%-16s %12s %9s  %s\n' "$name" \
        "$(sed -nE 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)" "$seconds" "$result"
    if [ "$result" != ok ]; then
        failed=1
        tail -n 60 "$log"
    fi
done
exit $failed

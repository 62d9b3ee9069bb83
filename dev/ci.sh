#!/usr/bin/env bash
# What a change must pass. Every step runs, so that one run tells everything that is wrong; the table at the end says how
# long each took.
set -euo pipefail
cd "$(dirname "$0")/.."

dev/toolchain.sh
names=() seconds=() results=()

step() {
    local name=$1 start=$SECONDS result=ok
    shift
    printf '\n=== %s\n' "$name"
    "$@" || result=FAILED
    names+=("$name") seconds+=($((SECONDS - start))) results+=("$result")
    printf '=== %s: %s after %d s\n' "$name" "$result" $((SECONDS - start))
}

# The tree as git sees it: state of every file, and the content of those that differ from the commit.
tree() {
    git status --porcelain
    git diff HEAD | git hash-object --stdin
}
before=$(tree)
clean_tree() {
    [ "$(tree)" = "$before" ] || { git status --short; git --no-pager diff --stat; return 1; }
}

step "format" make --no-print-directory fmt-check
step "clippy" make --no-print-directory lint
step "layers" make --no-print-directory layers
step "documentation" make --no-print-directory doc
step "cargo-deny" make --no-print-directory deny
step "charts" make --no-print-directory charts
step "tests" make --no-print-directory test
step "e2e" make --no-print-directory e2e
step "fuzz" dev/fuzz.sh ci
step "tree as it was" clean_tree

printf '\n%-16s %-7s %s\n' step result minutes:seconds
failed=0
for i in "${!names[@]}"; do
    printf '%-16s %-7s %d:%02d\n' "${names[i]}" "${results[i]}" $((seconds[i] / 60)) $((seconds[i] % 60))
    [ "${results[i]}" = ok ] || failed=1
done
printf '%-16s %-7s %d:%02d\n' total "$([ $failed = 0 ] && echo ok || echo FAILED)" $((SECONDS / 60)) $((SECONDS % 60))
exit $failed

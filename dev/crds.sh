#!/usr/bin/env bash
# Writes the definitions of the kinds into the chart. They are made from the types in crds/ and never edited.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo run --quiet --locked --package crds --features crdgen --bin crdgen -- charts/base/files/crds

#!/usr/bin/env bash
# Checks of the Helm charts with helm 3 and helm 4, without a cluster: lint, templates against the schemas of Kubernetes,
# values that must be refused, Pod Security, roles. What is checked is in dev/charts.py, with what in charts/*/ci/.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(dev/venv.sh dev/charts-requirements.txt)
helm3=$(dev/helm.sh 3)
helm4=$(dev/helm.sh 4)
# Nobody's settings, plugins or repositories.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HELM_CACHE_HOME=$scratch/cache HELM_CONFIG_HOME=$scratch/config HELM_DATA_HOME=$scratch/data PYTHONDONTWRITEBYTECODE=1
unset KUBECONFIG
"$python" dev/charts.py --helm "$helm3" --helm "$helm4" "$@"

#!/usr/bin/env bash
# Checks of the Helm charts with helm 3 and helm 4, without a cluster: lint, templates against the schemas of Kubernetes,
# values that must be refused, Pod Security, roles. What is checked is in dev/charts.py, with what in charts/*/ci/. The
# Dockerfile, whose images they name, is linted. What only an API server can say: dev/charts-install.sh.
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
hadolint=$(dirname "$python")/hadolint
if [ -x "$hadolint" ]; then
    "$hadolint" Dockerfile
else
    echo "!! Dockerfile NOT CHECKED: there is no hadolint for $(uname -sm)." >&2
fi
"$python" dev/charts.py --helm "$helm3" --helm "$helm4" "$@"

# Every command there is; CI calls the same ones. Steps longer than a line live in dev/.
#
#   make demo     build and run the demo: an HTTPS canary on this machine
#   make test     install what is missing and run every test
#   make help     the rest

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo build test test-rust test-docs compat golden crds lint fmt fmt-check doc deny layers charts bench bench-control bench-peers plane e2e fuzz ci

help: ## this list
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do printf '  make %-12s %s\n' "$$name" "$$what"; done

demo: ## build and run the demo; DEMO='--no-traffic' passes options to `sluice run`
	@dev/demo.sh $(DEMO)

build: ## the binaries, optimised, in target/release
	@dev/toolchain.sh
	cargo build --release --locked --bins

test: ## everything: unit, golden, wire, recorded cases of real Istio, the commands in the docs
	@dev/test.sh

test-rust: ## unit, golden, property and wire tests
	cargo test --workspace --locked

test-docs: ## the commands in README.md and docs/
	@dev/docs-test.sh

compat: ## recorded cases of real Istio; GROUPS='^(merge|cors)/' picks some
	@GROUPS_REGEX='$(GROUPS)' dev/compat.sh $(COMPAT)

golden: ## rewrite the golden files of controller/translate; review the difference like code
	UPDATE_GOLDEN=1 cargo test --locked -p translate

crds: ## rewrite the kinds' definitions in the base chart from the types in crds/
	@dev/crds.sh

lint: ## clippy with warnings as errors
	cargo clippy --workspace --all-targets --locked -- -D warnings

fmt: ## format the code
	cargo fmt --all

fmt-check: ## is the code formatted
	cargo fmt --all --check

doc: ## the API documentation, with warnings as errors
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked

deny: ## licences, advisories, duplicate versions, who may name which crate
	@dev/deny.sh

layers: ## which crate may link what
	@dev/layers.sh

charts: ## the Helm charts
	@dev/charts.sh

plane: ## build the Kubernetes control plane that tests run against, once per machine
	@tests/plane/build.sh

# A cluster must be named on the command line: one that the environment happens to name may be anybody's.
e2e: ## tests on a real node with real pods, where this machine can; KUBECONFIG=FILE uses that cluster, TESTS=… picks some
	@E2E_KUBECONFIG='$(if $(filter command,$(origin KUBECONFIG)),$(KUBECONFIG))' dev/e2e.sh $(TESTS)

fuzz: ## every fuzz target for SECONDS_EACH each, 20 unless said otherwise; TARGETS='path host' picks some
	@dev/fuzz.sh $(or $(SECONDS_EACH),20) $(TARGETS)

bench: ## router, compile, translate, and the time from a save to the first request that sees it
	cargo bench --locked -p sluice-benches

bench-control: ## the controller between a real API server and many proxies; BENCH='--services 100 --proxies 1' passes options
	cargo build --release --locked -p sluice-controller --bin sluice-controller
	cargo run --profile demo --locked -p sluice-benches --bin bench-control -- --controller $${CARGO_TARGET_DIR:-target}/release/sluice-controller --restart $(BENCH)

bench-peers: ## the gateway beside nginx, HAProxy and Envoy; BENCH='--suites h1 --rounds 3' passes options
	@benches/peers/bench.sh $(BENCH)

ci: ## what a change must pass
	@dev/ci.sh

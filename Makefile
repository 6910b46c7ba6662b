# What can be done here. `make` lists it; .ci/run and the GitHub workflow run the same targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

include dev/dev.mk

PREFIX ?= /usr/local
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/privacy-operator
# One profile: the tests run the very code that ships, and nothing is compiled twice.
CARGO_FLAGS := --release --locked
# kubectl and helm of `make tools` come first.
ENV := PATH="$(CURDIR)/.dev/bin:$$PATH"
CLUSTER_ENV := source $(or $(DEV_STATE),.dev)/env

# What a test needs decides on its stage: a server of tests/support/postgres.rs, a cluster (by its name), helm, nothing.
TEST_TARGETS := $(sort $(basename $(notdir $(wildcard tests/*.rs))) $(notdir $(patsubst %/main.rs,%,$(wildcard tests/*/main.rs))))
POSTGRES_TESTS := $(sort $(shell grep -lr --include='*.rs' support::postgres tests | sed -E 's,^tests/([^/.]+).*,\1,'))
CLUSTER_TESTS := $(filter cluster%,$(TEST_TARGETS))
# API servers and etcd as plain processes, by their names.
SERVER_TESTS := $(filter encryption% servers%,$(TEST_TARGETS))
UNIT_TESTS := $(filter-out $(POSTGRES_TESTS) $(CLUSTER_TESTS) $(SERVER_TESTS) chart,$(TEST_TARGETS))

# `make test` in this order: what fails fast and costs little comes first.
STAGES := lint unit check-generated deny chart-test postgres-test encryption-test cluster-test

.PHONY: help
help: ## list the targets
	@echo "make TARGET, where TARGET is one of"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{ printf "  %-16s %s\n", $$1, $$2 }'

.PHONY: fmt lint
fmt: ## format the code
	cargo fmt

lint: ## format, clippy with warnings denied, shell scripts
	cargo fmt --check
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings
	@if command -v shellcheck >/dev/null; then \
	  git ls-files '*.sh' .ci/run | xargs shellcheck --external-sources; \
	else echo "shell scripts were not checked: shellcheck is not installed (apt-get install shellcheck)"; fi

.PHONY: test unit postgres-test encryption-test cluster-test chart-test soak
test: ## everything; prints seconds per stage and the number of tests
	@dev/stages.sh $(STAGES)

unit: ## unit and property tests, repository rules, examples: no database, no cluster
	cargo test $(CARGO_FLAGS) --no-fail-fast --lib --bins $(addprefix --test ,$(UNIT_TESTS))

postgres-test: s3-server ## tests against real PostgreSQL servers, started and stopped by the tests
	cargo test $(CARGO_FLAGS) --no-fail-fast $(addprefix --test ,$(POSTGRES_TESTS))

encryption-test: ## rotations and races on two real API servers, plain processes, started and stopped by the tests
	servers=$$(dev/encryption/servers.sh) && eval "$$servers" && cargo test $(CARGO_FLAGS) --no-fail-fast $(addprefix --test ,$(SERVER_TESTS))

cluster-test: tools cluster-up image load-image postgres-image s3-image ## tests in the development cluster, brought up first
	$(CLUSTER_ENV) && cargo test $(CARGO_FLAGS) --no-fail-fast $(addprefix --test ,$(CLUSTER_TESTS))

chart-test: tools ## helm lint, and what the chart renders
	$(ENV) helm lint --strict charts/privacy-operator
	$(ENV) cargo test $(CARGO_FLAGS) --test chart

soak: tools s3-server cluster-up image load-image postgres-image s3-image ## the long forms: many more property cases, and the tests marked `ignore`
	PROPTEST_CASES=20000 cargo test $(CARGO_FLAGS) --no-fail-fast --lib
	PROPTEST_CASES=100000 cargo test $(CARGO_FLAGS) --test postgres -- reference::the_engine --nocapture
	PROPTEST_CASES=5000 cargo test $(CARGO_FLAGS) --test postgres -- cascade_reference:: --nocapture
	servers=$$(dev/encryption/servers.sh) && eval "$$servers" && $(CLUSTER_ENV) && cargo test $(CARGO_FLAGS) --no-fail-fast --tests -- --ignored

.PHONY: crds check-generated
crds: ## write crds/ and the chart's copy from the types
	@rm -rf target/crds && mkdir -p target/crds
	cargo run -q $(CARGO_FLAGS) -- crds | dev/split-crds.sh target/crds
	@mkdir -p crds charts/privacy-operator/crds
	@rm -f crds/*.yaml charts/privacy-operator/crds/*.yaml
	@cp target/crds/*.yaml crds/
	@cp target/crds/*.yaml charts/privacy-operator/crds/

check-generated: ## fail when crds/ differs from the types
	@rm -rf target/crds && mkdir -p target/crds
	cargo run -q $(CARGO_FLAGS) -- crds | dev/split-crds.sh target/crds
	@diff -r crds target/crds && diff -r charts/privacy-operator/crds target/crds || \
	  { echo "the CRDs differ from the types in src/api: run 'make crds' and commit the result"; exit 1; }

.PHONY: deny audit
deny: ## licences, duplicates and sources of dependencies; known vulnerabilities where their database is reachable
	@dev/deny.sh

audit: ## as deny; fails when the database of known vulnerabilities cannot be reached
	@dev/deny.sh audit

.PHONY: demo demo-encryption install bench bench-sweep bench-export bench-encryption bench-operator clean
demo: ## the example from nothing: cluster, database, chart, Observe, Enforce, and what went
	@dev/demo.sh

demo-encryption: cluster-up tools image load-image ## a Secret in plain text, the rotation watched, the same Secret encrypted
	@dev/demo-encryption.sh

install: ## the binary into $(PREFIX)/bin (PREFIX=/usr/local)
	cargo install --path . --locked --root $(PREFIX)

bench: ## every measurement, written into BENCHMARKS.md
	@bench/all.sh bench-sweep bench-export bench-encryption bench-operator

bench-sweep: ## ratios of a sweep over 5 million rows against a plain DELETE
	@bench/sweep.sh

bench-export: ## ratios of an export against scripts of psql, jq, zip, zstd and age (MARKDOWN=1 prints a table too)
	@bench/export.sh

bench-encryption: ## re-encryption of 2,100 Secrets against kubectl get | kubectl replace, and of 10,000
	servers=$$(dev/encryption/servers.sh) && eval "$$servers" && \
	  cargo test $(CARGO_FLAGS) --test encryption -- --ignored --nocapture two_thousand_small

bench-operator: ## the operator's memory with 1,000 policies
	servers=$$(dev/encryption/servers.sh) && eval "$$servers" && \
	  cargo test $(CARGO_FLAGS) --test encryption -- --ignored --nocapture a_thousand_policies

clean: ## delete what was built here (the cluster stays: make cluster-down)
	cargo clean

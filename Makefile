# What a developer types. `make` alone explains each target.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
DATA ?= ./caerus-data
# What tests and lints build: everything. What `make run` builds holds the embedded adapters alone.
ALL := --locked --workspace --features caerus/distributed

.PHONY: help run test lint bench pages services-up services-down

help: ## Explains each target
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Builds Caerus and plays a simulated organisation under attack; data in ./caerus-data, page at http://127.0.0.1:7400
	$(CARGO) build --locked --profile quick -p caerus --bin caerus
	exec ./target/quick/caerus up --demo --data $(DATA)

test: ## Installs what the tests need, then runs all of them: house rules, then parts, then stories and real programs
	./deploy/scripts/install-test-deps
	$(CARGO) build $(ALL) --all-targets
	$(CARGO) test $(ALL) --test house
	./deploy/scripts/with-servers $(CARGO) test $(ALL) --lib --bins
	./deploy/scripts/with-servers $(CARGO) test $(ALL) --test '*'
	$(CARGO) test $(ALL) --doc

lint: ## Format, lints as errors, documentation without warnings, licences and bans (the last where cargo-deny is installed)
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(ALL) --all-targets -- -D warnings
	$(CARGO) clippy --locked -p caerus --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(ALL) --no-deps
	@if $(CARGO) deny --version > /dev/null 2>&1; then $(CARGO) deny check; \
	else echo 'lint: cargo-deny is not installed, so that deny.toml was not checked (cargo install cargo-deny)'; fi

bench: ## Measures how fast events are replayed beside merely parsing them, and what a user costs in memory
	$(CARGO) build --locked --release -p caerus --bin caerus
	$(CARGO) run --locked --release -p caerus-load-tests

pages: ## Writes the reference pages under deploy/reference anew from the code
	CAERUS_WRITE_PAGES=1 $(CARGO) test --locked --workspace --test house pages::

services-up: ## Starts Kafka, Redis and PostgreSQL on loopback, then nginx with caerus-enforcer beside a running `make run`
	./deploy/scripts/servers up
	@if [ -r "$${CAERUS_DATA:-$(DATA)}/enforcement-point.token" ]; then \
		$(CARGO) build --locked --profile quick -p caerus-enforcer-bin --bin caerus-enforcer; \
		CAERUS_DATA="$${CAERUS_DATA:-$(DATA)}" ./deploy/scripts/services-up; \
	else echo 'services-up: nginx and caerus-enforcer wait for `make run`, which makes their token; then say this again'; fi

services-down: ## Stops what services-up started, and nothing else; what the servers hold stays under target/services
	./deploy/scripts/services-down
	./deploy/scripts/servers down

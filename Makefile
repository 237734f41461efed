# Longshore's commands. Each does all the set-up it needs; `make help` lists them.
# A machine needs Rust, npm (it fetches ClickHouse's library), Python 3 and make.

CARGO ?= cargo
PYTHON ?= python3

.PHONY: help demo explore test lint bench clickhouse build

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: clickhouse build ## Load a million encrypted records, show the answers, verify them
	$(PYTHON) tools/demo.py

explore: clickhouse build ## Open what the demo loaded: ClickHouse with its web page, until Ctrl-C
	$(PYTHON) tools/demo.py --explore

test: clickhouse ## Run every test
	$(CARGO) test --workspace --locked
	cd tools/verify && $(PYTHON) -m unittest --quiet

lint: ## Formatting and clippy, warnings as errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

bench: clickhouse build ## End-to-end rate and memory, then the micro benches
	$(CARGO) run --release --locked -p longshore-benches --bin end-to-end
	$(CARGO) bench --locked -p longshore-benches

clickhouse: ## Fetch ClickHouse's library into the cache (once)
	@$(PYTHON) tools/fetch-clickhouse.py

build: ## Build the commands, optimised
	$(CARGO) build --release --locked -p longshore -p loggen

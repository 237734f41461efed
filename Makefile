# Longshore's commands. Each does all the set-up it needs; `make help` lists them.
# A machine needs Rust, a C compiler and perl (for librdkafka and OpenSSL), npm (it fetches ClickHouse's library), Python 3
# and make.

CARGO ?= cargo
PYTHON ?= python3

.PHONY: help demo explore test lint deny clickhouse build torture
.PHONY: bench bench-service bench-micro bench-python bench-compare bench-compare-check bench-programs bench-peers

# Parts of `make bench`: parse, engine, load.
BENCH ?= parse,engine,load
# Parts of `make bench-service`: guarantee, doubt, files, topics.
SERVICE ?= guarantee,doubt,files,topics
# Seeds of `make torture`.
SEEDS ?= 10000
# Faults of real processes in `make torture`.
FAULTS ?= 200
# The workload of `make bench-compare`.
WORKLOAD ?= channel-log

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'

demo: clickhouse build ## Load a million encrypted records, show the answers, verify them
	$(PYTHON) tools/demo.py

explore: clickhouse build ## Open what the demo loaded: ClickHouse with its web page, until Ctrl-C
	$(PYTHON) tools/demo.py --explore

test: clickhouse ## Run every test; those on public data where LONGSHORE_REAL_DATA points to them
	$(CARGO) test --workspace --locked
	$(if $(LONGSHORE_REAL_DATA),$(CARGO) test --workspace --locked --lib --bins --tests real_data -- --ignored)
	cd tools/verify && $(PYTHON) -m unittest --quiet
	cd benches/driver && $(PYTHON) -m unittest --quiet
	$(CARGO) build --locked -p longshore -p loggen -p longshore-benches -p longshore-brokers
	$(PYTHON) benches/driver/bench.py --quick --no-peers --profile debug
	$(PYTHON) benches/driver/service.py --quick --profile debug
	@$(if $(LONGSHORE_REAL_DATA),,$(PYTHON) tools/left-out.py)

torture: clickhouse ## Let everything die, in simulation (SEEDS=10000) and in earnest (FAULTS=200); is a record lost or doubled?
	$(CARGO) build --release --locked -p longshore -p longshore-torture -p longshore-brokers
	target/release/torture simulate --seeds $(SEEDS)
	target/release/torture real --faults $(FAULTS)
	target/release/torture group

deny: ## The dependencies: licences, sources, versions twice, known vulnerabilities
	PYTHON=$(PYTHON) tools/deny.sh

lint: ## Formatting and clippy, warnings as errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

bench: clickhouse bench-programs bench-peers ## Every target against its rival; BENCH=parse for a part
	$(PYTHON) benches/driver/bench.py --parts $(BENCH)

bench-service: clickhouse bench-programs ## What the guarantee costs, starts after a crash, small files, topics; SERVICE=doubt for a part
	$(CARGO) build --release --locked -p longshore-brokers
	$(PYTHON) benches/driver/service.py --parts $(SERVICE)

bench-micro: ## The core's parts one by one, with criterion
	$(CARGO) bench --locked -p longshore-benches

bench-python: bench-programs ## Polars and DuckDB on the channel log, beside the engine
	$(PYTHON) benches/driver/python_peers.py

bench-compare: ## Did this checkout get slower than BASE=rev? WORKLOAD=nested for another bench
	$(PYTHON) benches/driver/compare.py $(or $(BASE),$(error BASE: the revision to compare with, such as BASE=main)) --bench $(WORKLOAD)

bench-compare-check: ## Test bench-compare: a planted 3 % is found, two equal builds are equal
	$(PYTHON) benches/driver/compare.py --check --bench $(WORKLOAD)

bench-programs: build
	$(CARGO) build --release --locked -p longshore-benches

bench-peers:
	$(CARGO) build --release --locked --manifest-path benches/peers/Cargo.toml --target-dir target/peers

clickhouse: ## Fetch ClickHouse's library into the cache (once)
	@$(PYTHON) tools/fetch-clickhouse.py

build: ## Build the commands, optimised
	$(CARGO) build --release --locked -p longshore -p loggen

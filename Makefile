# `make help` lists the targets. On a bare machine: `make demo` first, `make test` second.

.DEFAULT_GOAL := help
.PHONY: help demo build test test-one lint fix bench bench-kernels bench-dashboard bench-distance bench-cost bench-tables bench-all docs

WIDEYE := target/release/wideye

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

demo: build ## build, start a server on 127.0.0.1:8080 and :4317, fill it with a live fleet, print questions
	$(WIDEYE) demo --data-dir ./wideye-data $(ARGS)

build: ## the release binary, target/release/wideye
	@scripts/need.sh build
	cargo build --locked --release -p wideye

test: ## install what is needed and run every test
	scripts/test.sh

test-one: ## make test-one T=name: Rust tests with that name; T=tests/api/test_x.py: black-box tests
	@case "$(T)" in \
	tests/*) $(MAKE) build && tests/run.sh $(T) ;; \
	'') echo 'which? make test-one T=name' >&2; exit 2 ;; \
	*) cargo test --workspace $(T) ;; \
	esac

lint: ## format, clippy and tidy
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo test --locked -p wideye --test it tidy

fix: ## format, and what clippy can mend by itself
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	cargo fmt --all

bench: build ## side by side with ClickHouse and DuckDB (bench/README.md)
	@scripts/need.sh python
	python3 bench/bench.py $(ARGS)

bench-kernels: ## instructions per kernel against bench/kernels.json; ARGS=--accept takes over what was counted
	@scripts/need.sh build python valgrind
	python3 bench/kernels.py $(ARGS)

bench-dashboard: build ## what it costs to ask a dashboard again
	@scripts/need.sh python
	python3 bench/dashboard.py $(ARGS)

bench-distance: ## how far each question is from memory bandwidth; after make bench
	@scripts/need.sh build python
	python3 bench/distance.py $(ARGS)

bench-cost: build ## what an event costs from the socket to an answer
	@scripts/need.sh python
	python3 bench/cost.py $(ARGS)

bench-all: build ## all that docs/performance.md shows, then its tables; an hour, as root, on a machine that does nothing else
	@scripts/need.sh build python
	-python3 bench/bench.py --cold $(ARGS)
	-python3 bench/dashboard.py
	-python3 bench/dashboard.py --growth 0.0008
	-python3 bench/distance.py
	-python3 bench/cost.py
	-python3 bench/bench.py --rows 20000000 --skip-ingest --runs 5 $(ARGS)
	python3 bench/table.py

bench-tables: ## write the tables of docs/performance.md from bench/results
	python3 bench/table.py $(ARGS)

docs: ## write the generated pages anew (settings, OpenAPI) and check the examples of all pages
	WIDEYE_BLESS=1 cargo test -p server
	cargo test -p wideye --test it docs

# The two commands of this project are `make demo` and `make test`. Each does all of its own set-up.
.DEFAULT_GOAL := help
.PHONY: help demo test ui soak timings bench fuzz fmt map bed-selftest

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## build, then watch a committed cluster file become running services on three local nodes
	@scripts/setup.sh build
	@scripts/ui.sh
	cargo build --workspace --bins
	@scripts/demo.sh

test: ## every test, the ones on real Docker hosts included
	@scripts/test.sh

ui: ## build the web UI with Node, for the next build of devnet; DEVNET_UI=0 leaves it out
	@scripts/ui.sh

soak: ## what repeats: restarts, kills and long logs on real hosts (about an hour)
	@scripts/soak.sh

timings: ## what a build from nothing spends, crate by crate
	@scripts/setup.sh build
	@scripts/timings.py

bench: ## measure
	@scripts/setup.sh build
	cargo bench --workspace

fuzz: ## look for hostile texts that hurt (FUZZ_SECONDS for each of four targets)
	@scripts/fuzz.sh

map: ## what each file is about, in its own first words; MAP=agent/src for a part
	@scripts/map.sh

fmt: ## format the code
	cargo fmt --all

bed-selftest: ## does the Docker test bed itself work?
	@scripts/setup.sh test
	@tests/bed/images.sh >/dev/null
	@tests/bed/selftest.sh

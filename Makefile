# What to type. `make` alone lists it.

FUZZTIME  ?= 10s
BENCH     ?=
BENCHTIME ?= 200ms

.DEFAULT_GOAL := help
.PHONY: help test lint bench performance fuzz stress model kills build

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

test: ## all tests with the race detector, those against a real Caddy too
	go test -race ./...
	cd bench && go test -race ./...
	cd integration && go test -race -timeout 40m ./...

lint: ## formatting, go vet and staticcheck, in all modules
	@unformatted=$$(gofmt -l .) || exit 1; \
	if [ -n "$$unformatted" ]; then echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	cd integration && go vet ./...
	cd bench && go vet ./...
	cd examples/mcp && go vet ./...
	staticcheck=$$(cd integration && go tool -n staticcheck) && "$$staticcheck" ./... && (cd integration && "$$staticcheck" ./...) && (cd bench && "$$staticcheck" ./...) && cd examples/mcp && "$$staticcheck" ./...

bench: ## what requests cost: whole servers and single steps; BENCH chooses some Go benchmarks
ifeq ($(BENCH),)
	cd bench && go run . -benchtime $(BENCHTIME)
else
	go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem ./...
endif

performance: ## the same, and docs/performance.md with its plots written again (half an hour)
	cd bench && go run . -docs

# Go's fuzzer sometimes reports its own time limit as a failure, "context
# deadline exceeded" without a failing input (golang/go#75804): that run is
# made again, twice at most. Anything else is a failure at once.
fuzz: ## each fuzz target for FUZZTIME (10s), one after the other
	@set -e; out=$$(mktemp); trap 'rm -f "$$out"' EXIT; found=0; \
	for package in $$(go list -f '{{.Dir}}' ./...); do \
		grep -qs '^func Fuzz' "$$package"/*_test.go || continue; \
		targets=$$(go test -list '^Fuzz' "$$package"); \
		for target in $$(printf '%s\n' "$$targets" | grep '^Fuzz' || true); do \
			echo "$$package $$target"; found=$$((found + 1)); \
			for try in 1 2 3; do \
				if go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" >"$$out" 2>&1; then tail -n 2 "$$out"; break; fi; \
				cat "$$out"; \
				if [ $$try = 3 ] || grep -q 'Failing input' "$$out" || ! grep -qx ' *context deadline exceeded' "$$out"; then exit 1; fi; \
			done; \
		done; \
	done; \
	if [ $$found = 0 ]; then echo "there is no fuzz target"; exit 1; fi; echo "$$found targets"

# The tests run a short part of each of these.
stress: ## trailers that end in errors for STRESS_TIME (10m), 20,000 sites of random error routes, requests to the token endpoint for TOKEN_FUZZ_TIME (10m)
	cd integration && STRESS_TIME=$${STRESS_TIME:-10m} go test -race -count=1 -timeout 30m -v -run UnderStress .
	CADDY_JWT_SITES=20000 go test -count=1 -timeout 30m -v -run TestThreat52_Generated .
	cd integration && TOKEN_FUZZ_TIME=$${TOKEN_FUZZ_TIME:-10m} go test -race -count=1 -timeout 30m -v -run TokenEndpointIsFuzzed .
	JWT_PAGE_LONG=1 go test -count=1 -timeout 30m -run TestWhatIsSafe ./internal/routes

# The tests run a short part of it. A run is 6,000 steps; MODEL_SEED repeats one.
MODEL_RUNS ?= 300
model: ## shared state against a storage that fails in all ways, MODEL_RUNS (300) runs a setting, with a table
	MODEL_RUNS=$(MODEL_RUNS) go test -count=1 -timeout 2h -v -run '^TestModel$$' ./internal/replica
	MODEL_RUNS=$(MODEL_RUNS) go test -count=1 -timeout 1h -run '^TestSigningKeysOfAClusterUnderTrouble$$' ./tokenservice

kills: ## shared state: KILLS (100) kills of a node a storage, Redis away for a minute, a node asleep for six
	cd integration && KILLS=$${KILLS:-100} OUTAGE=1m ASLEEP=6m go test -count=1 -timeout 60m -v -run 'Threat37_NothingIsLost|Threat5[67]_' .

build: ## ./caddy, stock Caddy with this plugin
	go build -o caddy ./cmd/caddy

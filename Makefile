# Everything here needs only Go, except test-kafka and chaos-kafka: Java 17 and, once, Maven.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO ?= go

.PHONY: run test test-kafka bench fuzz chaos chaos-kafka lint build

run: build
	./tripline dev

build:
	$(GO) build -ldflags "-X main.version=$(VERSION)" -o tripline ./cmd/tripline

# Every test that needs only Go. RACE= turns the race detector off where there is no C compiler. Those of processes mostly wait, so
# more of them run at once than there are cores.
RACE ?= $(shell $(GO) env CGO_ENABLED | sed -n 's/^1$$/-race/p')
test:
	$(GO) test $(RACE) -shuffle=on -parallel 6 -timeout 20m -tags synctests ./...

# The end-to-end suite against Apache Kafka: KAFKA_BROKERS, or one that is started from its Maven artifacts.
test-kafka:
	deploy/kafka/test

lint:
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "gofmt these files: $$out"; exit 1; fi
	$(GO) vet -tags synctests ./...
	$(GO) tool staticcheck -tags synctests ./...

# The bars: micro-benchmarks, then the reference workload with a processor of its own, against the embedded broker and, with
# KAFKA_BROKERS, or BENCH_KAFKA=1 to start one (as for test-kafka), Apache Kafka. R3=full: all of R3's users, for which the temporary
# folder needs room. BENCH_FLAGS: see tripline bench --help.
BENCH_EVENTS ?= 1000000
bench: build
	( $(GO) test -run '^$$' -bench . -benchmem ./processor/campaign/... ./state/ ; \
	  $(GO) test -tags synctests -run '^$$' -bench Backtest -benchtime 3x ./cmd/tripline ) | \
	  ./tripline bench --micro --events $(BENCH_EVENTS) $(if $(BENCH_KAFKA),--kafka deploy/kafka/kafka) $(BENCH_FLAGS)

# The whole line in fake time with faults of all kinds, compared with the model: SEEDS of them from FROM on, as many at a time as there
# are cores. A seed runs the same each time, for which the first build compiles everything anew (deploy/chaos/overlay); TWICE of the
# seeds are run twice to see it. TRACE: what the name of a file for the course of each run begins with.
SEEDS ?= 100
FROM ?= 1
TWICE ?= 1
TRACE ?=
chaos:
	@overlay=$$(mktemp -d) && trap 'rm -rf "$$overlay"' EXIT && \
	if GO=$(GO) deploy/chaos/overlay "$$overlay" >/dev/null; then exact="-tags synctests,exact -overlay $$overlay/overlay.json"; \
	else echo "chaos: this version of Go is not known to deploy/chaos/overlay: a seed may take another course each time"; exact="-tags synctests"; fi && \
	CGO_ENABLED=0 $(GO) test -v -trimpath -vet=off $$exact -timeout 0 -run '^TestChaos$$' \
	  ./cmd/tripline -seeds $(SEEDS) -from $(FROM) -twice $(TWICE) $(if $(TRACE),-trace $(abspath $(TRACE)))

# The same idea with real processes that are killed and stopped, and three Apache Kafka brokers that are too, for CHAOS_MINUTES.
CHAOS_MINUTES ?= 10
chaos-kafka:
	CHAOS_MINUTES=$(CHAOS_MINUTES) deploy/kafka/chaos

# Each fuzz target for FUZZTIME.
FUZZTIME ?= 30s
fuzz:
	@for dir in $$($(GO) list -f '{{.Dir}}' ./...); do \
	  for target in $$(grep -ho '^func Fuzz[A-Za-z]*' $$dir/*_test.go 2>/dev/null | sed 's/func //'); do \
	    echo "== $$dir $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$dir || exit 1; \
	  done; \
	done

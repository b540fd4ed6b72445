# What CI runs and what a developer runs is the same: these targets.
# Needed: Go, and nothing else for demo and test. `make` lists the targets.

GO        ?= go
FUZZTIME  ?= 10s
TESTFLAGS ?=
CUTS      ?= 200
HOURS     ?= 72
UPDATE_CUTS ?= 50

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help build lab demo test race brokers outage test-kernel test-board test-updates power soak load bench bench-uplink fuzz cross dist packages check-packages reproducible qemu lint ci clean

help: ## print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/milepost for this machine
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w" $$(bash .ci/buildflags) -o bin/milepost ./cmd/milepost

demo: ## a simulated drive, a broken link, and every record accounted for
	@$(GO) run ./cmd/milepost-lab demo

test: ## all tests; needs Go alone: no gcc, no root, no broker, no network but the module proxy
	@$(GO) test $(TESTFLAGS) ./...

race: ## all tests with the race detector; needs gcc
	@$(GO) test -race $(TESTFLAGS) $$($(GO) list ./... | grep -v cmd/internal/rules) # the rules run programs, not goroutines

# What needs a kernel of its own runs in User-Mode Linux: Debian's user-mode-linux,
# on amd64, as anybody.
UML = $(CURDIR)/bin/milepost-lab uml

lab: # the runner of User-Mode Linux
	@CGO_ENABLED=0 $(GO) build -trimpath -o bin/milepost-lab ./cmd/milepost-lab

# Modules for sockets, and for chips that are registers in memory (i2c-stub) with
# drivers that can be bound to them. One go test runs all, two kernels at a time.
GUEST_MODULES = can_raw vcan slcan i2c_stub:chip_addr=0x40,0x41,0x48,0x54,0x76 i2c_dev tmp006 ti_adc081c

test-kernel: lab ## live buses, sensors and a clock that is set, on kernels of their own; needs user-mode-linux, iproute2
	@$(GO) test -count=1 -run '^TestKernel' -exec '$(UML) --modules "$(GUEST_MODULES)"' $(TESTFLAGS) ./cmd/milepost ./can/socketcan ./cmd/milepost-lab/uml ./cmd/internal/clock ./sensors/sysfs ./sensors/i2c

test-board: ## the binary, and images, on virtual ARM boards with Debian's kernels; needs qemu-system-arm, device-tree-compiler, kmod, e2fsprogs, squashfs-tools, mtools, openssh-client, apt
	@MILEPOST_BOARD=1 $(GO) test -count=1 -p 1 -timeout 60m -v -run '^TestBoard' $(TESTFLAGS) ./cmd/milepost-lab/board ./cmd/milepost-lab

test-updates: ## updates of a board, and UPDATE_CUTS (50) power cuts in them; needs what test-board needs, squashfs-tools, mtools, openssh-client
	@MILEPOST_BOARD=1 MILEPOST_UPDATE_CUTS=$(UPDATE_CUTS) $(GO) test -count=1 -timeout 90m -v -run '^TestUpdate' $(TESTFLAGS) ./cmd/milepost-lab/board

power: lab ## CUTS (200) power cuts on a disk that forgets; needs user-mode-linux, e2fsprogs
	@POWERCUT_CUTS=$(CUTS) $(GO) test -count=1 -p 2 -v -run '^Test(PowerCut|Control)' -exec '$(UML) --modules nbd' $(TESTFLAGS) ./uplink/spool/powercut ./cmd/milepost

outage: ## a dead link for HOURS (72) of simulated time, over a real spool: memory, disk, and the way back
	@MILEPOST_OUTAGE=$(HOURS)h $(GO) test -count=1 -timeout 30m -run LongOutage -v $(TESTFLAGS) ./uplink

soak: HOURS = 24
soak: ## HOURS (24) of simulated driving with all that goes wrong: what is lost, and what grows
	@MILEPOST_SOAK=$(HOURS)h $(GO) test -count=1 -timeout 60m -run TestSoak -v $(TESTFLAGS) ./cmd/internal/gateway

load: lab build ## four full buses through the gateway, on a kernel of its own: frames lost, CPU, memory; needs user-mode-linux, iproute2, strace
	@MILEPOST_LOAD=10s MILEPOST_BINARY=$(CURDIR)/bin/milepost $(GO) test -count=1 -run '^TestKernelLoad' -v -exec '$(UML) --modules can_raw,vcan' $(TESTFLAGS) ./cmd/milepost

brokers: ## the uplinks with real brokers, killed, hung and cut off; needs mosquitto, and java and mvn for Apache Kafka
	@$(GO) test -count=1 $(TESTFLAGS) ./uplink/mqtt/... ./uplink/uplinktest/mosquitto/...
	@MILEPOST_KAFKA=1 $(GO) test -count=1 -timeout 20m -run 'Real|Life' $(TESTFLAGS) ./uplink/kafka/... ./uplink/uplinktest/kafkaserver/...

bench: ## speed and memory against other programs, as ratios within one run
	@$(GO) run ./cmd/milepost-lab bench
	@$(MAKE) bench-uplink

# The lines that package uplink/uplinktest/ratio logs, without where they come from.
GOALS = awk '/_test.go:[0-9]+: / { sub(/^ *[a-z_]+_test.go:[0-9]+: /, ""); print; next } /^(FAIL|panic|---.*FAIL)/ { print; failed = 1 } END { exit failed }'

bench-uplink: ## the spool and the uplinks beside the least that could be done; with java and mvn MILEPOST_KAFKA=1 adds Apache Kafka
	@$(GO) test -run '^$$' -bench 'OfWrite|GroupCommit|Roll|Heap' ./uplink/spool | $(GOALS)
	@$(GO) test -run '^$$' -bench 'Heap' ./uplink | $(GOALS)
	@$(GO) test -run '^$$' -bench 'Drain' -timeout 30m ./uplink/kafka | $(GOALS)
	@$(GO) test -run '^$$' -bench 'Window' ./uplink/mqtt | $(GOALS)

fuzz: ## each fuzz target for FUZZTIME (10s)
	@GO=$(GO) bash .ci/fuzz $(FUZZTIME)

cross: ## static binaries for all targets into out/; compares their sizes with docs/sizes.txt
	@GO=$(GO) bash .ci/cross

dist: ## archives for all machines into out/dist, with licences, SBOM and checksums; in a clone
	@rm -rf out/dist && mkdir -p out
	@$(GO) run ./cmd/milepost-firmware build -o out >out/built.txt
	@$(GO) run ./cmd/milepost-firmware dist -o out/dist $$(cat out/built.txt)

packages: ## .deb, .rpm and .ipk for gateways into out/dist; in a clone
	@mkdir -p out && rm -f out/dist/*.deb out/dist/*.rpm out/dist/*.ipk
	@$(GO) run ./cmd/milepost-firmware build -o out linux-amd64 linux-arm64 linux-armv7 linux-armv6 linux-mipsle >out/packaged.txt
	@$(GO) run ./cmd/milepost-firmware package -o out/dist $$(cat out/packaged.txt)

check-packages: ## lintian, dpkg, rpm; the .deb on an emulated arm64 Debian, the unit under systemd (root)
	@bash .ci/packages

reproducible: ## builds and packs the last commit twice, elsewhere and from nothing, and compares
	@GO=$(GO) bash .ci/reproducible

qemu: ## the tests on 386, and on arm and arm64 under qemu-user
	@GO=$(GO) bash .ci/qemu

lint: ## gofmt and go vet for every kind of machine
	@GO=$(GO) bash .ci/lint

ci: ## all of the above but bench, installing what is missing (Debian, root)
	@bash .ci/run

clean: ## remove what was built
	rm -rf bin out

# The front door. `make help` lists what is here.
PRESET ?= release
BUILD  := build/$(PRESET)
SPRITE := $(BUILD)/src/sprite
PREFIX ?= /usr/local
JOBS   ?= $(shell nproc)

.DEFAULT_GOAL := build
.PHONY: help deps build image demo check unit functional sanitized sanitize fuzzers fuzz bench soak format install clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' Makefile

deps: ## install what building and running need (apt; asks for root only if something is missing)
	@packaging/install-deps

$(BUILD)/build.ninja: | deps
	@cmake --preset $(PRESET)

build: deps $(BUILD)/build.ninja ## build the program, the agent and the tests
	@cmake --build --preset $(PRESET) -j $(JOBS)

image: build ## build the base image and add it to this user's images (skips what is done)
	@$(SPRITE) image build images/base --agent $(BUILD)/src/sprite-agent

demo: image ## from nothing to a VM that is created, used, stopped, started and destroyed
	@tests/demo $(SPRITE)

check: ## every test: unit, sanitizers, fuzz, functional on real VMs
	@tests/check

unit: build ## unit and contract tests only
	@ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS)

functional: build ## functional tests on real VMs only; ONLY=name runs those whose name holds it
	@tests/functional/run $(ONLY)

space := $() $()
SANITIZED ?= $(subst $(space),|,$(notdir $(patsubst %/,%,$(wildcard tests/unit/*/))))
SANITIZED_TARGETS = $(addprefix test_,$(subst |, ,$(SANITIZED)))

sanitized: deps
	@cmake --preset asan >/dev/null && cmake --build --preset asan -j $(JOBS) --target $(SANITIZED_TARGETS)

sanitize: sanitized ## unit tests under AddressSanitizer and UndefinedBehaviorSanitizer; SANITIZED="cli|vm" names folders
	@ctest --test-dir build/asan --output-on-failure -j $(JOBS) -R '^unit[.]($(SANITIZED))$$'

fuzzers: deps
	@cmake --preset fuzz >/dev/null && cmake --build build/fuzz -j $(JOBS) --target fuzz

fuzz: fuzzers ## every fuzz target for SECONDS (60) each
	@tests/fuzz/run $(or $(SECONDS),60)

bench: image ## a table of figures beside their baselines, in one run
	@tests/bench/run

soak: build ## long rounds of kills and restarts, ROUNDS (50) of each; SEEDS=n: n seeds of the store's world instead
	@$(if $(SEEDS),$(BUILD)/tests/store_world 2001 $$((2000 + $(SEEDS))),ROUNDS=$(or $(ROUNDS),50) tests/functional/run --soak)

format: ## clang-format everything
	@git ls-files 'src/*.cpp' 'src/*.h' 'tests/*.cpp' 'tests/*.h' | xargs clang-format -i

install: build ## install under PREFIX (/usr/local)
	@cmake --install $(BUILD) --prefix $(PREFIX)

clean: ## remove everything that was built here
	@rm -rf build

# Fargo. `make help` lists what there is to do; the first run makes a Python environment in .venv.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
RUN = PATH="$(CURDIR)/$(BIN):$$PATH"

.DEFAULT_GOAL := help
.PHONY: help fargo demo test again day powercut reliability fuzz bench profile size heap32 chipheap sim image flash emulate lint clean packages firmware mip
SEEDS ?= 1 2 3
MINUTES ?= 5
ABREAST ?= 4
# Begun first: the others would have to wait for them in the end.
LONGEST = host_tests/powercut host_tests/fuzz host_tests/interop

help:  ## list the targets
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/ready: pyproject.toml
	@echo "Making the Python environment in $(VENV) (once, about a minute) ..."
	@$(PYTHON) -c 'import sys; sys.exit("Fargo needs Python 3.11 or later; set PYTHON=") if sys.version_info < (3, 11) else 0'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)/typings/ready: Makefile $(VENV)/ready
	@$(BIN)/pip install --quiet --disable-pip-version-check --upgrade --target $(VENV)/typings \
	  micropython-esp32-esp32_generic-stubs==1.29.0.post1 \
	  micropython-stdlib-stubs==1.29.0.post2
	@touch $@

fargo: $(VENV)/ready  ## the command fargo, .venv/bin/fargo, with all that it needs (once, about a minute)

demo: $(VENV)/ready  ## a simulated ESP32 updates itself, refuses and rolls back, before your eyes (about 90 s)
	@$(RUN) python -m fargo.demo

test: $(VENV)/ready packages  ## all tests, under CPython and MicroPython: those that nothing may run beside come last
	@failed=0; export PATH="$(CURDIR)/$(BIN):$$PATH"; rm -f .pytest_cache/v/cache/lastfailed; \
	  python -m pytest -q -m "not alone" -n $(ABREAST) --dist loadfile $(LONGEST) host_tests || failed=$$?; \
	  python -m pytest -q -m alone || { code=$$?; test $$failed -gt 1 || failed=$$code; }; \
	  test $$failed -le 1 || rm -f .pytest_cache/v/cache/lastfailed; exit $$failed  # above 1: some have not even run

again: $(VENV)/ready packages  ## up to three tests that failed in `make test`, one at a time: was it what ran beside them?
	@$(RUN) python host_tests/again.py

day: $(VENV)/ready  ## days of a device on a bad network, simulated, one for each of SEEDS (about 3 minutes a day)
	@$(RUN) python host_tests/day.py --seed $(SEEDS)

powercut: $(VENV)/ready  ## the power is cut at every flash operation of every scenario, twice in one of them (hours)
	@$(RUN) python host_tests/powercut/run.py --json build/reliability/powercut.json

reliability: $(VENV)/ready packages  ## all long proofs, and docs/reliability.md from what they counted (many hours)
	@$(RUN) python host_tests/reliability.py

fuzz: $(VENV)/ready  ## damaged input for all that reads, by chance and led by coverage, about MINUTES of each
	@seed=$${FUZZ_SEED:-$$(date +%s)}; export FUZZ_SEED=$$seed PATH="$(CURDIR)/$(BIN):$$PATH"; echo "FUZZ_SEED=$$seed"; failed=0; \
	  FUZZ_ROUNDS=$${FUZZ_ROUNDS:-$$(( $(MINUTES) * 6000 ))} python -m pytest -q host_tests/fuzz || failed=1; \
	  python host_tests/fuzz/guided.py --minutes $(MINUTES) || failed=1; exit $$failed

bench: $(VENV)/ready  ## all budgets, and others beside us: docs/performance.md (8 minutes); CHECK=1: instructions and memory only
	@$(RUN) python host_tests/bench/run.py

profile: $(VENV)/ready  ## where the instructions of an update go: SCHEME=https or coaps; wants valgrind (4 minutes)
	@$(RUN) python host_tests/bench/profile_update.py --scheme $(or $(SCHEME),https)

size: $(VENV)/ready  ## device code as .mpy and in 32-bit memory, resident and by phase, against the budgets
	@$(RUN) python host_tests/bench/size.py

heap32: $(VENV)/ready  ## fetch a MicroPython with 32-bit words, with which `make size` and `make bench` measure memory
	@$(RUN) python host_tests/bench/micropython32.py

chipheap: $(VENV)/ready  ## build a MicroPython whose heap grows as a chip's, and see when an update takes what the radio needs
	@$(RUN) python host_tests/bench/chipheap.py

sim: $(VENV)/ready  ## start a simulated board with the demo's app and leave it running
	@$(RUN) python -m fargo.demo --board-only

# Without our environment on PATH: ESP-IDF has its own Python.
firmware: $(VENV)/ready  ## MicroPython with Fargo frozen in: BOARD=FARGO_ESP32 [VARIANT=] MICROPYTHON=path; never compiled by us
	@$(BIN)/python -m fargo.firmware --board "$(BOARD)" --variant "$(VARIANT)" --micropython "$(MICROPYTHON)"

mip: $(VENV)/ready  ## write the package.json files for MicroPython's `mip install`
	@$(RUN) python -m fargo.packages

IMAGE ?= build/image/fargo.bin
KEY ?= keys/release.pub
APP ?= examples/lamp
QEMU ?= qemu-system-xtensa

image: $(VENV)/ready  ## FIRMWARE=the .bin of MicroPython for your board: a flashable image in build/image (APP=, KEY=, OPTIONS=)
	@test -n "$(FIRMWARE)" || { echo "Say which MicroPython: make image FIRMWARE=ESP32_GENERIC-....bin, from micropython.org/download"; exit 2; }
	@test -e "$(KEY)" || test "$(KEY)" != keys/release.pub || { test ! -e keys/release.pem || \
	  { echo "$(KEY) is missing, but its private key is there, which will do: KEY=keys/release.pem"; exit 2; }; \
	  $(RUN) fargo key new keys/release.pem; }
	@$(RUN) fargo board image "$(IMAGE)" --firmware "$(FIRMWARE)" --app "$(APP)" --key "$(KEY)" $(OPTIONS)

flash: $(VENV)/ready  ## PORT=/dev/ttyUSB0: the image onto a board; it asks first (OPTIONS=--keep keeps owner and settings)
	@test -n "$(PORT)" || { echo "Say which port: make flash PORT=/dev/ttyUSB0; these are there:"; $(RUN) mpremote devs; exit 2; }
	@$(RUN) fargo board flash "$(IMAGE)" --port "$(PORT)" $(OPTIONS)

emulate: $(VENV)/ready  ## FIRMWARE= and QEMU=Espressif's qemu-system-xtensa: that very image in an emulator
	@if ! command -v "$(QEMU)" >/dev/null; then \
	  echo "SKIPPED: there is no $(QEMU) here, so nothing was emulated. Espressif's QEMU is wanted: QEMU=path of it."; \
	else \
	  { test -z "$(FIRMWARE)" || $(MAKE) --no-print-directory image; } && \
	  $(RUN) fargo board emulate "$(IMAGE)" --qemu "$(QEMU)" $(OPTIONS); \
	fi

lint: $(VENV)/ready $(VENV)/typings/ready  ## ruff and mypy
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@MYPYPATH=$(VENV)/typings:lib:board/esp32 $(RUN) mypy --config-file board/mypy.ini \
	  --custom-typeshed-dir $(VENV)/typings lib board/esp32 firmware

# Programs that the tests drive and pip cannot bring, each with its package in Debian.
PROGRAMS = coap-client-notls:libcoap3-bin openssl:openssl gnutls-cli:gnutls-bin ip:iproute2 tshark:tshark valgrind:valgrind

packages:
	@missing=$$(for p in $(PROGRAMS); do command -v $${p%:*} >/dev/null || echo $${p#*:}; done); \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing" $$missing ...; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	else \
	  echo "The tests drive programs that are missing here: sudo apt-get install" $$missing; exit 1; \
	fi
	@PATH="$$PATH:/usr/local/go/bin"; command -v go >/dev/null || { \
	  echo "The tests drive the device with a Client in Go, which is missing here: install Go 1.26 or later from go.dev"; \
	  echo "(Debian's golang-go is older)."; exit 1; }

clean:  ## remove what was made
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis

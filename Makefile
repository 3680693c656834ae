# Fargo. `make help` lists what there is to do; the first run makes a Python environment in .venv.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
RUN = PATH="$(CURDIR)/$(BIN):$$PATH"

.DEFAULT_GOAL := help
SEEDS ?= 1 2 3
.PHONY: help demo test day bench size sim lint clean packages

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/ready: pyproject.toml
	@echo "Making the Python environment in $(VENV) (once, about a minute) ..."
	@$(PYTHON) -c 'import sys; sys.exit("Fargo needs Python 3.11 or later; set PYTHON=") if sys.version_info < (3, 11) else 0'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)/typings/ready: Makefile $(VENV)/ready
	@$(BIN)/pip install --quiet --disable-pip-version-check --upgrade --target $(VENV)/typings \
	  micropython-esp32-esp32_generic-stubs==1.29.0.post1
	@touch $@

demo: $(VENV)/ready  ## a simulated ESP32 updates itself, refuses and rolls back, before your eyes (about 90 s)
	@$(RUN) python -m fargo.demo

test: $(VENV)/ready packages  ## all tests, under CPython and MicroPython
	@$(RUN) python -m pytest -q

day: $(VENV)/ready  ## days of a device on a bad network, simulated, one for each of SEEDS (about 3 minutes a day)
	@$(RUN) python host_tests/day.py --seed $(SEEDS)

bench: $(VENV)/ready  ## speed and memory: a table, and build/bench.json beside it
	@$(RUN) python host_tests/bench/run.py

size: $(VENV)/ready  ## device code as .mpy, resident and by phase, against the budgets
	@$(RUN) python host_tests/bench/size.py

sim: $(VENV)/ready  ## start a simulated board with the demo's app and leave it running
	@$(RUN) python -m fargo.demo --board-only

lint: $(VENV)/ready $(VENV)/typings/ready  ## ruff and mypy
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@MYPYPATH=$(VENV)/typings:lib:board/esp32 $(RUN) mypy --config-file board/mypy.ini \
	  --custom-typeshed-dir $(VENV)/typings lib board/esp32 firmware

packages:  # programs that the tests drive and pip cannot bring
	@command -v coap-client-notls >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing libcoap3-bin ..."; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libcoap3-bin >/dev/null; \
	  else \
	    echo "The tests drive the device with libcoap's client, which is missing here: sudo apt-get install libcoap3-bin"; exit 1; \
	  fi; }

clean:  ## remove what was made
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis

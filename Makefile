# `make demo` and `make test` each do everything that they need, on a machine with Python 3.11 and pip.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do command -v $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
# Packages are locked with hashes.
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -q
REAL := $(BIN)/python -m scripts.real_vllm.run --env .venv-vllm --models .demo/models --

.PHONY: setup setup-build docs docs-serve demo demo-vllm serve test test-vllm load load-ui scale-out chaos k8s dashboards bench bench-deciding bench-limits bench-lifecycle quality test-build profile check fix fuzz audit classifier lock clean

setup: $(VENV)/.dev                ## everything for developing

$(VENV)/bin/python:
	@echo "making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: requirements/demo.txt pyproject.toml | $(VENV)/bin/python
	@echo "installing what the router needs (about a minute)"
	@$(INSTALL) --require-hashes -r requirements/demo.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.demo
	@echo "installing what its developers need"
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

setup-build: $(VENV)/.dev          ## what `make classifier` needs: torch, sentence-transformers
	@$(INSTALL) torch==2.13.0
	@$(INSTALL) --no-deps --require-hashes -r requirements/build.txt

demo: $(VENV)/.demo                ## the main job, end to end, on simulated model servers
	@$(BIN)/python -m smart_router demo

demo-vllm: $(VENV)/.demo           ## the same on real vLLM servers without a GPU (3 GB, some minutes the first time)
	@scripts/real_vllm/setup.sh .venv-vllm
	@.venv-vllm/bin/python scripts/real_vllm/make_models.py .demo/models
	@$(REAL) $(BIN)/python -m smart_router demo

serve: $(VENV)/.demo               ## the router on ROUTER_PORT, 8001
	@$(BIN)/python -m smart_router serve

test: check                        ## lint, types and all tests that need no real vLLM
	@scripts/install_servers.sh
	@scripts/test.sh

test-vllm: $(VENV)/.dev            ## what only real vLLM servers can show
	@scripts/real_vllm/setup.sh .venv-vllm
	@.venv-vllm/bin/python scripts/real_vllm/make_models.py .demo/models
	@$(REAL) $(BIN)/pytest tests/real_vllm -m real_vllm

load: $(VENV)/.dev                 ## users against a router and simulated model servers, with gates; LOAD='--shape bursts'
	@$(BIN)/python -m loadtests $(LOAD)

load-ui: $(VENV)/.dev              ## the same from locust's web interface, http://localhost:8089
	@$(BIN)/python -m loadtests --ui $(LOAD)

scale-out: $(VENV)/.dev            ## several routers on a Redis Cluster, some of them killed (two minutes); then sessions by the million
	@scripts/install_servers.sh
	@$(BIN)/python -m benchmarks.scaling.scale_out
	@$(BIN)/python -m benchmarks.scaling.sessions

chaos: $(VENV)/.dev                ## faults under load: Redis, replicas, routers (seven minutes); CHAOS='--quick', CHAOS='--soak 20'
	@$(BIN)/python -m tests.chaos $(CHAOS)

bench: $(VENV)/.dev                ## beside other routers (20 minutes, 1.1 GB the first time); BENCH='--quick' tries it
	@PYTHON=$(PYTHON) benchmarks/install_peers.sh .bench
	@$(BIN)/python -m benchmarks.run $(BENCH)

bench-deciding: $(VENV)/.dev       ## what the guard and a bypass cost, in microseconds (a minute)
	@$(BIN)/python -m benchmarks.deciding

bench-limits: $(VENV)/.dev         ## what counting a turn against a rate costs, beside no limit and a fixed window (half a minute)
	@$(BIN)/python -m benchmarks.limits

bench-lifecycle: $(VENV)/.dev      ## who makes room for whom, simulated (ten minutes); docs/model-lifecycle.md
	@$(BIN)/python -m benchmarks.lifecycle
	@$(BIN)/python -m benchmarks.lifecycle_foresight

profile: $(VENV)/.dev              ## where the router's CPU time goes (as root)
	@PYTHON=$(PYTHON) benchmarks/install_peers.sh .bench
	@$(BIN)/python -m benchmarks.profile $(PROFILE)

check: $(VENV)/.dev                ## formatting, lint, types
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet . && $(BIN)/mypy

fix: $(VENV)/.dev                  ## mend what can be mended
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .

fuzz: $(VENV)/.dev                 ## hostile bytes, guided by coverage (Linux on x86-64; a minute a target); FUZZ='upload --seconds 600'
	@$(BIN)/python -m tests.fuzz $(FUZZ)

audit: $(VENV)/.dev                ## known vulnerabilities of what is locked; needs the advisories of pypi.org
	@$(BIN)/python scripts/audit.py

quality:                           ## docs/routing-quality-tables.md, beside semantic-router (3 min, 600 MB the first time); FILES='more.jsonl'
	@test -x .bench/quality/bin/smart-router || { $(PYTHON) -m venv .bench/quality && .bench/quality/bin/pip install -q -e '.[eval]' semantic-router==1.1.1; }
	@.bench/quality/bin/smart-router eval quality/*.jsonl $(FILES) --compare --markdown --plot docs/images/calibration.png > .bench/tables.md
	@{ printf '# Tables of routing quality\n\nMade by `make quality` from `quality/`; see [routing-quality.md](routing-quality.md).\n'; cat .bench/tables.md; } > docs/routing-quality-tables.md

test-build: setup-build            ## what only torch can show: encoders taught and exported
	@$(BIN)/pytest tests/encoders -m build

classifier: setup-build            ## rebuild the artifact that ships in the package (45 minutes; rarely: it weighs on the history)
	@$(BIN)/python -m smart_router classifier build --out src/smart_router/classify/artifact

lock:                              ## requirements/*.txt from pyproject.toml; needs uv
	@uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header pyproject.toml -o requirements/runtime.txt
	@uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header pyproject.toml --group demo -c requirements/runtime.txt -o requirements/demo.txt
	@uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header pyproject.toml --group dev -c requirements/demo.txt -o requirements/dev.txt
	@uv pip compile -q --generate-hashes --python-version 3.11 --no-header pyproject.toml --extra build -c requirements/runtime.txt --no-emit-package torch -o requirements/build.txt
	@uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate --group package -c requirements/demo.txt -o docker/build-backend.txt

docs: $(VENV)/.dev                 ## the documents as a site in build/site, after what is made from the source was made again
	@$(BIN)/python -m scripts.docs
	@$(BIN)/mkdocs build --strict --quiet

docs-serve: $(VENV)/.dev           ## the same at http://localhost:8010, made again as files change
	@$(BIN)/mkdocs serve --dev-addr localhost:8010

dashboards: $(VENV)/.dev           ## grafana/dashboards/*.json, made again from the metrics
	@$(BIN)/python -m grafana.dashboards

k8s: $(VENV)/.dev                  ## what deploy/k8s shares with config/ and prometheus/, made again
	@$(BIN)/python deploy/k8s/generate.py

clean:
	rm -rf $(VENV) .venv-vllm .bench .demo build dist

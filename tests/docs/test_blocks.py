"""The documents' examples work: they are run against a router, read by who would read them, or say why not."""

import json
import shutil
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import yaml

from smart_router.errors import ConfigurationError
from tests.docs.blocks import BLOCKS, DRAWN, PAGES, READ, RUN, TESTED_ELSEWHERE, Block, blocks_in, commands, to_run
from tests.docs.stanzas import is_stanza, load_with
from tests.docs.world import World

TYPED = [(page, list(found)) for page, found in groupby(to_run("console"), key=lambda block: block.page)]
# With every answer that is none, a command of an example fails.
CAREFUL = 'set -euo pipefail\ncurl() { command curl --fail-with-body --max-time 60 "$@"; }\n'

pytestmark = pytest.mark.timeout(600)


def ran(world: World, program: str, text: str, name: str = "example") -> None:
    ended = world.run(program, text, name)
    assert ended.code == 0, f"it ended with {ended.code}:\n{ended.told[-3000:]}"


# every block is accounted for


def test_the_pages_and_their_blocks_are_found() -> None:
    assert len(PAGES) > 20
    assert {"console", "python", "yaml", "json"} <= {block.language for block in BLOCKS}


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_is_of_a_language_that_is_tested_or_says_why_it_is_not(block: Block) -> None:
    assert block.language != "mermaid", "it needs a script of another host; draw it as SVG"
    known = block.language in (*RUN, *READ, *DRAWN) or TESTED_ELSEWHERE.get(block.language) == block.page
    assert known or block.not_run, "write `<!-- not run: REASON -->` into the line before it"


@pytest.mark.parametrize("block", to_run("console"), ids=str)
def test_a_console_block_has_commands(block: Block) -> None:
    assert commands(block).strip(), "its commands begin with `$ `; what only is printed is a block of `text`"


# those that are run


@pytest.mark.parametrize(("page", "typed"), TYPED, ids=[page for page, _ in TYPED])
def test_the_commands_of_a_page_can_be_typed_one_after_the_other(page: str, typed: list[Block], world: World) -> None:
    parts = [f"echo '--- {block}' >&2\n{commands(block)}" for block in typed]
    ran(world, "bash", CAREFUL + "".join(parts))


@pytest.mark.parametrize("block", to_run("bash", "sh"), ids=str)
def test_a_script_runs(block: Block, world: World) -> None:
    ran(world, "bash", CAREFUL + block.text)


@pytest.mark.parametrize("block", to_run("python"), ids=str)
def test_a_python_example_runs(block: Block, world: World) -> None:
    ran(world, "python", block.text)


@pytest.mark.parametrize("block", to_run("js"), ids=str)
def test_a_javascript_example_runs(block: Block, world: World) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on the PATH")
    ran(world, node, block.text, "example.mjs")


# those that are read


@pytest.mark.parametrize("block", to_run("json"), ids=str)
def test_a_json_example_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", to_run("yaml"), ids=str)
def test_a_yaml_example_is_yaml_and_of_a_registry_one_that_a_router_takes(block: Block, tmp_path: Path) -> None:
    found: list[Any] = list(yaml.safe_load_all(block.text))
    assert found
    for data in found:
        if is_stanza(data):
            load_with(data, tmp_path)


# how they are found

PAGE = """\
# A page

```console
$ curl localhost:8001/health
{"status": "healthy"}
$ curl localhost:8001/route \\
    -d '{"query": "it''s
 two lines"}'
```

<!-- not run: it needs a GPU -->
```console
$ vllm serve
```

1. A list

   ```promql
   up
   ```
"""


def test_a_block_knows_its_line_its_language_and_why_it_is_not_run() -> None:
    first, second, third = blocks_in(PAGE, "page.md")
    assert (str(first), first.language, first.not_run) == ("page.md:3", "console", None)
    assert (str(second), second.not_run) == ("page.md:12", "it needs a GPU")
    assert (third.language, third.text) == ("promql", "up\n")


def test_of_a_console_block_only_what_is_typed_is_run() -> None:
    first = next(blocks_in(PAGE, "page.md"))
    assert commands(first) == (
        "curl localhost:8001/health\ncurl localhost:8001/route \\\n    -d '{\"query\": \"it''s\n two lines\"}'\n"
    )


@pytest.mark.parametrize("command", ["false; true", "curl -s localhost:8001/nowhere", "sleep 1000 & no-such-command"])
def test_a_command_that_fails_is_noticed(command: str, world: World) -> None:
    assert world.run("bash", f"{CAREFUL}{command}\n").code != 0


def test_a_stanza_that_a_router_would_refuse_is_noticed(tmp_path: Path) -> None:
    stanza = {"models": [{"id": "small", "backend": "llama", "endpoints": ["http://localhost:1"]}]}
    assert is_stanza(stanza)
    with pytest.raises(ConfigurationError, match="backend"):
        load_with(stanza, tmp_path)

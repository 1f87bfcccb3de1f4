"""Whatever a model writes stays text: nothing runs, nothing is loaded, nothing hangs."""

import json

from playwright.sync_api import expect

from tests.e2e.models import Recorder

from .playground import Playground
from .speaking import says

SCRIPTS = """<script>window.pwned = 1</script>
<img src=x onerror="window.pwned = 2"> <svg onload="window.pwned = 3"> <iframe src="https://evil.example/"></iframe>

<style>body { display: none }</style>

```html
<script>window.pwned = 4</script>
```
"""
LINKS = """[a](javascript:window.pwned=5) [b](JaVaScRiPt:window.pwned=6)
[c](data:text/html,<script>window.pwned=7</script>) [d](vbscript:x) [e](java&#10;script:x)
[f](//evil.example) [g](/admin) [h](https://good.example/path "x") https://bare.example/a_b.
![i](https://evil.example/pixel.png) ![j](data:image/svg+xml,<svg onload=alert(1)>)
<https://angle.example/> <javascript:alert(1)>"""
BOMBS = {
    "stars": "*a_" * 20_000,
    "brackets": "[" * 30_000 + "](x)" * 5_000,
    "quotes": ("> " * 400 + "x\n") * 60,
    "lists": "\n".join("  " * depth + "- x" for depth in range(250)),
    "table": "|a" * 3_000 + "|\n" + "|-" * 3_000 + "|\n" + ("|b" * 3_000 + "|\n") * 5,
    "ticks": " ".join("`" * length for length in range(200)),
    "rows": "|a|b|\n|-|-|\n" + "|**c**|`d`|\n" * 1_500,
    "long": "word " * 60_000,
}


def test_markup_is_shown_as_text(spoken: Playground, model: Recorder) -> None:
    says(model, SCRIPTS)
    spoken.ask("Attack")
    expect(spoken.answer).to_contain_text("<script>window.pwned = 1</script>")
    expect(spoken.answer).to_contain_text('<img src=x onerror="window.pwned = 2">')
    assert spoken.answer.locator("script, img, svg[onload], iframe, style").count() == 0
    assert spoken.page.evaluate("() => window.pwned") is None


def test_only_plain_links_lead_out_and_pictures_are_not_loaded(spoken: Playground, model: Recorder) -> None:
    says(model, LINKS)
    spoken.ask("Attack")
    links = spoken.answer.locator("a")
    found = links.evaluate_all("all => all.map(a => [a.href, a.rel, a.target])")
    assert [href for href, _, _ in found] == [
        "https://good.example/path", "https://bare.example/a_b", "https://evil.example/pixel.png", "https://angle.example/",
    ]  # fmt: skip
    assert all("noopener" in rel and target == "_blank" for _, rel, target in found)
    assert spoken.answer.locator("img").count() == 0


def test_hostile_words_are_harmless_wherever_they_are_shown(spoken: Playground, model: Recorder) -> None:
    says(model, "Fine.")
    spoken.ask('"><img src=x onerror="window.pwned=8"> \u202e reversed')
    spoken.attach('<img onerror="window.pwned=9">.png', "image/png", b"\x89PNG\r\n\x1a\n" + bytes(20))
    expect(spoken.side).to_contain_text("onerror")
    spoken.reload()
    expect(spoken.turns).to_have_count(1)
    assert spoken.page.evaluate("() => window.pwned") is None


def test_a_hostile_routers_words_are_text_too(spoken: Playground, model: Recorder) -> None:
    spoken.watch.provoked(404)  # the router knows no such session
    evil = "<img src=x onerror='window.pwned=1'>"
    spoken.page.route(
        "**/stats", lambda route: route.fulfill(json={"use_cases": {evil: {"requests": 3}}, "scope": evil})
    )
    decision = {"use_case": evil, "selected_model": evil, "reason": evil}
    why = {"scores": {evil: 1}, "because": {"note": evil, "guard_cues": {evil: 0.5}}}
    spoken.streams(("route", decision), ("done", {}), **{"x-route-because": json.dumps(why)})
    spoken.ask("Hello")
    expect(spoken.last.get_by_role("list", name="Decision")).to_contain_text("onerror")
    spoken.button("Why this route?", spoken.last).click()
    assert spoken.page.evaluate("() => window.pwned") is None


def test_markdown_bombs_end(spoken: Playground, model: Recorder) -> None:
    for name, bomb in BOMBS.items():
        says(model, bomb[: len(bomb) // 2], bomb[len(bomb) // 2 :])
        spoken.page.keyboard.press("Control+k")
        spoken.ask(f"Attack with {name}")
    assert spoken.answer.locator("*").count() < 30_000


def test_markdown_is_drawn(spoken: Playground, model: Recorder) -> None:
    says(
        model,
        "# Title\n\nSome **bold** and `code`.\n\n- one\n- two\n\n```python\nprint(1)\n```\n\n",
        "|a|b|\n|-|-:|\n|1|2|\n\n> नमस्ते दुनिया",
    )
    spoken.ask("Draw")
    answer = spoken.answer
    expect(answer.get_by_role("heading", name="Title")).to_be_visible()
    expect(answer.locator("strong")).to_have_text("bold")
    expect(answer.get_by_role("listitem")).to_have_count(2)
    expect(answer.get_by_role("cell", name="2")).to_be_visible()
    assert answer.locator("blockquote p").get_attribute("lang") == "hi"
    spoken.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    spoken.button("Copy python", answer).click()
    expect(answer.get_by_text("Copied")).to_be_visible()
    assert spoken.page.evaluate("() => navigator.clipboard.readText()") == "print(1)"

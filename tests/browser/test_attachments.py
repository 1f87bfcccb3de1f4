"""Files by each way in, as the models get them; the microphone; what cannot be attached."""

import base64
import io
import json
import re
import wave
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Playwright, expect

from tests.e2e.asking import PYTHON, a_png, a_sound, a_wav
from tests.e2e.models import Models, parts
from tests.e2e.routers import BODY_LIMIT, Router

from .chromium import a_browser
from .conftest import Opener
from .playground import Playground

PNG = base64.b64decode(a_png())
MP4 = b"\0\0\0\x18ftypmp42" + bytes(32)
FILES = """const files = (told) => {
    const transfer = new DataTransfer();
    const bytes = (data) => Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    for (const {name, type, data} of told) transfer.items.add(new File([bytes(data)], name, {type}));
    return transfer;
};"""
DROP = f"""(target, told) => {{
    {FILES}
    const options = {{bubbles: true, cancelable: true, dataTransfer: files(told)}};
    for (const event of ['dragenter', 'dragover', 'drop']) target.dispatchEvent(new DragEvent(event, options));
}}"""
PASTE = f"""(target, told) => {{
    {FILES}
    const options = {{bubbles: true, cancelable: true, clipboardData: files(told)}};
    target.dispatchEvent(new ClipboardEvent('paste', options));
}}"""


def test_a_picture_from_the_file_picker_reaches_the_model(playground: Playground, models: Models) -> None:
    playground.attach("dot.png", "image/png", PNG)
    turn = playground.ask("What is in this picture?")
    expect(turn.get_by_role("list", name="Decision")).to_contain_text(
        re.compile("multimodal.*by attachment", re.DOTALL)
    )
    expect(turn.get_by_role("list", name="Attachments")).to_contain_text("dot.png")
    [part] = parts(models.multimodal.received()[-1], "image_url")
    assert part["image_url"]["url"] == f"data:image/png;base64,{a_png()}"
    expect(playground.attached).to_have_count(0)


def test_a_video_and_a_sound_reach_the_models_that_take_them(playground: Playground, models: Models) -> None:
    playground.attach("clip.mp4", "video/mp4", MP4)
    turn = playground.ask("What happens in this clip?")
    expect(turn.get_by_role("list", name="Decision")).to_contain_text("video")
    assert parts(models.multimodal.received()[-1], "video_url")
    playground.attach("note.wav", "audio/wav", a_sound(32_000))
    turn = playground.ask("Write down what is said")
    expect(turn.get_by_role("list", name="Decision")).to_contain_text("stt")
    expect(turn.locator("audio")).to_be_visible()
    assert models.audio.received()


def test_files_can_be_dropped_and_pasted(playground: Playground) -> None:
    dropped = [
        {"name": "a.png", "type": "image/png", "data": a_png()},
        {"name": "b.wav", "type": "audio/wav", "data": a_wav()},
    ]
    playground.page.locator("#scroller").evaluate(DROP, dropped)
    expect(playground.attached).to_have_count(2)
    expect(playground.page.locator("#drop")).to_be_hidden()
    playground.box.evaluate(PASTE, [{"name": "shot.png", "type": "image/png", "data": a_png()}])
    expect(playground.attached).to_have_count(3)
    playground.button("Remove b.wav").click()
    expect(playground.attached).to_have_count(2)


def test_an_address_is_given_to_the_router_and_not_fetched_here(playground: Playground) -> None:
    playground.button("Attach by address").click()
    address = playground.page.get_by_label("Address", exact=True)
    address.fill("javascript:alert(1)")
    playground.button("Attach").click()
    expect(playground.page.get_by_role("dialog")).to_contain_text("begins with https://")
    address.fill("https://example.org/clip.mp4?x=1")
    expect(playground.page.get_by_label("What it is")).to_have_value("video")
    playground.button("Attach").click()
    expect(playground.attached).to_contain_text("example.org")
    with playground.page.expect_request("**/route") as sent:
        playground.send("What happens here?")
    body: dict[str, Any] = json.loads(sent.value.post_data or "")
    assert body["attachments"] == [{"type": "video", "url": "https://example.org/clip.mp4?x=1"}]
    expect(playground.page.locator(".turn.under-way")).to_have_count(0)
    playground.watch.provoked(400)  # where this machine cannot look the name up


def test_what_is_no_medium_is_refused_in_words_and_the_rest_is_kept(playground: Playground) -> None:
    playground.box.fill("Look at this")
    playground.offer(
        ("report.pdf", "application/pdf", b"%PDF"), ("dot.png", "image/png", PNG), ("nothing.png", "image/png", b"")
    )
    expect(playground.notices).to_contain_text("“nothing.png” is empty")
    expect(playground.attached).to_have_count(1)
    playground.offer(("report.pdf", "application/pdf", b"%PDF"))
    expect(playground.notices).to_contain_text("“report.pdf” is not a picture, a sound or a video")
    expect(playground.box).to_have_value("Look at this")


def test_what_is_too_large_is_told_before_it_is_sent(playground: Playground, models: Models) -> None:
    playground.offer(("big.png", "image/png", PNG + bytes(BODY_LIMIT)))
    expect(playground.notices).to_contain_text("the router takes 1.0 MB")
    expect(playground.attached).to_have_count(0)
    for name in ("one.png", "two.png"):  # each fits, both do not
        playground.attach(name, "image/png", PNG + bytes(BODY_LIMIT // 2))
    playground.send("What is in these?")
    expect(playground.notices).to_contain_text("the router takes 1.0 MB")
    expect(playground.box).to_have_value("What is in these?")
    expect(playground.attached).to_have_count(2)
    assert models.requests() == 0 and not any(url.endswith("/route") for url in playground.watch.urls)


def test_a_recording_is_heard_first_and_arrives_as_wav(playground: Playground, models: Models) -> None:
    playground.button("Record from the microphone").click()
    expect(playground.page.get_by_role("timer")).to_have_text(re.compile("0:0[1-9]"))
    playground.button("Keep").click()
    expect(playground.attached.locator("audio")).to_be_visible()
    playground.ask("Write down what is said")
    [part] = parts(models.audio.received()[-1], "audio_url")
    assert part["audio_url"]["url"].startswith("data:audio/wav;base64,")
    with wave.open(io.BytesIO(base64.b64decode(part["audio_url"]["url"].partition(",")[2]))) as sound:
        assert (sound.getframerate(), sound.getnchannels()) == (16_000, 1)
        assert sound.getnframes() > 8_000


def test_a_recording_can_be_discarded(playground: Playground) -> None:
    playground.button("Record from the microphone").click()
    playground.button("Discard").click()
    expect(playground.page.get_by_role("group", name="Recording")).to_be_hidden()
    expect(playground.attached).to_have_count(0)
    expect(playground.button("Record from the microphone")).to_be_focused()


@pytest.fixture(scope="module")
def refusing(playwright: Playwright) -> Iterator[Browser]:
    """Has a microphone, and nobody to allow it."""
    with a_browser(playwright, "--use-fake-device-for-media-stream") as found:
        yield found


def test_a_refused_microphone_is_told_and_nothing_is_lost(opener: Opener, refusing: Browser, router: Router) -> None:
    playground = opener(router.url, refusing)
    playground.box.fill("Listen")
    playground.button("Record from the microphone").click()
    expect(playground.notices).to_contain_text("The microphone was refused.")
    expect(playground.notices).to_contain_text("address bar")
    expect(playground.box).to_have_value("Listen")


@pytest.mark.parametrize(
    ("media", "said"),
    [
        ("undefined", "only over https or on localhost"),
        ("{getUserMedia: async () => { throw new DOMException('', 'NotFoundError') }}", "No microphone was found."),
    ],
    ids=["insecure", "absent"],
)
def test_without_a_microphone_it_says_what_to_do(opener: Opener, router: Router, media: str, said: str) -> None:
    playground = opener(router.url, opened_at_once=False)
    playground.page.add_init_script(f"Object.defineProperty(navigator, 'mediaDevices', {{value: {media}}})")
    playground.open()
    playground.button("Record from the microphone").click()
    expect(playground.notices).to_contain_text(said)


HEARD = """
    window.streams = [];
    const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wish) => {
        await new Promise((go) => setTimeout(go, 300));  // somebody reads what is asked
        const stream = await real(wish);
        window.streams.push(stream);
        return stream;
    };
"""
LISTENING = "() => window.streams.flatMap((one) => one.getTracks()).filter((one) => one.readyState === 'live').length"


@pytest.fixture
def heard(opener: Opener, router: Router) -> Playground:
    """Its streams from the microphone can be looked at."""
    playground = opener(router.url, opened_at_once=False)
    playground.page.add_init_script(HEARD)
    playground.open()
    return playground


def test_a_microphone_that_was_asked_for_twice_listens_once(heard: Playground) -> None:
    heard.button("Record from the microphone").dblclick()
    expect(heard.page.get_by_role("timer")).to_have_text(re.compile("0:0[1-9]"))
    heard.button("Discard").click()
    assert heard.page.evaluate(LISTENING) == 0


def test_a_microphone_that_is_unplugged_loses_nothing_that_was_said(heard: Playground) -> None:
    heard.button("Record from the microphone").click()
    expect(heard.page.get_by_role("timer")).to_have_text(re.compile("0:0[1-9]"))
    heard.page.evaluate("""async () => {
        const [track] = window.streams[0].getTracks();
        track.stop();
        await new Promise((go) => setTimeout(go, 300));
    }""")
    heard.button("Keep").click()
    expect(heard.attached.locator("audio")).to_be_visible()


def test_a_text_with_a_picture_of_itself_is_pasted_as_text(playground: Playground) -> None:
    """As word processors and spreadsheets copy."""
    pasted = playground.box.evaluate("""(box) => {
        const data = new DataTransfer();
        data.setData('text/plain', 'words');
        data.setData('text/html', '<b>words</b>');
        data.items.add(new File(['x'], 'image.png', {type: 'image/png'}));
        return box.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}));
    }""")
    assert pasted is True  # left to the browser
    expect(playground.attached).to_have_count(0)


def test_files_go_to_the_session_that_they_were_chosen_in(playground: Playground) -> None:
    playground.ask(PYTHON)
    playground.page.evaluate("""() => {
        const real = FileReader.prototype.readAsDataURL;
        window.read = 0;
        FileReader.prototype.readAsDataURL = function (file) {
            setTimeout(() => { window.read += 1; real.call(this, file); }, 500);
        };
    }""")
    playground.offer(("one.png", "image/png", PNG), ("two.png", "image/png", PNG))
    playground.page.keyboard.press("Control+k")
    expect(playground.turns).to_have_count(0)
    playground.page.wait_for_function("() => window.read === 2")
    playground.side.get_by_role("button", name=PYTHON).first.click()
    expect(playground.attached).to_have_count(2)


def test_a_message_waits_for_the_file_that_is_still_being_read(playground: Playground, models: Models) -> None:
    playground.page.evaluate("""() => {
        const real = FileReader.prototype.readAsDataURL;
        FileReader.prototype.readAsDataURL = function (file) { setTimeout(() => real.call(this, file), 1000); };
    }""")
    playground.offer(("one.png", "image/png", PNG))
    playground.ask("What is in this picture?")
    expect(playground.last.locator(".asked .chip")).to_have_count(1)
    assert len(parts(models.multimodal.received()[-1], "image_url")) == 1

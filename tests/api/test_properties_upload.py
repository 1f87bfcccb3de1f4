"""Forms with boundaries in odd places: vLLM's framework must not find a model in them that the router did not find."""

from hypothesis import example, given
from hypothesis import strategies as st

from tests.api.test_upload import END, HEAD, LANGUAGE, MODEL, SMALL, B
from tests.fuzz.upload import _models_by_others, _told, check

PIECES = st.sampled_from([
    MODEL, LANGUAGE, SMALL, END, f"--{B}".encode(), f"\r\n--{B}".encode(), b"\r\n", b"\r\n\r\n", b"--", b"\n", b"\r",
    b" ", b"\0", HEAD.encode(), b'Content-Disposition: form-data; name="file"; filename="a"', b'; name="model"',
    b"Content-Type: text/plain", b"stt", b": ", b"a", b"form-data; name=model",
])  # fmt: skip
HEAD_ALONE = f'--{B}\r\nContent-Disposition: form-data; name="file"\r\n\r\n'.encode()


@example([MODEL], True)
@example([SMALL, MODEL], True)
@given(st.lists(PIECES, max_size=12), st.booleans())
def test_a_form_in_disorder_is_refused_or_others_find_the_same_model_in_it(pieces: list[bytes], begins: bool) -> None:
    check((MODEL if begins else b"") + b"".join(pieces) + END)


def test_a_boundary_right_after_a_head_is_content_here_as_it_is_for_others() -> None:
    form = HEAD_ALONE + MODEL + END
    found = _told([form])
    assert ([found[0]] if isinstance(found, tuple) else []) == _models_by_others(form)


def test_a_name_with_a_line_feed_after_it_is_another_name_here_as_it_is_for_others() -> None:
    form = f"--{B}\r\n{HEAD}\n\r\n\r\nstt\r\n".encode() + END
    found = _told([form])
    assert ([found[0]] if isinstance(found, tuple) else []) == _models_by_others(form)

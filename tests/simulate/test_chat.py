"""What a simulated chat says, and where it ends."""

import json

import aiohttp

from smart_router.simulate import Kind

from .asking import CHAT, ID, ask, events, said, saying, text_of

Urls = dict[Kind, str]


async def test_an_answer_tells_what_arrived(urls: Urls, http: aiohttp.ClientSession) -> None:
    talk = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "How are you?"},
    ]
    answer = await said(http, urls["text"], {"messages": talk})
    assert answer == f"[simulated {ID}] You said: How are you? (3 earlier messages)"


async def test_the_same_request_gets_the_same_answer(urls: Urls, http: aiohttp.ClientSession) -> None:
    assert await said(http, urls["text"], saying("Again")) == await said(http, urls["text"], saying("Again"))


async def test_text_in_any_script_comes_back_unharmed(urls: Urls, http: aiohttp.ClientSession) -> None:
    text = "नमस्ते दुनिया, கணினி! 日本語の文章です。 😀"
    assert text in await said(http, urls["text"], saying(text))
    assert text in text_of(await events(http, urls["text"] + CHAT, saying(text)))


async def test_half_a_character_is_no_reason_to_fail(urls: Urls, http: aiohttp.ClientSession) -> None:
    raw = b'{"messages": [{"role": "user", "content": "half \\ud83d here"}]}'
    async with http.post(urls["text"] + CHAT, data=raw, headers={"content-type": "application/json"}) as answer:
        assert "half" in await answer.text()


async def test_an_answer_of_one_token_still_says_that_it_is_simulated(urls: Urls, http: aiohttp.ClientSession) -> None:
    assert await said(http, urls["text"], saying(max_tokens=1)) == "[simulated"


async def test_an_answer_is_cut_at_max_tokens(urls: Urls, http: aiohttp.ClientSession) -> None:
    answer = await ask(http, urls["text"] + CHAT, saying("one two three", max_tokens=5))
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 5


async def test_an_answer_that_is_complete_stops(urls: Urls, http: aiohttp.ClientSession) -> None:
    answer = await ask(http, urls["text"] + CHAT, saying())
    assert answer["choices"][0]["finish_reason"] == "stop"


async def test_words_and_marks_are_counted(urls: Urls, http: aiohttp.ClientSession) -> None:
    answer = await ask(http, urls["text"] + CHAT, saying("Hello, world!", max_tokens=2))
    counted = answer["usage"]
    assert (counted["prompt_tokens"], counted["completion_tokens"], counted["total_tokens"]) == (7, 2, 9)


async def test_an_answer_fills_the_context_when_it_may_not_end(urls: Urls, http: aiohttp.ClientSession) -> None:
    answer = await ask(http, urls["text"] + CHAT, saying(ignore_eos=True, max_tokens=4000))
    assert answer["usage"]["completion_tokens"] == 4000


async def test_an_answer_ends_before_a_stop_string(urls: Urls, http: aiohttp.ClientSession) -> None:
    answer = await ask(http, urls["text"] + CHAT, saying("What?", stop=["nowhere", "You said"]))
    choice = answer["choices"][0]
    assert choice["message"]["content"] == f"[simulated {ID}] "
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", "You said")


async def test_every_choice_says_which_it_is(urls: Urls, http: aiohttp.ClientSession) -> None:
    answer = await ask(http, urls["text"] + CHAT, saying(n=3))
    texts = [choice["message"]["content"] for choice in answer["choices"]]
    assert "(choice 3)" in texts[2]
    assert len(set(texts)) == 3


async def test_json_is_json_when_asked_for(urls: Urls, http: aiohttp.ClientSession) -> None:
    answer = await said(http, urls["text"], saying("Hi", response_format={"type": "json_object"}))
    assert json.loads(answer)["you_said"] == "Hi"


async def test_each_token_has_its_probability(urls: Urls, http: aiohttp.ClientSession) -> None:
    answer = await ask(http, urls["text"] + CHAT, saying(max_tokens=3, logprobs=True, top_logprobs=2))
    told = answer["choices"][0]["logprobs"]["content"]
    assert [len(one["top_logprobs"]) for one in told] == [2, 2, 2]
    assert "".join(one["token"] for one in told) == answer["choices"][0]["message"]["content"]


async def test_a_request_id_becomes_the_answers_id(urls: Urls, http: aiohttp.ClientSession) -> None:
    async with http.post(urls["text"] + CHAT, json=saying(), headers={"X-Request-Id": "abc"}) as answer:
        assert (await answer.json())["id"] == "chatcmpl-abc"


async def test_every_answer_is_marked_as_simulated(urls: Urls, http: aiohttp.ClientSession) -> None:
    async with http.post(urls["text"] + CHAT, json=saying()) as answer:
        assert answer.headers["x-simulated"] == "true"
        assert "simulated" in (await answer.json())["system_fingerprint"]


async def test_a_stream_opens_with_the_role_and_ends_with_the_finish(urls: Urls, http: aiohttp.ClientSession) -> None:
    first, *_, last, done = await events(http, urls["text"] + CHAT, saying(max_tokens=4))
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert last["choices"][0]["finish_reason"] == "length"
    assert "usage" not in last
    assert done == "[DONE]"


async def test_a_streams_deltas_are_the_whole_answers_text(urls: Urls, http: aiohttp.ClientSession) -> None:
    streamed = await events(http, urls["text"] + CHAT, saying("Say it twice."))
    assert text_of(streamed) == await said(http, urls["text"], saying("Say it twice."))


async def test_usage_comes_last_in_a_stream_that_asked_for_it(urls: Urls, http: aiohttp.ClientSession) -> None:
    asked = saying(max_tokens=4, stream_options={"include_usage": True})
    *_, usage, done = await events(http, urls["text"] + CHAT, asked)
    assert (usage["choices"], usage["usage"]["completion_tokens"], done) == ([], 4, "[DONE]")


async def test_usage_all_along_grows_with_the_stream(urls: Urls, http: aiohttp.ClientSession) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    streamed = await events(http, urls["text"] + CHAT, saying(max_tokens=3, stream_options=options))
    assert [event["usage"]["completion_tokens"] for event in streamed[:-1]] == [0, 1, 2, 3, 3]


async def test_a_completion_continues_its_prompt(urls: Urls, http: aiohttp.ClientSession) -> None:
    answer = await ask(http, f"{urls['text']}/v1/completions", {"prompt": "Once", "echo": True, "max_tokens": 99})
    assert answer["choices"][0]["text"] == f"Once [simulated {ID}] continues: Once."


async def test_every_prompt_gets_its_completion(urls: Urls, http: aiohttp.ClientSession) -> None:
    asked = {"prompt": ["One", "Two"], "max_tokens": 99}
    answer = await ask(http, f"{urls['text']}/v1/completions", asked)
    assert [choice["text"].split()[-1] for choice in answer["choices"]] == ["One.", "Two."]


async def test_a_response_says_the_same_whole_and_streamed(urls: Urls, http: aiohttp.ClientSession) -> None:
    path = f"{urls['text']}/v1/responses"
    whole = await ask(http, path, {"input": "Hi"})
    streamed = await events(http, path, {"input": "Hi"})
    assert streamed[-1]["response"]["output"][0]["content"] == whole["output"][0]["content"]
    assert "You said: Hi" in whole["output"][0]["content"][0]["text"]


async def test_a_message_says_the_same_whole_and_streamed(urls: Urls, http: aiohttp.ClientSession) -> None:
    path, asked = f"{urls['text']}/v1/messages", saying("Hi", model=ID, max_tokens=99)
    whole = await ask(http, path, asked)
    streamed = await events(http, path, asked)
    told = [event["delta"]["text"] for event in streamed if event["type"] == "content_block_delta"]
    assert "".join(told) == whole["content"][0]["text"]


async def test_tokens_become_their_text_again(urls: Urls, http: aiohttp.ClientSession) -> None:
    asked = {"prompt": "Hello, world!", "return_token_strs": True}
    told = await ask(http, f"{urls['text']}/tokenize", asked)
    assert told["token_strs"] == ["Hello", ",", " world", "!"]
    back = await ask(http, f"{urls['text']}/detokenize", {"tokens": told["tokens"]})
    assert back == {"prompt": "Hello, world!"}


async def test_an_answer_is_one_of_the_choices_and_always_the_same(urls: Urls, http: aiohttp.ClientSession) -> None:
    asked = saying("let me hear that", structured_outputs={"choice": ["agent", "tts"]})
    found = {await said(http, urls["text"], asked) for _ in range(5)}
    assert len(found) == 1
    assert found < {"agent", "tts"}


async def test_a_choice_that_is_named_is_chosen(urls: Urls, http: aiohttp.ClientSession) -> None:
    asked = saying("is this one for TTS?", structured_outputs={"choice": ["agent", "tts"]})
    assert await said(http, urls["text"], asked) == "tts"

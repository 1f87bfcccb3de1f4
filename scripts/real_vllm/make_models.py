"""
Make three tiny models for a real vLLM server: configuration and tokenizer, no weights.

    python make_models.py OUT_DIR

leaves OUT_DIR/text (Qwen2), OUT_DIR/image (LLaVA) and OUT_DIR/audio (Whisper). `vllm serve --load-format dummy`
fills in random weights, so the answers are noise, but everything around them is the real thing. The result
depends on this file and the installed libraries alone; a model that is already there is left as it is.
"""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaProcessor,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperTokenizer,
)
from transformers.models.whisper.tokenization_whisper import LANGUAGES

VOCABULARY = 2_000  # entries of each tokenizer, before Whisper's own special tokens
POSITIONS = 32_768  # tokens a text or image model could take; `--max-model-len` chooses how many it does
DONE = "config.json"  # written last: a directory that has it is complete

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CHAT_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
IMAGE_TOKEN = "<image>"

# What the tokenizers learn their words from. Its size matters more than its sense: enough different words that
# VOCABULARY entries can be learnt, in prose, code and a few scripts, so that ordinary questions stay short.
TEXT = """
A session is a conversation between a person and a model. The first question tells what the conversation is about, and
the questions after it usually stay with the same subject: please explain that again, add error handling to the
function, translate the last paragraph, show me another example, make it shorter, thank you. A router that remembers
where the conversation went before can send the next question to the same server without thinking about it twice.
When somebody suddenly asks for something else, for instance to describe a picture, to write a poem about the sea or
to transcribe a recording, the router has to notice and choose a different model for the new task.

Large language models read text in small pieces called tokens. Frequent words are one piece, rare words are several.
The server keeps what it has already computed for the beginning of a conversation in a cache, because computing it
again would cost time and energy. While a model sleeps its weights are moved out of the way; waking it up takes a few
seconds. Every answer arrives as a stream of short chunks, and the time until the first of them is what people feel.

Question: How do I reverse a linked list in Python without using extra memory? Answer: Walk through the list once and
turn every pointer around. Question: What is the capital of France, and how many inhabitants does it have? Answer:
Paris has about two million inhabitants. Question: Which animals are in this photograph? Answer: There are three brown
dogs, a white horse and a small bird on the wooden fence behind the house. Question: Can you summarize the meeting
notes from yesterday afternoon? Answer: We agreed on the budget, moved the release to Thursday and asked the customer
for feedback. Question: Why does my program crash with a segmentation fault? Answer: Probably because it reads memory
that has already been given back to the operating system; run it under a debugger and look at the stack trace.

def quicksort(numbers: list[int]) -> list[int]:
    if len(numbers) <= 1:
        return numbers
    pivot, rest = numbers[0], numbers[1:]
    smaller = [number for number in rest if number < pivot]
    larger = [number for number in rest if number >= pivot]
    return quicksort(smaller) + [pivot] + quicksort(larger)

class Account:
    def __init__(self, owner: str, balance: float = 0.0) -> None:
        self.owner = owner
        self.balance = balance

    def withdraw(self, amount: float) -> float:
        if amount > self.balance:
            raise ValueError("insufficient funds")
        self.balance -= amount
        return self.balance

SELECT customers.name, COUNT(orders.id) AS total FROM customers LEFT JOIN orders ON orders.customer_id = customers.id
WHERE orders.created_at >= '2024-01-01' GROUP BY customers.name HAVING COUNT(orders.id) > 10 ORDER BY total DESC;

{"model": "example", "messages": [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user",
"content": "Hello, world!"}], "temperature": 0.7, "max_tokens": 100, "stream": true}

In spring the garden slowly turns green, the children play outside until evening, and the old neighbour repairs his
bicycle in front of the kitchen window. Summer brings heavy thunderstorms, long journeys by train, ice cream, mosquitoes
and visitors from abroad. During autumn the forest becomes yellow, orange and red; mushrooms appear overnight, and the
farmers harvest potatoes, pumpkins, apples and grapes. Winter is quiet: snow covers roofs and roads, the lake freezes,
families gather around a warm fireplace and somebody always tells the same funny story about grandfather's wedding.

Scientists measure temperature, pressure, velocity, distance, frequency and electrical resistance. Physicians examine
patients, prescribe medicine and recommend exercise. Engineers design bridges, airplanes, computers and batteries.
Lawyers discuss contracts, judges decide cases, journalists investigate rumours, musicians practise symphonies,
painters mix colours, bakers prepare bread before sunrise, and teachers patiently correct the homework of their pupils.

Guten Morgen! Wie geht es Ihnen heute? Ich möchte bitte eine Fahrkarte nach München kaufen. Können Sie mir erklären,
warum der Server nicht antwortet? Die Übersetzung dieses Absatzes ist ziemlich schwierig, aber trotzdem verständlich.
Bonjour, comment allez-vous aujourd'hui ? Je voudrais réserver une table pour quatre personnes, s'il vous plaît.
Pourriez-vous m'expliquer pourquoi cette fonction renvoie une erreur ? Merci beaucoup et à bientôt.
¿Dónde está la biblioteca más cercana? Necesito ayuda para escribir una carta formal a mi vecino. Muchas gracias.
你好,请帮我写一个函数。今天天气怎么样?谢谢你的回答。 Привет, как дела? Объясни, пожалуйста, этот пример.
こんにちは。この文章を翻訳してください。ありがとうございます。
"""


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python make_models.py OUT_DIR")
    for name, make in {"text": make_text, "image": make_image, "audio": make_audio}.items():
        make_once(Path(sys.argv[1]) / name, make)


def make_once(target: Path, make: Callable[[Path], None]) -> None:
    """Let *make* fill *target*, unless it is there already; *target* appears whole or not at all."""
    if (target / DONE).exists():
        print(f"{target}: already there", flush=True)
        return
    print(f"{target}: making", flush=True)
    draft = target.with_name(f"{target.name}.draft")
    for leftover in (draft, target):
        shutil.rmtree(leftover, ignore_errors=True)
    draft.mkdir(parents=True)
    make(draft)
    draft.rename(target)


def make_text(target: Path) -> None:
    """A Qwen2 of two layers."""
    tokenizer = chat_tokenizer(CHAT_TOKENS)
    tokenizer.save_pretrained(target)
    config = Qwen2Config(
        architectures=["Qwen2ForCausalLM"],
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=POSITIONS,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=False,
        dtype="bfloat16",
    )
    save_config(config, target)


def make_image(target: Path) -> None:
    """A LLaVA of two CLIP layers and two Llama layers; an image of 56 x 56 pixels becomes 16 tokens."""
    tokenizer = chat_tokenizer([*CHAT_TOKENS, IMAGE_TOKEN])
    vision = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=128,
        projection_dim=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
    )
    language = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=POSITIONS,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=False,
    )
    config = LlavaConfig(
        architectures=["LlavaForConditionalGeneration"],
        vision_config=vision,
        text_config=language,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE_TOKEN),
        image_seq_length=16,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        tie_word_embeddings=False,
        dtype="bfloat16",
    )
    LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(target)
    save_config(config, target)


def make_audio(target: Path) -> None:
    """
    A Whisper of two encoder and two decoder layers.

    Two heads of 64: vLLM's CPU attention refuses heads smaller than 32.
    """
    tokenizer = whisper_tokenizer()
    ids = tokenizer.get_vocab()
    tokenizer.save_pretrained(target)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(target)
    config = WhisperConfig(
        architectures=["WhisperForConditionalGeneration"],
        vocab_size=len(tokenizer),
        d_model=128,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=256,
        decoder_ffn_dim=256,
        num_mel_bins=80,
        max_source_positions=1_500,
        max_target_positions=448,
        pad_token_id=ids["<|endoftext|>"],
        bos_token_id=ids["<|endoftext|>"],
        eos_token_id=ids["<|endoftext|>"],
        decoder_start_token_id=ids["<|startoftranscript|>"],
        suppress_tokens=None,
        begin_suppress_tokens=None,
        dtype="bfloat16",
    )
    whisper_generation(ids).save_pretrained(target)
    save_config(config, target)


def save_config(config: PreTrainedConfig, target: Path) -> None:
    """Write *config* as DONE, the last file of a model."""
    text = json.dumps(config.to_diff_dict(), indent=2, sort_keys=True)
    (target / DONE).write_text(text + "\n", encoding="utf-8")


def chat_tokenizer(special_tokens: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer whose turns end with `<|im_end|>`."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained(special_tokens),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=[token for token in special_tokens if token not in ("<|im_end|>", "<|endoftext|>")],
        model_max_length=POSITIONS,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def whisper_tokenizer() -> WhisperTokenizer:
    """
    A tokenizer with all of Whisper's special tokens, in Whisper's order, after the words and timestamps last.

    After the words, because the random decoder often ends on id 0, which must not be the end of the text. Whisper's
    own timestamps are not special; here they are, so that noise made of timestamps reads as nothing.
    """
    learnt = json.loads(trained([]).to_str())["model"]
    merges = [tuple(pair) for pair in learnt["merges"]]
    tokenizer = WhisperTokenizer(vocab=learnt["vocab"], merges=merges, model_max_length=448)
    tokenizer.add_special_tokens({"additional_special_tokens": whisper_special_tokens()})
    return tokenizer


def whisper_special_tokens() -> list[str]:
    languages = [f"<|{code}|>" for code in LANGUAGES]
    tasks = ["<|translate|>", "<|transcribe|>"]
    marks = ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    timestamps = [f"<|{step * 0.02:.2f}|>" for step in range(1_501)]  # 0.00 to 30.00 seconds
    return ["<|startoftranscript|>", *languages, *tasks, *marks, *timestamps]


def whisper_generation(ids: dict[str, int]) -> GenerationConfig:
    """The tables Whisper servers look languages and tasks up in."""
    return GenerationConfig(
        decoder_start_token_id=ids["<|startoftranscript|>"],
        eos_token_id=ids["<|endoftext|>"],
        pad_token_id=ids["<|endoftext|>"],
        bos_token_id=ids["<|endoftext|>"],
        max_length=448,
        is_multilingual=True,
        return_timestamps=False,
        no_timestamps_token_id=ids["<|notimestamps|>"],
        lang_to_id={f"<|{code}|>": ids[f"<|{code}|>"] for code in LANGUAGES},
        task_to_id={"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]},
    )


def trained(special_tokens: list[str]) -> Tokenizer:
    """A byte-level BPE tokenizer of at most VOCABULARY entries, learnt from TEXT; *special_tokens* come first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special_tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT.splitlines(keepends=True), trainer)
    return tokenizer


if __name__ == "__main__":
    main()

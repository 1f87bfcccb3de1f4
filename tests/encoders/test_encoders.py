"""
Any sentence-transformers model goes through the same build: small ones of two families, made on the spot with random
weights, with their own poolings and prompts. They know nothing; what they are taught has to arrive in the artifact.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smart_router.classify import finetune
from smart_router.classify.artifact import open_artifact
from smart_router.classify.base import Query, Said
from smart_router.classify.build import Recipe, build
from smart_router.classify.conversations import Conversation
from smart_router.classify.head import load_head
from smart_router.classify.lessons import Lessons, lessons_from
from smart_router.classify.scorer import Scorer
from smart_router.errors import ArtifactUnusable
from tests.classify.worlds import EXAMPLES, USE_CASES

pytestmark = [pytest.mark.build, pytest.mark.timeout(300)]

DIMENSION = 32


def lessons() -> Lessons:
    return lessons_from(EXAMPLES, [Conversation((EXAMPLES[0], EXAMPLES[10], EXAMPLES[1]))])


def a_bert(folder: Path) -> Path:
    """WordPiece, mean pooling, no prompts."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer.train_from_iterator(texts(), trainers.WordPieceTrainer(vocab_size=400, special_tokens=special))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    config = BertConfig(
        vocab_size=400, hidden_size=DIMENSION, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    return saved(folder, BertModel(config), wrapped, "mean", {})


def an_xlm_roberta(folder: Path) -> Path:
    """Special tokens by another pattern, the first token's pooling, and a prompt for queries, as the E5 models have."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(texts(), trainers.BpeTrainer(vocab_size=400, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", cls_token="<s>", sep_token="</s>"
    )
    config = XLMRobertaConfig(
        vocab_size=400,
        hidden_size=DIMENSION,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=130,
        pad_token_id=1,
    )
    return saved(folder, XLMRobertaModel(config), wrapped, "cls", {"query": "query: ", "document": "passage: "})


def texts() -> list[str]:
    return [example.text for example in EXAMPLES]


def saved(folder: Path, model: Any, tokenizer: Any, pooling: str, prompts: dict[str, str]) -> Path:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    bare = folder / "bare"
    model.save_pretrained(bare)
    tokenizer.save_pretrained(bare)
    whole = SentenceTransformer(
        modules=[Transformer(str(bare)), Pooling(DIMENSION, pooling_mode=pooling)], prompts=prompts, device="cpu"
    )
    target = folder / "a-model"
    whole.save(str(target))
    return target


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune, "EPOCHS", 100.0)


@pytest.mark.parametrize("make", [a_bert, an_xlm_roberta], ids=["bert", "xlm-roberta"])
def test_a_model_made_on_the_spot_is_taught_exported_and_serves(make: Any, tmp_path: Path) -> None:
    source = make(tmp_path)
    manifest = build(Recipe(str(source)), lessons(), USE_CASES, tmp_path / "artifact", lambda _: None)
    artifact = open_artifact(tmp_path / "artifact")
    head = load_head(tmp_path / "artifact" / "head.npz")
    encoder = artifact.encoder()
    assert manifest == artifact.manifest
    assert encoder.dimension == DIMENSION
    assert manifest.taught == finetune.recipe()
    assert head.first.hybrid is not None
    embeddings = encoder.encode([Said(text) for text in texts()])
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-4)
    assert head.first.hybrid.dense is not None
    assert np.abs(head.first.hybrid.dense).max() > 0
    scores = Scorer(head.first.hybrid, USE_CASES)
    found = [scores(Query(text), embedding) for text, embedding in zip(texts(), embeddings, strict=True)]
    chosen = [max(some, key=some.__getitem__) for some in found]
    right = sum(name == example.use_case for name, example in zip(chosen, EXAMPLES, strict=True))
    assert right >= 0.9 * len(EXAMPLES)


def test_a_models_own_prompt_is_kept_and_another_one_may_be_given(tmp_path: Path) -> None:
    source = an_xlm_roberta(tmp_path)
    own = build(Recipe(str(source)), lessons(), USE_CASES, tmp_path / "own", lambda _: None)
    given = build(Recipe(str(source), prompt="ask: "), lessons(), USE_CASES, tmp_path / "given", lambda _: None)
    assert (own.prompt, given.prompt) == ("query: ", "ask: ")
    mine = open_artifact(tmp_path / "own").encoder()
    bare = open_artifact(tmp_path / "own")
    without = type(mine)(bare.folder / "encoder.onnx", bare.folder / "tokenizer.json", max_tokens=64)
    assert not np.allclose(mine.encode([Said("fix the bug")]), without.encode([Said("fix the bug")]))
    np.testing.assert_allclose(
        mine.encode([Said("fix the bug")]), without.encode([Said("query: fix the bug")]), atol=1e-5
    )


def test_an_encoder_may_stay_as_it_came(tmp_path: Path) -> None:
    manifest = build(
        Recipe(str(a_bert(tmp_path)), taught=False), lessons(), USE_CASES, tmp_path / "artifact", lambda _: None
    )
    assert (manifest.taught, manifest.apart) == ((), ())
    assert load_head(tmp_path / "artifact" / "head.npz").first.hybrid is not None


def test_the_same_lessons_give_the_same_bytes(tmp_path: Path) -> None:
    source = a_bert(tmp_path)
    first, again = (
        build(Recipe(str(source)), lessons(), USE_CASES, tmp_path / name, lambda _: None) for name in ("one", "two")
    )
    assert first == again
    assert (tmp_path / "one" / "head.npz").read_bytes() == (tmp_path / "two" / "head.npz").read_bytes()


def test_weights_in_another_format_are_refused_and_nothing_is_replaced(tmp_path: Path) -> None:
    source = a_bert(tmp_path)
    (source / "model.safetensors").unlink()
    with pytest.raises(ArtifactUnusable, match=r"no model\.safetensors"):
        build(Recipe(str(source)), lessons(), USE_CASES, tmp_path / "artifact", lambda _: None)
    assert not (tmp_path / "artifact").exists()

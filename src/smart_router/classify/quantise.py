"""
Build time only: ways to store an exported encoder in 8 bits, the fastest first.

Weights are unsigned and scaled per channel: signed ones saturate on processors without VNNI (onnxruntime, "Quantize
ONNX models": U8S8 overflows on AVX2 and AVX512). Multiplying activations in 8 bits too is faster, but costs accuracy
where they have outliers, which is at the down-projections of the feed-forward blocks: there only the weights are stored
in 8 bits.
"""

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Quantise = Callable[[Path, Path], None]


def quantisations() -> dict[str, Quantise]:
    """Name -> write the 8-bit form of the first path to the second."""
    return {
        "uint8, weights only in down-projections": lambda exact, to: _write(
            exact, to, lambda rows, width: rows > width
        ),
        "uint8, weights only": lambda exact, to: _write(exact, to, lambda rows, width: True),
    }


def _write(exact: Path, target: Path, weights_only: Callable[[int, int], bool]) -> None:
    """*weights_only* tells from a weight's shape (rows, width) whether its activations stay as they are."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    logging.getLogger().setLevel(logging.ERROR)  # it advises to do what is done here
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(exact), str(prepared), skip_symbolic_shape=True)
        kept = _weights_only(onnx.load(prepared), weights_only)
        quantize_dynamic(
            str(prepared), str(target), per_channel=True, weight_type=QuantType.QUInt8, nodes_to_exclude=list(kept)
        )
    model = onnx.load(target)
    for weight in kept.values():
        _store_in_8_bits(model.graph, weight)
    onnx.save(model, target)


def _weights_only(model: Any, chosen: Callable[[int, int], bool]) -> dict[str, str]:
    """Node -> weight, of the multiplications by a constant matrix that are chosen."""
    shapes = {weight.name: tuple(weight.dims) for weight in model.graph.initializer}
    pairs = ((node.name, node.input[1]) for node in model.graph.node if node.op_type == "MatMul")
    return {node: weight for node, weight in pairs if len(shapes.get(weight, ())) == 2 and chosen(*shapes[weight])}


def _store_in_8_bits(graph: Any, name: str) -> None:
    """Replace a float weight by its 8-bit form, a scale and a zero point per column, and a node that restores it."""
    from onnx import helper, numpy_helper

    weight = next(initializer for initializer in graph.initializer if initializer.name == name)
    stored, scale, zero = _asymmetric(numpy_helper.to_array(weight))
    graph.initializer.remove(weight)
    inputs = []
    for part, array in (("stored", stored), ("scale", scale), ("zero", zero)):
        graph.initializer.append(numpy_helper.from_array(array, f"{name}.{part}"))
        inputs.append(f"{name}.{part}")
    graph.node.insert(0, helper.make_node("DequantizeLinear", inputs, [name], name=f"{name}.restore", axis=1))


def _asymmetric(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """uint8 values, float32 scales and uint8 zero points per column of *weight*."""
    low, high = np.minimum(weight.min(axis=0), 0), np.maximum(weight.max(axis=0), 0)
    scale = np.maximum((high - low) / 255, np.float32(1e-12)).astype(np.float32)
    zero = np.clip(np.round(-low / scale), 0, 255).astype(np.uint8)
    stored = np.clip(np.round(weight / scale) + zero, 0, 255).astype(np.uint8)
    return stored, scale, zero

"""
Let torchvision import on a CPU build of torch; installed as the environment's `sitecustomize.py`.

The package index has torchvision only as a CUDA build. Its compiled operators cannot load on a CPU torch, and its
import then fails because two of them were never declared. Declaring them is enough: nothing here calls them.
"""

import sys

OPERATORS = ("nms", "qnms")
libraries: list[object] = []  # kept for the life of the process: a Library takes its declarations back when it goes


class DeclareOperators:
    """An import hook that declares torchvision's operators just before torchvision is first imported."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Find nothing, ever: the ordinary finders find the module."""
        if name == "torchvision":
            sys.meta_path.remove(self)
            declare()


def declare() -> None:
    import torch  # not above: every start of Python would pay for it

    library = torch.library.Library("torchvision", "DEF")
    for operator in OPERATORS:
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    libraries.append(library)


sys.meta_path.insert(0, DeclareOperators())

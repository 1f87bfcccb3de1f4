"""
A simulated vLLM server: the real one's paths, fields, headers, errors and streams, without a model; or an Ollama.

It says that it is simulated: in every answer's text, in the header `X-Simulated`, in `/version`, in
`system_fingerprint` and as `owned_by` of its model. What it does beside the real server's paths is under `/simulate`.
"""

from smart_router.simulate.background import running
from smart_router.simulate.faults import FAULTS, FaultName
from smart_router.simulate.model import KINDS, Kind, SimulatedModel
from smart_router.simulate.server import create_app, serve

__all__ = ["FAULTS", "KINDS", "FaultName", "Kind", "SimulatedModel", "create_app", "running", "serve"]

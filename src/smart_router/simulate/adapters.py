"""
POST /v1/load_lora_adapter and /v1/unload_lora_adapter

No files are read. Any path has a fitting adapter, except those that end in `missing`, which have none, and in
`rank-64`, whose rank is too high.
"""

from starlette.requests import Request
from starlette.responses import Response

from smart_router.simulate.errors import Refused, worker_failed
from smart_router.simulate.exchange import nothing
from smart_router.simulate.faults import OF_SLEEP, OF_WAKING
from smart_router.simulate.fields import Fields
from smart_router.simulate.simulation import Simulation, read_json, simulation

MAX_RANK = 16  # vLLM's, unless --max-lora-rank says otherwise


async def load_lora_adapter(request: Request) -> Response:
    here = simulation(request)
    fields = Fields(await read_json(request))
    name, path = fields.text("lora_name", required=True), fields.text("lora_path", required=True)
    again = fields.flag("load_inplace")
    fields.check()
    here.received.loads += 1
    if here.faults.strike(OF_WAKING) == "wake-hangs":
        return await nothing(request.receive)
    if not name or not path:
        raise _refused("Both 'lora_name' and 'lora_path' must be provided.")
    _check(here, name, path, again=again)
    here.adapters[name] = path
    return Response(f"Success: LoRA adapter '{name}' added successfully.")


async def unload_lora_adapter(request: Request) -> Response:
    """Requests that run with it go on."""
    here = simulation(request)
    fields = Fields(await read_json(request))
    name = fields.text("lora_name", required=True)
    fields.check()
    here.received.unloads += 1
    if not name:
        raise _refused("'lora_name' needs to be provided to unload a LoRA adapter.")
    if name not in here.adapters:
        raise Refused(f"The lora adapter '{name}' cannot be found.", 404, type="NotFoundError")
    if here.faults.strike(OF_SLEEP) is None:
        del here.adapters[name]
    return Response(f"Success: LoRA adapter '{name}' removed successfully.")


def _check(here: Simulation, name: str, path: str, *, again: bool) -> None:
    if name == here.model.id:
        raise _refused(f"The lora adapter '{name}' conflicts with a served base model.")
    if name in here.adapters and not again:
        raise _refused(
            f"The lora adapter '{name}' has already been loaded. If you want to load the adapter in place, set "
            "'load_inplace' to True."
        )
    if not here.model.enable_lora:
        raise worker_failed("add_lora", "LoRA is not enabled. Use --enable-lora to enable LoRA.")
    if path.endswith("missing"):
        message = f"Loading lora {name} failed: No adapter found for {path}"
        raise Refused(message, 404, type="NotFoundError")
    if path.endswith("rank-64"):
        raise worker_failed("add_lora", f"LoRA rank 64 is greater than max_lora_rank {MAX_RANK}.")


def _refused(message: str) -> Refused:
    return Refused(message, type="InvalidUserInput")

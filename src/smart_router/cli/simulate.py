"""`smart-router simulate`: a simulated model server."""

from typing import Annotated

import typer

from smart_router.cli.failing import CONFIGURATION, fail


def simulate(
    model: Annotated[str, typer.Option(help="Id under which it serves.")],
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    kind: Annotated[str, typer.Option(help="text, image, audio (Whisper) or any: decides the routes.")] = "any",
    ttft_ms: Annotated[float, typer.Option(help="Time to first token, milliseconds.")] = 50.0,
    tokens_per_second: Annotated[float, typer.Option(help="Of each answer; 0 = as fast as the wire.")] = 100.0,
    max_model_len: Annotated[int, typer.Option(help="Tokens of prompt and answer together.")] = 4096,
    fault: Annotated[str | None, typer.Option(help="What goes wrong; POST /simulate/faults lists them.")] = None,
    fault_rate: Annotated[float, typer.Option(help="Probability of the fault, 0 to 1.")] = 1.0,
    dev_mode: Annotated[bool, typer.Option(help="Can be put to sleep, as with VLLM_SERVER_DEV_MODE=1.")] = True,
    sleep_seconds: Annotated[float, typer.Option(help="That falling asleep takes.")] = 0.0,
    wake_seconds: Annotated[float, typer.Option(help="That waking takes.")] = 0.0,
    enable_lora: Annotated[bool, typer.Option("--enable-lora", help="Takes LoRA adapters.")] = False,
    runtime_lora: Annotated[
        bool, typer.Option(help="While it runs, as with VLLM_ALLOW_RUNTIME_LORA_UPDATING=1.")
    ] = True,
    auto_tool_choice: Annotated[
        bool, typer.Option("--enable-auto-tool-choice", help="Takes tools, as vLLM does with this; calls none.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the draws of faults.")] = 0,
    server: Annotated[str, typer.Option(help="vllm or ollama: whose paths it has.")] = "vllm",
) -> None:
    """
    Run a SIMULATED vLLM server, or Ollama, without a model.

    It has the real one's HTTP surface.

    Example: smart-router simulate --model Qwen/Qwen2.5-7B-Instruct --port 8000 --kind text
    """
    from smart_router.simulate import SimulatedModel, serve

    try:
        options = SimulatedModel(
            id=model,
            kind=kind,  # type: ignore[arg-type]  # checked by the dataclass itself
            ttft_ms=ttft_ms,
            tokens_per_second=tokens_per_second,
            max_model_len=max_model_len,
            fault=fault,  # type: ignore[arg-type]
            fault_rate=fault_rate,
            dev_mode=dev_mode,
            sleep_seconds=sleep_seconds,
            wake_seconds=wake_seconds,
            enable_lora=enable_lora,
            runtime_lora=runtime_lora,
            auto_tool_choice=auto_tool_choice,
            seed=seed,
            server=server,  # type: ignore[arg-type]
        )
    except ValueError as exc:
        fail(str(exc), CONFIGURATION)
    serve(options, host=host, port=port)

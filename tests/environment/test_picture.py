"""Pictures as PNG files: an independent reader finds what was drawn."""

import io

import numpy as np
import pytest

from trace_gym.environment.picture import png


def test_an_independent_reader_finds_what_was_drawn() -> None:
    from PIL import Image

    image = np.random.default_rng(0).integers(0, 256, (7, 5, 3)).astype(np.uint8)
    read = Image.open(io.BytesIO(png(image)))
    assert (read.format, read.mode) == ("PNG", "RGB")
    assert (np.asarray(read) == image).all()


@pytest.mark.parametrize(("shape", "kind"), [((2, 2), "uint8"), ((2, 2, 3), "float64"), ((0, 2, 3), "uint8")])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...], kind: str) -> None:
    with pytest.raises(ValueError, match="a picture is an array"):
        png(np.zeros(shape, dtype=kind))

"""Pictures of goods: one drawing for each shape, in the article's colour. Leaves out photographs."""

from __future__ import annotations

from typing import Final

_SHAPES: Final = {
    "pot": (
        '<path d="M62 92h76l8 58a12 12 0 0 1-12 12H66a12 12 0 0 1-12-12z"/><path class="l" d="M70 '
        '92c0-40 60-40 60 0M140 104l26-18"/>'
    ),
    "pan": (
        '<path d="M40 112h96v18a28 28 0 0 1-28 28H68a28 28 0 0 1-28-28z"/><path class="l" d="M136 118h42"/>'
    ),
    "box": (
        '<rect x="46" y="78" width="108" height="82" rx="10"/><path class="l" d="M46 106h108M84 '
        '78V60h32v18"/>'
    ),
    "bottle": (
        '<path d="M84 44h32v26l14 24v58a12 12 0 0 1-12 12H82a12 12 0 0 1-12-12V94l14-24z"/><path '
        'class="l" d="M70 112h60"/>'
    ),
    "tool": '<path d="M92 92h20v66a10 10 0 0 1-20 0z"/><path d="M64 48h76a10 10 0 0 1 10 10v24H64z"/>',
    "plane": (
        '<path d="M40 128h120v26H40z"/><path d="M60 128c0-34 26-44 44-44l-6 44z"/>'
        '<path class="l" d="M132 126V96"/>'
    ),
    "bar": (
        '<rect x="34" y="94" width="132" height="34" rx="8"/>'
        '<path class="l" d="M88 111h24M56 111h1M144 111h1"/>'
    ),
    "pump": (
        '<rect x="86" y="74" width="28" height="80" rx="8"/>'
        '<path class="l" d="M100 74V42M72 42h56M70 158h60"/>'
    ),
    "table": (
        '<rect x="40" y="80" width="120" height="16" rx="6"/><path class="l" d="M58 96v62M142 '
        '96v62M58 126h84"/>'
    ),
    "lamp": '<path d="M76 52h48l22 52H54z"/><path class="l" d="M100 104v48M72 156h56"/>',
    "book": (
        '<path d="M52 56h42a8 8 0 0 1 6 3 8 8 0 0 1 6-3h42v94h-42a8 8 0 0 0-6 3 8 8 0 0 0-6-3H52z"/>'
        '<path class="l" d="M100 60v92"/>'
    ),
    "bag": (
        '<path d="M58 84h84l10 68a10 10 0 0 1-10 11H58a10 10 0 0 1-10-11z"/><path class="l" d="M78 '
        '96V72a22 22 0 0 1 44 0v24"/>'
    ),
    "round": '<circle cx="100" cy="106" r="52"/><circle class="l" cx="100" cy="106" r="26"/>',
    "roll": '<rect x="44" y="72" width="112" height="84" rx="30"/><path class="l" d="M66 72v84M128 72v84"/>',
    "string": (
        '<path d="M100 76c34 0 20 26 30 44s-4 42-30 42-40-24-30-42-4-44 30-44z"/><path class="l" '
        'd="M100 120V36M86 40h28"/>'
    ),
}


def drawn(shape: str, colour: str) -> str:
    """An SVG of 200 by 200."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 200"><defs><linearGradient '
        'id="g" x1="0" y1="0" x2="1" y2="1">'
        '<stop offset="0" stop-color="#f6f3ee"/><stop offset="1" stop-color="#e6e0d6"/>'
        "</linearGradient></defs>"
        f"<style>path,rect,circle{{fill:{colour}}}.l{{fill:none;stroke:#2b2a28;stroke-opacity:.55;stroke-width:7;stroke-linecap:round}}"
        '.b{fill:url(#g)}</style><rect class="b" width="200" height="200"/>'
        '<ellipse cx="100" cy="168" rx="62" ry="8" fill="#000" opacity=".08"/>'
        f"{_SHAPES.get(shape, _SHAPES['box'])}</svg>"
    )

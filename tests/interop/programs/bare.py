"""An agent without any package, as told by its words: `ask` the model, `hurry` it, `fail`, `sleep`, leave its
`pid` and that of a child in a file, tell which `keys` it was given."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

task = sys.stdin.read()
for word in sys.argv[1:]:
    name, _, value = word.partition("=")
    if name in ("ask", "hurry"):
        body = {"model": "any", "messages": [{"role": "user", "content": value or task}]}
        request = urllib.request.Request(
            os.environ["OPENAI_BASE_URL"] + "/chat/completions",
            json.dumps(body).encode(),
            {"content-type": "application/json", "authorization": "Bearer " + os.environ["OPENAI_API_KEY"]},
        )
        try:
            with urllib.request.urlopen(request, timeout=60 if name == "ask" else 0.5) as answer:
                print(json.load(answer)["choices"][0]["message"]["content"])
        except TimeoutError:
            print("gave up")
        except urllib.error.HTTPError as error:
            print("refused:", error.code, json.load(error)["error"]["message"])
    elif name == "fail":
        sys.exit("something went wrong")
    elif name == "sleep":
        time.sleep(60)
    elif name == "keys":
        print(sorted(key for key, found in os.environ.items() if "real-secret" in found))
    elif name == "pid":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        with open(value, "w") as file:
            file.write(f"{os.getpid()} {child.pid}")

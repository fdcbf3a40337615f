#!/bin/bash

cat -A /app/export.jsonl

cat > /tmp/mend.py <<'EOF'
import json, re
kept, rejected = {}, []
for number, line in enumerate(open("/app/export.jsonl"), start=1):
    text = line.strip()
    if not text or text.startswith("//"):
        continue
    text = re.sub(r",\s*([\]}])", r"\1", text).replace("NaN", "null")
    if text.startswith("{'"):
        text = text.replace("'", '"')
    text += "}" * (text.count("{") - text.count("}"))
    try:
        found = json.loads(text)
        sound = type(found["id"]) is int and type(found["name"]) is str and type(found["tags"]) is list
    except (ValueError, TypeError, KeyError):
        sound = False
    if sound:
        kept.setdefault(found["id"], found)
    else:
        rejected.append(number)
with open("/app/clean.jsonl", "w") as out:
    out.writelines(json.dumps(kept[key]) + "\n" for key in sorted(kept))
with open("/app/rejected.txt", "w") as out:
    out.writelines(f"{number}\n" for number in rejected)
EOF

python3 /tmp/mend.py

cat /app/clean.jsonl /app/rejected.txt

#!/bin/bash

od -A d -t x1 -N 64 /app/readings.bin

cat > /tmp/read.py <<'EOF'
import json, struct, zlib
data = open("/app/readings.bin", "rb").read()
_, version, count = struct.unpack(">4sHI", data[:10])
at, sound, damaged = 10, [], []
for number in range(count):
    size = data[at]
    body = data[at + 1 : at + 1 + size]
    (crc,) = struct.unpack(">I", data[at + 1 + size : at + 5 + size])
    at += 5 + size
    if zlib.crc32(body) != crc:
        damaged.append(number)
        continue
    time, hundredths, flags, length = struct.unpack(">IhBB", body[:8])
    name = body[8 : 8 + length].decode("ascii")
    sound.append({"time": time, "sensor": name, "celsius": hundredths / 100, "alarm": bool(flags & 1), "battery_low": bool(flags & 2)})
json.dump(sound, open("/app/readings.json", "w"), indent=1)
open("/app/damaged.txt", "w").writelines(f"{n}\n" for n in damaged)
EOF

python3 /tmp/read.py

python3 -c 'import json; print("\n".join(r["sensor"] for r in json.load(open("/app/readings.json"))))' | LC_ALL=C sort | uniq -c | awk '{print $2, $1}' > /app/summary.txt

cat /app/damaged.txt /app/summary.txt

#!/bin/bash

cat /app/plan.txt

cat > /tmp/plan.py <<'EOF'
import re
jobs = [[part.strip() for part in line.split("|")] for line in open("/app/plan.txt") if line[0] != "#"]
fields, runs, takes = {}, [], {}
for name, when, minutes in jobs:
    takes[name] = int(minutes)
    clock = re.search(r"(\d\d):(\d\d)", when)
    hour, minute = (int(clock[1]), int(clock[2])) if clock else (0, 0)
    if found := re.match(r"every (\d+) minutes", when):
        fields[name] = f"*/{found[1]} * * * *"
        runs += [(t, name) for t in range(0, 360, int(found[1]))]
        continue
    if found := re.match(r"every (\d+) hours", when):
        fields[name] = f"0 */{found[1]} * * *"
        runs += [(t, name) for t in range(0, 360, 60 * int(found[1]))]
        continue
    day = re.match(r"on day (\d+)", when)
    week = "1" if "Monday" in when else "1-5" if "weekday" in when else "*"
    fields[name] = f"{minute} {hour} {day[1] if day else '*'} * {week}"
    runs.append((60 * hour + minute, name))
runs.sort()
with open("/app/crontab", "w") as out:
    out.writelines(f"{fields[name]} /usr/local/bin/{name}\n" for name, _, _ in jobs)
with open("/app/runs.txt", "w") as out:
    out.writelines(f"{t // 60:02d}:{t % 60:02d} {name}\n" for t, name in runs)
pairs = {(a, b) for t, a in runs for u, b in runs if a < b and t < u + takes[b] and u < t + takes[a]}
with open("/app/overlaps.txt", "w") as out:
    out.writelines(f"{a} {b}\n" for a, b in sorted(pairs))
EOF

python3 /tmp/plan.py

cat /app/crontab /app/runs.txt /app/overlaps.txt

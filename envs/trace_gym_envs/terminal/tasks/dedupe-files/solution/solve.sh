#!/bin/bash

cd /app/photos

find . -type f | wc -l

find . -type f | sed 's|^\./||' | LC_ALL=C sort | while read -r f; do echo "$(sha1sum < "$f" | cut -d ' ' -f 1) $f"; done > /tmp/sums

awk '{sum = $1; path = substr($0, 42); if (sum in first) print path "," first[sum]; else first[sum] = path}' /tmp/sums > /tmp/gone

{ echo removed,kept; cat /tmp/gone; } > /app/removed.csv

cut -d , -f 1 /tmp/gone | while read -r f; do wc -c < "$f"; done | awk '{s += $1} END {print s + 0}' > /app/saved.txt

cut -d , -f 1 /tmp/gone | while read -r f; do rm -- "$f"; done

cat /app/removed.csv /app/saved.txt

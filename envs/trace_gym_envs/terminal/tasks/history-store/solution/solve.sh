#!/bin/bash

cd /app

ls store store/heads attic

cat "store/commits/$(cat store/heads/release)"

for kind in blobs trees commits; do for f in store/$kind/*; do [ "$(sha1sum < "$f" | cut -d ' ' -f 1)" = "$(basename "$f")" ] || echo "$f"; done; done > damaged.tmp

cat damaged.tmp

sha1sum attic/*

for f in attic/*; do [ "$(sha1sum < "$f" | cut -d ' ' -f 1)" = "$(basename "$(cat damaged.tmp)")" ] && cat "$f" > "$(cat damaged.tmp)"; done; sha1sum < "$(cat damaged.tmp)"

rm -rf release && mkdir -p release

export TREE=$(sed -n 's/^tree //p' "store/commits/$(cat store/heads/release)")

while read -r blob path; do mkdir -p "release/$(dirname "$path")"; cat "store/blobs/$blob" > "release/$path"; done < "store/trees/$TREE"

at=$(cat store/heads/release); : > log.tmp; while [ -n "$at" ]; do echo "$at $(tail -n 1 "store/commits/$at")" >> log.tmp; at=$(sed -n 's/^parent //p' "store/commits/$at"); done

awk '{line[NR] = $0} END {for (i = NR; i > 0; i--) print line[i]}' log.tmp > log.txt

while read -r id message; do if grep -q ' config/limits.ini$' "store/trees/$(sed -n 's/^tree //p' "store/commits/$id")"; then echo "$id"; break; fi; done < log.txt > introduced.txt

rm -f damaged.tmp log.tmp; cat log.txt introduced.txt

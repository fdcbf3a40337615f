#!/bin/bash
# station and mean in whole tenths, rounded towards zero, in the order of names.txt
while read -r station; do
    awk -F, -v s="$station" '$1 == s {sum += $3; n++} END {printf "%s %d\n", s, sum / n}' build/clean.csv
done < build/names.txt > build/means.txt

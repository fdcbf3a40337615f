#!/bin/bash
# station and number of readings above its limit, for all stations of limits.csv, in its order
while IFS=, read -r station limit; do
    echo "$station $(awk -F, -v s="$station" -v l="$limit" '$1 == s && $3 >= l' build/clean.csv | wc -l)"
done < build/limits.csv > build/hot.txt

#!/bin/bash

cd /app && cat text.txt

awk '{print NR, tolower($0)}' text.txt | tr -c 'a-z0-9\n' ' ' | awk '{for (i = 2; i <= NF; i++) {gsub(/[^a-z]+/, " ", $i); n = split($i, w, " "); for (j = 1; j <= n; j++) print w[j], $1}}' > /tmp/words

awk 'NR == FNR {stop[$1] = 1; next} !($1 in stop)' stopwords.txt /tmp/words > /tmp/kept

awk '!(($1, $2) in seen) {seen[$1, $2] = 1; if ($1 in at) at[$1] = at[$1] ", " $2; else at[$1] = $2} END {for (w in at) print w ": " at[w]}' /tmp/kept | LC_ALL=C sort -t : -k 1,1 > index.txt

cut -d ' ' -f 1 /tmp/kept | LC_ALL=C sort | uniq -c | awk '$1 > 1 {print $1, $2}' | LC_ALL=C sort -k 1,1nr -k 2,2 > frequent.txt

cat index.txt frequent.txt

#!/bin/bash

ls logs

head -n 3 logs/access.log

mkdir -p report work

gzip -dc logs/access.log.2.gz > work/all.log

cat logs/access.log.1 logs/access.log >> work/all.log

export FORM='^[^ ]+ - - \[[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9]{2}:[0-9]{2}:[0-9]{2} \+0000\] "[A-Z]+ [^ ]+ HTTP/1\.1" [0-9]{3} [0-9]+ [0-9]+ms$'

grep -Ev "$FORM" work/all.log > report/malformed.txt

grep -E "$FORM" work/all.log > work/good.log

wc -l work/good.log report/malformed.txt

{ echo client,requests; cut -d ' ' -f 1 work/good.log | LC_ALL=C sort | uniq -c | awk '{print $2 "," $1}' | LC_ALL=C sort -t , -k 2,2nr -k 1,1 | head -n 5; } > report/top_clients.csv

{ echo path,errors; awk '$9 ~ /^5/ {split($7, p, "?"); n[p[1]]++} END {for (k in n) print k "," n[k]}' work/good.log | LC_ALL=C sort -t , -k 2,2nr -k 1,1; } > report/server_errors.csv

{ echo hour,requests; awk '{split($4, t, ":"); n[t[2]]++} END {for (k in n) print k "," n[k]}' work/good.log | LC_ALL=C sort; } > report/hourly.csv

awk '{sum += $10} END {printf "%d\n", sum}' work/good.log > report/total_bytes.txt

awk '{print $11, $7}' work/good.log | LC_ALL=C sort -k 1,1nr -k 2,2 | head -n 3 > report/slowest.txt

cat report/*.csv report/*.txt

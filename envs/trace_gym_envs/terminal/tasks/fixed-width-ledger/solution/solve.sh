#!/bin/bash

cd /app && head -n 4 ledger.txt

awk '{n = substr($0, 1, 5); v = substr($0, 19, 10) + 0; if (substr($0, 18, 1) == "C") v = -v; sum[n] += v} END {for (n in sum) if (sum[n] != 0) print n}' ledger.txt | LC_ALL=C sort > unbalanced.txt

awk 'NR == FNR {bad[$0] = 1; next} !(substr($0, 1, 5) in bad)' unbalanced.txt ledger.txt > /tmp/good

awk '{a = substr($0, 14, 4); v = substr($0, 19, 10) + 0; if (substr($0, 18, 1) == "C") v = -v; sum[a] += v; n = substr($0, 29, 14); sub(/ +$/, "", n); name[a] = n} END {for (a in sum) {v = sum[a]; s = v < 0 ? "-" : ""; if (v < 0) v = -v; printf "%s;%s;%s%d.%02d\n", a, name[a], s, int(v / 100), v % 100}}' /tmp/good | LC_ALL=C sort > balances.txt

awk 'substr($0, 18, 1) == "D" {sum[substr($0, 6, 4) "-" substr($0, 10, 2)] += substr($0, 19, 10)} END {for (m in sum) printf "%s %d.%02d\n", m, int(sum[m] / 100), sum[m] % 100}' /tmp/good | LC_ALL=C sort > months.txt

cat unbalanced.txt balances.txt months.txt

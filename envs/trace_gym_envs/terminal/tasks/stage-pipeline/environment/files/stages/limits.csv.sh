#!/bin/bash
# station,limit
awk '{print $1 "," $2}' data/limits.txt > build/limits.csv

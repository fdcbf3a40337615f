#!/bin/bash
# the stations, sorted, each once
cut -d ";" -f 1 build/clean.csv | LC_ALL=C sort -u > build/names.txt

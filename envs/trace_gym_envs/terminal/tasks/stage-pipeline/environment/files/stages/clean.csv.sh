#!/bin/bash
# readings without the header, impossible ones left out: station,month,tenths
tail -n +2 data/readings.csv | awk -F, '$3 > -100' > build/clean.csv

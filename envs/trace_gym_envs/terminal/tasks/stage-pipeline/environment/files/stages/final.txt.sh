#!/bin/bash
# means and hot readings by station, in the order of means.txt: station mean hot
while read -r station mean; do
    echo "$station $mean $(sed -n "s/^$station //p" build/hot.txt)"
done < build/mean.txt > build/final.txt

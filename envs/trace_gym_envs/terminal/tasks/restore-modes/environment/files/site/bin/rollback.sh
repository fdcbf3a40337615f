#!/bin/sh
echo back

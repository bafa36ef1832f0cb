#!/usr/bin/env bash
# compilers.sh
# Prints how many compilers may run at once: a C++ compiler needs up to this much memory for one file, and more of them than
# fit would end the build.
set -euo pipefail
compile_mib=1200
awk -v cores="$(nproc)" -v each=$compile_mib '
  /^MemAvailable:/ { fit = int($2 / 1024 / each); print (fit < 1 ? 1 : fit < cores ? fit : cores) }' /proc/meminfo

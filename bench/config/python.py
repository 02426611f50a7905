"""python.py FILE: parses FILE and interpolates every section, set up as Paste Deploy does.

Prints the milliseconds, by the clock and of the processor.
"""
import configparser
import os
import sys
import time

file = sys.argv[1]
start = time.perf_counter()
cpu_start = time.process_time()
parser = configparser.ConfigParser(defaults={"here": os.path.dirname(file), "__file__": file})
parser.optionxform = str
with open(file, encoding="utf-8") as stream:
    parser.read_file(stream)
values = len(parser.defaults())
for section in parser.sections():
    values += len(parser.items(section))
elapsed = time.perf_counter() - start
cpu = time.process_time() - cpu_start
print(f"{values} values, {elapsed * 1000} {cpu * 1000}")

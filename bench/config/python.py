"""python.py FILE: parses FILE and interpolates every section, set up as Paste Deploy does; prints the milliseconds."""
import configparser
import os
import sys
import time

file = sys.argv[1]
start = time.perf_counter()
parser = configparser.ConfigParser(defaults={"here": os.path.dirname(file), "__file__": file})
parser.optionxform = str
with open(file, encoding="utf-8") as stream:
    parser.read_file(stream)
values = len(parser.defaults())
for section in parser.sections():
    values += len(parser.items(section))
print(f"{values} values, {(time.perf_counter() - start) * 1000}")

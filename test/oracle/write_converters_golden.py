"""Writes the results of Paste's converters for texts to test/library/converters.json.golden. See README.md."""
import json
import pathlib

from paste.deploy.converters import asbool, asint, aslist

SPACES = [chr(c) for c in range(0x10000) if chr(c).isspace()]
ODD = ["\ufeff", "\u200b", "\u180e", "\x00", "\u2060"]
WORDS = ["true", "yes", "on", "y", "t", "1", "false", "no", "off", "n", "f", "0"]
BOOLS = (
    WORDS
    + [word.upper() for word in WORDS]
    + [word.title() for word in WORDS]
    + ["", " ", "2", "maybe", "true false", "tr ue", "None", "\u0130", "o\ufb00", "ye\u017f", "\uff54\uff52\uff55\uff45"]
    + [f"{space}Yes{space}" for space in SPACES + ODD]
)
INTS = (
    ["0", "1", "-1", "+1", "007", "-0", "8080", "1_000", "1__0", "_1", "1_", "+_1", "0x10", "0b1", "0o7", "1e3", "1.0"]
    + ["", " ", "-", "+", "--1", "+-1", "- 1", "1 2", "12a", "Infinity", "NaN", "9007199254740991", "-9007199254740991"]
    + ["\u0661\u0662", "\uff11\uff10", "\U0001d7d8\U0001d7e3", "\u0967_\u0966", "\u00b2", "\u2167", "-\u0663"]
    + [f"{space}42{space}" for space in SPACES + ODD]
    + ["\x1c\u00a042", "\u00a0\x1f42"]
)
LISTS = [
    [text, *rest]
    for text in ["", " ", "a", "a b", " a  b\nc\t", "a,b", " a , b,", ",", "a\x1cb\x85c\u00a0d\u2003e\ufefff\u200bg", "a;b c"]
    for rest in [[], [None, False], [","], [",", False], [" "], [" ", False], [", "], [""]]
] + [[f"{space}a{space}b{space}", *rest] for space in SPACES + ODD for rest in [[], ["b"]]]


def row(converter, *args):
    try:
        return [converter.__name__, args, converter(*args)]
    except ValueError:
        return [converter.__name__, args]


rows = [row(asbool, text) for text in BOOLS] + [row(asint, text) for text in INTS] + [row(aslist, *each) for each in LISTS]
golden = pathlib.Path(__file__).resolve().parent.parent / "library" / "converters.json.golden"
golden.parent.mkdir(exist_ok=True)
golden.write_text("[\n" + ",\n".join(json.dumps(each) for each in rows) + "\n]\n")
print(f"{len(rows)} cases, {sum(len(each) == 2 for each in rows)} of them errors")

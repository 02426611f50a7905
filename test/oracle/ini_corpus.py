"""The INI texts for the oracle: handwritten ones from files, and generated ones, the same in every run."""
import random
import re
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "data" / "ini"
HANDMADE = DATA / "handmade"

ESCAPE = re.compile(r"\\(?:(-\n)|x([0-9a-f]{2})|u([0-9a-f]{4})|(.))", re.DOTALL)
SHORT_ESCAPES = {"\\": "\\", "n": "\n", "r": "\r", "t": "\t"}


def unescape(written):
    def character(match):
        line_end, byte, unit, short = match.groups()
        if line_end:
            return ""
        return chr(int(byte or unit, 16)) if byte or unit else SHORT_ESCAPES[short]

    return ESCAPE.sub(character, written)


def handmade():
    """Yields (name, text); the name begins with that of the file."""
    for file in sorted(HANDMADE.glob("*.cases")):
        # newline='\n', because a case may contain other characters that Python treats as line ends
        with open(file, encoding="utf-8", newline="\n") as cases:
            parts = re.split(r"^#### (.*)\n", cases.read(), flags=re.MULTILINE)
        for title, written in zip(parts[1::2], parts[2::2]):
            yield f"{file.stem}: {title}", unescape(written)


# The generator favours constructs that INI readers treat differently; repetition in a list sets their frequency.
SECTIONS = ["a", "b", "c", "app:main", "DEFAULT", "DEFAULT", " a", "a]", "__proto__", "constructor", "10", "9", "default"]
KEYS = ["k", "l", "m", "n", "o", "p", "q", "use", "set x", "K", "__proto__", "constructor", "10", "2", "k.é", "😀", "here", "[k"]
SEPARATORS = ["=", "=", " = ", " = ", ":", ": ", " : ", "\t=\t", " =", "\u2003=\u3000", " == ", " := "]
WORDS = ["v", "word", "two words", "a=b", "c:d", "# no comment", "x ; y", "[v]", "é", "😀", "\u2028", "a\x85b", "\ufeff", "\x1c", "\xa0", "\x00", "]", "%%", "100%%"]
REFERENCES = ["%(k)s", "%(l)s", "%(m)s", "%(n)s", "%(here)s", "%(__file__)s", "%(__proto__)s", "%(10)s", "%(😀)s", "%(none)s"]
BROKEN = ["%", "%(k)", "%(k", "%()s", "%d", "%(none)s", "%%%", "% (k)s", "%(k)d"]
INDENTS = [" ", "  ", "    ", "\t", "\x0c", "\u3000", " \t ", "\xa0", "\x1f", " " * 200]
BLANKS = ["", "", "", " ", "\t", "    ", "\x0c", "\u2003", "\x85", "\x1c\x1d", "\u2028"]
COMMENTS = ["#", ";", "# text", "; text", "#k = 1", ";[b]", "# %", "  # deep", "\t;", "\u3000# wide"]
MISTAKES = ["nothing", "[", "[]", "[open", "= empty", ": empty", "=", "two words", "\ufeff", "\u200b", "[] ]", "%"]
LINE_ENDS = ["\n"] * 8 + ["\r\n", "\r\n", "\r", "\n\r"]


class Writer:
    """Writes one text line by line."""

    def __init__(self, chance, mistakes):
        self.chance = chance
        # How many lines of a hundred have an error, and how many values.
        self.mistakes = mistakes
        self.used = {}

    def pick(self, choices):
        return choices[self.chance.randrange(len(choices))]

    def happens(self, percent):
        return self.chance.randrange(100) < percent

    def text(self):
        lines = []
        while self.happens(15):
            lines.append(self.pick(BLANKS + COMMENTS))
        if self.happens(self.mistakes):
            lines.append(self.pick(MISTAKES + ["k = 1"]))
        for _ in range(1 + self.chance.randrange(4)):
            lines.extend(self.section())
        mixed = self.happens(15)
        line_end = self.pick(LINE_ENDS)
        text = "".join(line + (self.pick(LINE_ENDS) if mixed else line_end) for line in lines)
        if self.happens(20):
            text = text.rstrip("\r\n")
        return "\ufeff" + text if self.happens(1) else text

    def unused(self, choices, where):
        """A choice that has not been made here yet, except for an occasional duplicate."""
        used = self.used.setdefault(where, set())
        for _ in range(20):
            choice = self.pick(choices)
            if choice not in used or self.happens(self.mistakes // 3):
                break
        else:
            choice = f"{choice}{len(used)}"
        used.add(choice)
        return choice

    def section(self):
        name = self.pick(["DEFAULT"]) if self.happens(15) else self.unused([s for s in SECTIONS if s != "DEFAULT"], None)
        yield (self.pick(INDENTS) if self.happens(8) else "") + f"[{name}]" + (self.pick([" tail", "# c", " ; c"]) if self.happens(8) else "")
        for _ in range(self.chance.randrange(6)):
            yield from self.between()
            if self.happens(self.mistakes):
                yield (self.pick(INDENTS) if self.happens(30) else "") + self.pick(MISTAKES)
            yield from self.entry(name)
        yield from self.between()

    def between(self):
        while self.happens(25):
            yield self.pick(BLANKS + COMMENTS)

    def entry(self, section):
        deep = self.pick(INDENTS) if self.happens(10) else ""
        value = "" if self.happens(25) else self.value()
        yield deep + self.unused(KEYS, section) + self.pick(SEPARATORS) + value + self.pick(["", "", "", " ", "\t", "\u2003"])
        while self.happens(35):
            yield from self.between()
            yield deep + self.pick(INDENTS) + self.value()

    def value(self):
        parts = [self.pick(WORDS)]
        while self.happens(40):
            parts.append(self.pick(REFERENCES if self.happens(50) else WORDS))
        if self.happens(self.mistakes):
            parts.append(self.pick(BROKEN))
        self.chance.shuffle(parts)
        return self.pick(["", " "]).join(parts)


def chain(length, closed, tail):
    """A chain of references that ends in `tail`, optionally closed to a cycle."""
    lines = [f"k{i} = {i}%(k{i + 1})s" for i in range(1, length)]
    lines.append(f"k{length} = " + ("%(k1)s" if closed else tail))
    return lines


def generated(count=1400):
    for seed in range(count):
        yield Writer(random.Random(seed), (0, 0, 2, 10, 40)[seed % 5]).text()
    for length in range(1, 13):
        for closed, tail in ((True, ""), (False, "end"), (False, "%%"), (False, "%"), (False, "%(none)s")):
            lines = chain(length, closed, tail)
            yield "\n".join(["[a]", *lines, ""])
            half = len(lines) // 2
            yield "\n".join(["[a]", *reversed(lines[:half]), "[DEFAULT]", *lines[half:], ""])

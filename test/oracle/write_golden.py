"""Writes how CPython and Paste Deploy read each INI text of the corpus. See README.md."""
import ast
import configparser
import io
import json
import re

from paste.deploy.loadwsgi import NicerConfigParser

import ini_corpus

HERE = "/srv/app/etc"
FILE = "/srv/app/etc/config.ini"


def parser_of_paste(**options):
    """Sets up the parser like paste.deploy.loadwsgi.ConfigLoader."""
    parser = NicerConfigParser(FILE, defaults={"here": HERE, "__file__": FILE}, **options)
    parser.optionxform = str
    return parser


def lines_of(text):
    """The lines as open() returns them, with universal newlines."""
    return io.TextIOWrapper(io.BytesIO(text.encode("utf-8")), encoding="utf-8")


def item(parser, section, key, raw):
    try:
        value = parser.get(section, key)
    except configparser.InterpolationMissingOptionError as error:
        return [key, raw, None, type(error).__name__, error.reference]
    except configparser.InterpolationSyntaxError as error:
        rest = ast.literal_eval(re.search(r"(?:found: |reference )(['\"].*)$", error.args[2], re.DOTALL).group(1))
        return [key, raw, None, type(error).__name__, rest[:20]]
    except configparser.InterpolationDepthError as error:
        return [key, raw, None, type(error).__name__]
    return [key, raw] if value == raw else [key, raw, value]


def written_defaults(text):
    """The keys of [DEFAULT] that the text sets, without here and __file__ unless it sets them."""
    parser = NicerConfigParser(FILE)
    parser.optionxform = str
    parser.read_file(lines_of(text))
    return dict(parser._defaults)


def contents(text):
    parser = parser_of_paste()
    parser.read_file(lines_of(text))
    written = written_defaults(text)
    defaults = [item(parser, "DEFAULT", key, raw) for key, raw in written.items()]
    sections = []
    for name, own in parser._sections.items():
        section = {"name": name, "items": [item(parser, name, key, raw) for key, raw in own.items()]}
        inherited = [item(parser, name, key, raw) for key, raw in written.items() if key not in own]
        inherited = [each for each in inherited if each not in defaults]
        if inherited:
            section["inherited"] = inherited
        sections.append(section)
    return {"sections": sections, **({"defaults": defaults} if defaults else {})}


def every_syntax_error(text):
    """The lines of all ParsingErrors: duplicates allowed, lines before the first section made comments."""
    lines = list(lines_of(text))
    while True:
        parser = parser_of_paste(strict=False)
        try:
            parser.read_file(lines)
        except configparser.MissingSectionHeaderError as error:
            lines[error.lineno - 1] = "#\n"
        except configparser.ParsingError as error:
            return [line for line, _ in error.errors]
        else:
            return []


def result(text):
    try:
        return contents(text)
    except configparser.ParsingError as error:
        lines = [error.lineno] if hasattr(error, "lineno") else [line for line, _ in error.errors]
        kind = type(error).__name__
    except (configparser.DuplicateSectionError, configparser.DuplicateOptionError) as error:
        lines = [error.lineno]
        kind = type(error).__name__
    syntax = every_syntax_error(text)
    return {"error": kind, "lines": lines, **({} if syntax == lines else {"syntax": syntax})}


def write(name, rows):
    target = ini_corpus.DATA / "golden" / f"{name}.json"
    target.parent.mkdir(exist_ok=True)
    # One row a line, so that a diff shows only the changed lines; in ASCII, because U+2028 is invisible.
    body = ",\n".join(json.dumps(row, ensure_ascii=True, separators=(",", ":")) for row in rows)
    target.write_text(f"[\n{body}\n]\n", encoding="ascii")
    print(f"{target}: {len(rows)} texts, {target.stat().st_size} bytes")


write("handmade", [{"name": name, **result(text)} for name, text in ini_corpus.handmade()])
write("generated", [{"text": text, **result(text)} for text in ini_corpus.generated()])

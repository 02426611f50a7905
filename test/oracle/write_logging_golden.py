"""Writes the results of CPython's logging for formats, literals, levels and dates to test/logging/*.golden. See README.md."""
import json
import logging
import logging.config
import logging.handlers
import os
import pathlib
import tempfile
import time

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "logging"
GOLDEN.mkdir(exist_ok=True)


def write(name, rows):
    (GOLDEN / f"{name}.json.golden").write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    print(name, len(rows))


def zone(name):
    os.environ["TZ"] = name
    time.tzset()


# Formats ------------------------------------------------------------------------------------------------------------
zone("UTC")
FORMATS = [
    ("%", text)
    for text in [
        "%(message)s", "%(asctime)s - %(levelname)s - %(name)s:%(funcName)s - %(message)s", "%(levelname)-5.5s|%(levelname)10s|",
        "%(levelname).2s %(name).s|", "%(lineno)d %(lineno)5d %(lineno)-5d| %(lineno)05d %(lineno)+d % (lineno)d", "%(lineno)5s|%(lineno)-5s|",
        "%(lineno)x %(lineno)X %(lineno)o %(lineno)#x %(lineno)#o %(lineno)i %(lineno)u", "%(created)f %(created).3f %(created)d",
        "%(msecs)03d %(msecs)5.1f %(msecs)e %(msecs)g", "%(created)e %(created)G %(created).10g", "100%% %(message)s", "%(message)s%%",
        "%(levelno)s %(module)s %(filename)s %(pathname)s", "%(message)r %(name)a", "no field", "%s", "%(message)", "%(message)y", "%", "",
        "%(asctime)s%(asctime)30s|", "%(message)-20s|%(message)5.3s|", "%(lineno)08.3f|%(lineno)-8.3f|", "a\nb %(message)s", "%(threadName)s %(processName)s",
    ]
] + [
    ("{", text)
    for text in [
        "{message}", "{levelname:<10}|{levelname:>10}|{levelname:^10}|", "{levelname:*^12.4}|", "{lineno:5}|{lineno:<5}|{lineno:05}|{lineno:+}|{lineno:x}|{lineno:#x}|",
        "{message!r}", "{{{message}}}", "{asctime} {name}", "{created:.3f} {msecs:06.2f}", "{message", "message}", "{lineno:^9d}|{lineno:=+9}|", "{}", "{0}",
    ]
] + [("$", text) for text in ["$message", "${message}x", "$$ $name $lineno", "$levelname-${asctime}", "no field", "$", "$1 $message"]]


def record():
    each = logging.LogRecord("shop.cart", logging.WARNING, "/srv/app/cart.py", 42, "héllo %s", ("wörld",), None, "pay")
    each.created, each.msecs = 1700000000.25, 250.0
    return each


def formatted(style, text, datefmt=None):
    try:
        return {"line": logging.Formatter(text, datefmt, style).format(record())}
    except Exception as error:
        return {"error": str(error)}


DATEFMTS = [None, "", "%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%a %d %b %Y", "%%", "%Q %"]
write(
    "formats",
    [[style, text, None, formatted(style, text)] for style, text in FORMATS]
    + [["%", "%(asctime)s", datefmt, formatted("%", "%(asctime)s", datefmt)] for datefmt in DATEFMTS],
)

# Literals -----------------------------------------------------------------------------------------------------------
LITERALS = [
    "()", "(1,)", "(1)", "(sys.stdout,)", "(sys.stderr, )", '("a", "b")', '(r"/x/../var/proxy.log", "a")', "'a', 'b'", "'a',", '"a" "b"', "('a' \"b\"\n'c',)",
    r"'a\n\t\\\'\"\x41\u00e9\U0001f600\101\0'", r"r'a\n\'b'", r"b'a\xff\u00e9'", r"rb'\x'", "Rb'x'", "bR'x'", "u'x'", "'''a\nb'c'''", '"""a"b"""', "''", "'\\\nx'", r"'\q\8'",
    "0", "-1", "+1", "007", "0x1F", "0o17", "0b101", "1_000", "1.5", ".5", "5.", "1e3", "-1.5E-3", "00", "0_0", "1__0", "0x", "1e", "1a",
    "None", "True", "False", "[1, 'a', None]", "[]", "[1,]", "{}", "{'a': 1}", "{'a': (1, 2), 'b': [],}", "((), ((),))", "(1, 2", "[1, 2", "{'a': 1", "'a", "'a\nb'", '"""a', "(,)", "(1,,2)",
    "handlers.SysLogHandler.LOG_USER", "(handlers.SYSLOG_UDP_PORT,)", "('localhost', handlers.SYSLOG_UDP_PORT), handlers.SysLogHandler.LOG_USER", "DEBUG", "( 'a' ,\n 1 )", "'\\x4'", "'\\u12'",
    "'é'", "b'é'", "'a' b'b'", "- 1", "'a\tb'", "1 2", "", ")", "'\\400'", "b'\\400'", "{1: 2}", "'a'\\\n'b'", "(1, # one\n 2)",
]


def shown(value):
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return {"number": value}
    if isinstance(value, str):
        return {"text": value}
    if isinstance(value, bytes):
        return {"bytes": value.decode("latin-1")}
    if isinstance(value, tuple):
        return {"tuple": [shown(each) for each in value]}
    if isinstance(value, list):
        return {"list": [shown(each) for each in value]}
    if isinstance(value, dict):
        return {"dict": [[shown(key), shown(each)] for key, each in value.items()]}
    return "object"


def literal(text):
    try:
        return {"value": shown(eval(text, dict(vars(logging))))}
    except (SyntaxError, ValueError, TypeError):
        return {"error": True}


import warnings

warnings.simplefilter("ignore")
write("literals", [[text, literal(text)] for text in LITERALS])

# Levels and propagation ---------------------------------------------------------------------------------------------
HANDLERS = """
[handlers]
keys = a, b
[handler_a]
class = FileHandler
formatter = plain
args = (r"%(here)s/a.log", "w")
[handler_b]
class = logging.FileHandler
level = ERROR
formatter = plain
args = ("%(here)s/b.log",)
kwargs = {"mode": "w"}
[formatters]
keys = plain
[formatter_plain]
format = %(name)s %(levelname)s %(message)s
"""
TREES = [
    "[loggers]\nkeys = root\n[logger_root]\nhandlers = a, b\n",
    "[loggers]\nkeys = root\n[logger_root]\nlevel = DEBUG\nhandlers = a\n",
    "[loggers]\nkeys = root\n[logger_root]\nlevel = NOTSET\nhandlers = a,b\nqualname = root\n",
    "[loggers]\nkeys = root, shop\n[logger_root]\nlevel = WARN\nhandlers = a\n[logger_shop]\nlevel = INFO\nqualname = shop\nhandlers = b\n",
    "[loggers]\nkeys = root, shop\n[logger_root]\nlevel = WARN\nhandlers = a\n[logger_shop]\nlevel = INFO\nqualname = shop\npropagate = 0\nhandlers = b\n",
    "[loggers]\nkeys = shop,root , cart\n[logger_root]\nlevel = CRITICAL\nhandlers = a\n[logger_shop]\nlevel = DEBUG\nqualname = shop\nhandlers =\n"
    "[logger_cart]\nqualname = shop.cart\npropagate = 0\nhandlers = a,b\n",
    "[loggers]\nkeys = root, cart\n[logger_root]\nlevel = FATAL\nhandlers = a\n[logger_cart]\nlevel = DEBUG\nqualname = shop.cart.item\npropagate = 1\nhandlers = a,a\n",
]
NAMES = ["", "shop", "shop.cart", "shop.cart.item", "shopping", "other"]
LEVELS = [10, 20, 30, 40, 50, 15]


def propagation(tree):
    with tempfile.TemporaryDirectory() as here:
        file = pathlib.Path(here) / "x.ini"
        file.write_text(tree + HANDLERS)
        logging.root.manager.loggerDict.clear()
        logging.root.setLevel(logging.WARNING)
        logging.config.fileConfig(file, {"here": here})
        enabled = {}
        for name in NAMES:
            logger = logging.getLogger(name)
            enabled[name] = [level for level in LEVELS if logger.isEnabledFor(level)]
            for level in LEVELS:
                logger.log(level, "said")
        logging.shutdown()
        return {"enabled": enabled, **{name: (pathlib.Path(here) / f"{name}.log").read_text() for name in "ab"}}


write("propagation", [[tree + HANDLERS, propagation(tree)] for tree in TREES])

# Dates --------------------------------------------------------------------------------------------------------------
DIRECTIVES = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYz"
FLAGS = ["%-d", "%_d", "%0e", "%^a", "%-H:%-M", "%Q", "%i"]
TIMES = [0, 1700000000, 951782399, 1104537600, 1230768000, 1293840000, 1703980800, 1711846800, 1729990800, 1750000000]
dates = []
for name in ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]:
    zone(name)
    for seconds in TIMES:
        for text in [f"%{each}" for each in DIRECTIVES] + FLAGS:
            dates.append([name, seconds, text, time.strftime(text, time.localtime(seconds))])
write("dates", dates)

rotations = []
for name in ["UTC", "Europe/Berlin", "Asia/Kolkata"]:
    zone(name)
    for when in ["s", "M", "H", "d", "midnight", "W0", "w3", "W6"]:
        for interval in [1, 3]:
            for utc in [False, True]:
                for seconds in TIMES:
                    handler = logging.handlers.TimedRotatingFileHandler("/nowhere/x", when, interval, delay=True, utc=utc)
                    rotations.append([name, when, interval, utc, seconds, handler.computeRollover(seconds)])
write("rotations", rotations)

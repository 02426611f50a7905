"""Writes the result of Paste Deploy's loader for each case of test/data/deploy/loader.cases. See README.md."""
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

ORACLE = pathlib.Path(__file__).resolve().parent
DATA = ORACLE.parent / "data" / "deploy"
ENTRY_POINTS = """[paste.app_factory]
main = fakeapp:make_app
other = fakeapp:make_other
both = fakeapp:make_app
[paste.composite_factory]
compo = fakeapp:make_composite
both = fakeapp:make_composite
[paste.filter_factory]
main = fakeapp:make_filter
caps = fakeapp:make_filter
[paste.filter_app_factory]
around = fakeapp:make_filter_app
caps = fakeapp:make_filter_app
[paste.server_factory]
main = fakeapp:make_server
[paste.server_runner]
run = fakeapp:run_server
"""

site = pathlib.Path(tempfile.mkdtemp())
info = site / "FakeApp-1.0.dist-info"
info.mkdir()
(info / "METADATA").write_text("Metadata-Version: 2.1\nName: FakeApp\nVersion: 1.0\n")
(info / "entry_points.txt").write_text(ENTRY_POINTS)
shutil.copy(ORACLE / "fakeapp.py", site)
sys.path.insert(0, str(site))

from paste.deploy import loadwsgi  # noqa: E402

LOADERS = {"app": loadwsgi.loadapp, "filter": loadwsgi.loadfilter, "server": loadwsgi.loadserver}
INNERMOST = {"app": "the caller's", "global": {}, "local": {}}


def cases():
    name = None
    for line in (DATA / "loader.cases").read_text().splitlines(keepends=True):
        header = re.match(r"#### (.*)\n", line)
        if header:
            if name is not None:
                yield name, load, files
            name, load, files, file = header.group(1), None, {}, None
        elif load is None:
            load = line.split()
        elif line.startswith("--- "):
            file = line[4:].strip()
            files[file] = ""
        else:
            files[file] += line
    yield name, load, files


def run(load, files):
    directory = tempfile.mkdtemp()
    try:
        for name, text in files.items():
            path = pathlib.Path(directory, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("{mod}", "fakeapp"))
        what, uri, *assignments = load
        uri = uri.replace("{mod}", "fakeapp")
        given = dict(each.split("=", 1) for each in assignments) or None
        try:
            if what == "config":
                conf = loadwsgi.appconfig(uri, relative_to=directory, global_conf=given)
                result = {"global": conf.global_conf, "local": conf.local_conf}
            else:
                result = LOADERS[what](uri, relative_to=directory, global_conf=given)
                if callable(result):
                    result = result(INNERMOST)
            row = {"result": result}
        except RecursionError:
            row = {"error": "RecursionError"}
        except Exception as error:
            row = {"error": type(error).__name__}
        return json.loads(json.dumps(row).replace(directory, "$DIR"))
    finally:
        shutil.rmtree(directory)


rows = [{"name": name, **run(load, files)} for name, load, files in cases()]
body = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
(DATA / "loader.json").write_text(f"[\n{body}\n]\n")
print(f"{len(rows)} cases, {sum('error' in row for row in rows)} of them errors")
shutil.rmtree(site)

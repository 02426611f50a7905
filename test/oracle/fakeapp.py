"""Factories that report their arguments; the package FakeApp of test/fixtures/deploy has the same ones for paster."""


def app_factory(name):
    def make(global_conf, **local_conf):
        return {"app": name, "global": dict(global_conf), "local": local_conf}

    return make


make_app = app_factory("main")
make_other = app_factory("other")


def make_composite(loader, global_conf, **local_conf):
    parts = {}
    for key, value in local_conf.items():
        if key.startswith("app"):
            parts[key] = loader.get_app(value, global_conf=global_conf)
        if key.startswith("bare"):
            parts[key] = loader.get_app(value)
    return {"composite": "compo", "global": dict(global_conf), "local": local_conf, "parts": parts}


def make_filter(global_conf, **local_conf):
    def wrap(app):
        return {"filter": "filter", "global": dict(global_conf), "local": local_conf, "inner": app}

    return wrap


def make_filter_app(app, global_conf, **local_conf):
    return {"filter": "filter_app", "global": dict(global_conf), "local": local_conf, "inner": app}


def make_server(global_conf, **local_conf):
    return {"server": "main", "global": dict(global_conf), "local": local_conf}


def run_server(app, global_conf, **local_conf):
    return {"runner": "run", "global": dict(global_conf), "local": local_conf, "inner": app}


class nested:
    class deep:
        make_app = staticmethod(app_factory("nested"))



"""Every client reads every sample of both programs correctly, including histograms."""

import http.server
import math
import re
import subprocess
import threading
from contextlib import contextmanager

import pytest
from conftest import NEWER
from page import Page, quantile, series, steady
from readers import LEAVES_OUT, READERS, get, npm, python_classic, python_strict
from world import POOLS, WORKERS, until

PROGRAMS = ["spacelift-promex", "spot-interruption-exporter"]

# Samples that must exist, because the comparison would otherwise be incomplete.
EXPECTED = {
    "spacelift-promex": {
        "spacelift_worker_pool_workers",
        "spacelift_promex_api_request_duration_seconds_bucket",
        "spacelift_promex_token_exchanges_total",
        "spacelift_build_info",
    },
    "spot-interruption-exporter": {
        "interruption_events_total",
        "spot_interruptions_total",
        "spot_instances",
        "spot_instance_lifetime_seconds_bucket",
        "spot_interruption_delivery_seconds_bucket",
        "spot_interruption_exporter_build_info",
    },
}

# Complaints of promtool about names of Spacelift's own exporter and the Go exporter.
KNOWN_NAMES = re.compile(r"^spacelift_|^interruption_events")


def differences(read, wanted):
    """Returns the samples that a client lacks or reads differently."""
    return {key: (value, read.get(key)) for key, value in wanted.items() if read.get(key) != value}


def understood(reader, url, name):
    before = Page(get(url))
    read = reader(url, before)
    wanted = steady(before, Page(get(url)))
    assert {sample for sample, _ in wanted} >= EXPECTED[name]
    left_out = LEAVES_OUT.get(reader, lambda page: set())(before)
    assert differences(read, {key: value for key, value in wanted.items() if key[0] not in left_out}) == {}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_a_parser_reads_every_sample(world, reader, name):
    understood(reader, world.metrics(name), name)


def test_the_pages_match_the_simulation(world):
    """The pages, on which all comparisons are based, match the account and history of the sandbox."""
    promex, spot = (Page(get(world.metrics(name))) for name in PROGRAMS)
    workers = [value for (sample, _), value in promex.samples.items() if sample == "spacelift_worker_pool_workers"]
    assert workers == [WORKERS] * POOLS

    truth = world.truth()
    for cluster, count in truth["interruptions"].items():
        assert spot.value("interruption_events_total", kubernetes_cluster=cluster) == count
    assert spot.value("interruption_events_unattributed_total") == truth["unattributed"]
    assert spot.value("spot_interruption_delivery_seconds_count") == world.interruptions()


@pytest.mark.parametrize("name", PROGRAMS)
def test_buckets_are_ordered_and_end_with_the_count(world, name):
    page = Page(get(world.metrics(name)))
    seen = 0
    for histogram in page.histograms():
        for (sample, labels), count in page.samples.items():
            if sample != f"{histogram}_count":
                continue
            buckets = page.buckets(histogram, **dict(labels))
            assert [bound for bound, _ in buckets] == sorted(bound for bound, _ in buckets)
            assert [below for _, below in buckets] == sorted(below for _, below in buckets)
            assert buckets[-1] == (math.inf, count)
            seen += count > 0
    assert seen, "no histogram has an observation"


@pytest.mark.parametrize("name", PROGRAMS)
def test_prometheus_stores_every_sample(world, prometheus, name):
    url = world.metrics(name)

    def stored():
        before = Page(get(url))
        own = ("job", "instance", "__name__")
        read = {
            series(labels["__name__"], {label: value for label, value in labels.items() if label not in own}): value
            for labels, value in prometheus.query(f'{{job="{name}"}}')
        }
        wanted = steady(before, Page(get(url)))
        assert {sample for sample, _ in wanted} >= EXPECTED[name]
        return differences(read, wanted)

    # Changes between a scrape and the pages are included in the next scrape.
    until(lambda: f"all samples, without {stored()}", 10, lambda: stored() == {})
    assert prometheus.value(f'up{{job="{name}"}}') == 1


def test_prometheus_evaluates_histogram_quantiles(world, prometheus):
    page = Page(get(world.metrics("spot-interruption-exporter")))
    buckets = page.buckets("spot_interruption_delivery_seconds")
    for q in (0.5, 0.9):
        found = prometheus.value(f"histogram_quantile({q}, sum by (le) (spot_interruption_delivery_seconds_bucket))")
        assert found == pytest.approx(quantile(q, buckets))
    assert prometheus.value("spot_interruption_delivery_seconds_sum") == page.value("spot_interruption_delivery_seconds_sum")
    everything = prometheus.value('sum(spot_interruption_delivery_seconds_bucket{le="+Inf"})')
    assert everything == prometheus.value("spot_interruption_delivery_seconds_count") == world.interruptions()


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("promtool", ["promtool", NEWER / "promtool"], ids=["2.42", "2.53"])
def test_promtool_can_read_the_metrics(world, promtool, name):
    finished = subprocess.run([promtool, "check", "metrics"], input=get(world.metrics(name)), capture_output=True, text=True)
    # 0: no complaints, 3: complaints about names.
    assert finished.returncode in (0, 3), finished.stderr
    complaints = [line for line in finished.stderr.splitlines() if not KNOWN_NAMES.match(line)]
    assert complaints == []


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("question", ["healthy", "ready"])
def test_promtool_check_succeeds(world, question, name):
    command = [NEWER / "promtool", "check", question, f"--url={world.programs[name]}"]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout + finished.stderr


# Tests of the comparison itself.


@contextmanager
def served(text):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", self.headers["Accept"])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()


HISTOGRAM = """# HELP seconds Time
# TYPE seconds histogram
seconds_bucket{le="1"} 3
seconds_bucket{le="2"} 5
seconds_bucket{le="+Inf"} 6
seconds_sum 9
seconds_count 6
"""


def test_all_clients_read_a_valid_histogram():
    with served(HISTOGRAM) as url:
        for reader in (python_classic, npm):
            assert differences(reader(url, Page(HISTOGRAM)), Page(HISTOGRAM).samples) == {}


def test_detects_buckets_after_the_sum():
    lines = HISTOGRAM.splitlines(keepends=True)
    text = "".join(lines[:2] + lines[5:] + lines[2:5])
    with served(text) as url:
        try:
            read = npm(url, Page(text))
        except subprocess.CalledProcessError:
            return
        assert differences(read, Page(text).samples) != {}


def test_detects_inconsistent_buckets():
    text = HISTOGRAM.replace('le="+Inf"} 6', 'le="+Inf"} 5') + "# EOF\n"
    with served(text) as url, pytest.raises(ValueError):
        python_strict(url, None)


def test_detects_a_bucket_that_is_read_incorrectly():
    samples = Page(HISTOGRAM).samples
    assert differences({**samples, series("seconds_bucket", {"le": "+Inf"}): 0.0}, samples) != {}

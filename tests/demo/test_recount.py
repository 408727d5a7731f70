"""The recount by hand-counted logs, by the real one, and line for line against the importer's parser."""

from __future__ import annotations

import ast
import gzip
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.demo import recount as module
from cli.demo.recount import recount
from cli.importer.formats.combined import parse_line
from cli.importer.formats.line import MalformedLineError
from cli.importer.mapping import is_page_view

REAL = Path(module.__file__).parent / "data" / "access.log.gz"


def line(
    target: str = "/", *, ip: str = "1.1.1.1", at: str = "17/May/2015:10:05:03 +0000", request: str = "",
    status: int = 200, referrer: str = "-", agent: str = "a",
) -> str:  # fmt: skip
    return f'{ip} - - [{at}] "{request or f"GET {target} HTTP/1.1"}" {status} 5 "{referrer}" "{agent}"\n'


@pytest.fixture
def log(tmp_path: Path):
    def write(*lines: str, name: str = "access.log") -> Path:
        path = tmp_path / name
        data = "".join(lines).encode("latin-1")
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def test_lines_and_days(log) -> None:
    late = line("/late", at="17/May/2015:23:30:00 -0100")
    counts = recount(log(line(), line("/a.png"), line(status=404), late, line(status=206), "bad\n", "\n", line()[:-3]))
    assert (counts.lines, counts.malformed, counts.events, counts.page_views) == (8, 3, 5, 3)
    assert counts.events_by_day == {"2015-05-17": 4, "2015-05-18": 1}
    assert counts.page_views_by_day == {"2015-05-17": 2, "2015-05-18": 1}


def test_gzip_is_the_same_and_nothing_is_fine(log) -> None:
    assert recount(log(line(), name="x.gz")) == recount(log(line()))
    empty = recount(log())
    assert (empty.lines, empty.events_by_day, empty.top_pages, empty.utm) == (0, {}, [], [])


def test_visitors_are_pairs_of_address_and_agent_with_a_page_view(log) -> None:
    counts = recount(
        log(
            line(), line(), line(ip="2.2.2.2"), line(agent="b"), line("/x.css", ip="3.3.3.3"),
            line(at="18/May/2015:00:00:00 +0000"),
        )
    )  # fmt: skip
    assert counts.visitors_by_day == {"2015-05-17": 3, "2015-05-18": 1}


def test_pages_are_paths_ranked_by_count_then_name(log) -> None:
    views = [line("/b?x=1"), line("/b"), line("/c"), line("/a"), line("/a.gif"), line(request="POST /c HTTP/1.1")]
    assert recount(log(*views)).top_pages == [("/b", 2), ("/a", 1), ("/c", 1)]
    assert len(recount(log(*[line(f"/{n}") for n in range(20)])).top_pages) == 10


def test_referrers_are_hosts_of_page_views(log) -> None:
    counts = recount(
        log(
            line(referrer="http://WWW.B.org:8080/x"), line(referrer="https://www.b.org/"), line(referrer="http://a.org"),
            line(referrer="-"), line(referrer=""), line(referrer="nonsense"), line(referrer="http://[x/"),
            line("/x.png", referrer="http://c.org/"),
        )
    )  # fmt: skip
    assert counts.top_referrer_hosts == [("www.b.org", 2), ("a.org", 1)]


def test_utm_is_of_the_requests_own_query(log) -> None:
    counts = recount(
        log(
            line("/?utm_source=s&utm_medium=m&utm_campaign=a+b%21"),
            line("/p?utm_campaign=a%20b!&utm_source=s&utm_medium=m"),
            line("/?utm_source=only"), line("/?utm_source="), line("/?q=1"), line(referrer="http://x/?utm_source=r"),
            line("/x.png?utm_source=s"),
        )
    )  # fmt: skip
    assert counts.utm == [(("s", "m", "a b!"), 2), (("only", "", ""), 1)]


def test_the_real_log() -> None:
    counts = recount(REAL)
    assert (counts.lines, counts.malformed, counts.page_views) == (10_000, 1, 3_617)
    assert counts.events_by_day == {"2015-05-17": 1632, "2015-05-18": 2893, "2015-05-19": 2896, "2015-05-20": 2578}
    assert counts.page_views_by_day == {"2015-05-17": 658, "2015-05-18": 1194, "2015-05-19": 952, "2015-05-20": 813}
    assert counts.visitors_by_day == {"2015-05-17": 243, "2015-05-18": 389, "2015-05-19": 380, "2015-05-20": 336}
    assert counts.top_pages[:3] == [("/", 572), ("/blog/tags/puppet", 489), ("/projects/xdotool/", 219)]
    assert counts.top_referrer_hosts[0] == ("www.semicomplete.com", 552)
    campaign = "Feed: semicomplete/main (semicomplete.com - Jordan Sissel)"
    assert counts.utm == [(("feedburner", "feed", campaign), 153)]


def test_it_shares_no_code_with_what_it_checks() -> None:
    tree = ast.parse(Path(module.__file__).read_text())
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


pieces = [*'aZ/?#.-= "\\x4', "\xe4", "\x00", ".html", ".png", "GET ", " HTTP/1.1"]
quoted = st.lists(st.sampled_from(pieces), max_size=8).map("".join)


@settings(max_examples=300)
@given(
    request=quoted | quoted.map(lambda text: f"GET /{text} HTTP/1.1"), user=quoted, referrer=quoted, agent=quoted,
    time=st.sampled_from(["17/May/2015:10:05:03 +0000", "31/Feb/2015:10:05:03 +0000", "17/May/2015:24:00:00 +0000"]),
    rest=st.sampled_from(["", " ", ' "x"', "x"]),
)  # fmt: skip
def test_both_parsers_agree(tmp_path_factory, request, user, referrer, agent, time, rest) -> None:
    row = f'1.1.1.1 - {user or "-"} [{time}] "{request}" 200 5 "{referrer}" "{agent}"{rest}'.encode("latin-1")
    path = tmp_path_factory.getbasetemp() / "agree.log"
    path.write_bytes(row + b"\n")
    counts = recount(path)
    try:
        parsed = parse_line(row)
    except MalformedLineError:
        assert counts.malformed == 1
    else:
        assert counts.malformed == 0
        assert counts.page_views == int(is_page_view(parsed))

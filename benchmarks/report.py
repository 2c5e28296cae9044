"""From figures to ratios and verdicts, and to Markdown."""

# ruff: noqa: RUF001 (dashes and signs as they are printed)

from __future__ import annotations

from statistics import median
from typing import Any, Optional

from contest import BEST, NO_PEERS, Bound, Row
from rounds import Measured


def judge(row: Row, measured: Measured) -> dict[str, Any]:
    """All that is known of a row, as plain data."""
    series = measured.series
    return {
        "id": row.id,
        "chapter": row.chapter,
        "title": row.title,
        "contestants": {
            name: {
                **_spread(figures),
                "ratio": _ratio_to(series, _counterpart(row, name), name),
                "rounds": figures,
            }
            for name, figures in series.items()
        },
        "bounds": [_judge_bound(row, series, bound) for bound in row.bounds],
        "missing": {one.name: one.missing for one in row.contestants if one.missing},
        "failures": measured.failures,
    }


def _spread(figures: list[float]) -> dict[str, float]:
    return {"median": median(figures), "min": min(figures), "max": max(figures)}


def _counterpart(row: Row, name: str) -> str:
    """Our figure that this one is compared with: `pyipc, p99` for `sysv_ipc, p99`."""
    _, comma, figure = name.partition(", ")
    return row.contestants[0].name + comma + figure


def _ratio_to(series: dict[str, list[float]], ours: str, theirs: str) -> Optional[dict[str, float]]:
    """Round by round, since the two were measured one after the other there."""
    if ours == theirs or ours not in series or theirs not in series:
        return None
    return _spread([a / b for a, b in zip(series[ours], series[theirs])])


def _judge_bound(row: Row, series: dict[str, list[float]], bound: Bound) -> dict[str, Any]:
    theirs = _best(row, series, bound.ours) if bound.theirs == BEST else bound.theirs
    if theirs is not None:
        found = _ratio_to(series, bound.ours, theirs)
    else:
        found = _spread(series[bound.ours]) if bound.ours in series else None
    return {
        "ours": bound.ours,
        "theirs": theirs or bound.theirs,
        "most": bound.most,
        "aim": bound.aim,
        "found": found,
        "met": None if found is None else found["median"] <= bound.most,
    }


def _best(row: Row, series: dict[str, list[float]], ours: str) -> Optional[str]:
    """Of the peers' figures that have the same name as ours."""

    def is_peer(label: str) -> bool:
        name, _, figure = label.partition(", ")
        return figure == ours.partition(", ")[2] and name not in (row.contestants[0].name, *NO_PEERS)

    return min(filter(is_peer, series), key=lambda label: median(series[label]), default=None)


# ---- Markdown ----


def markdown(report: dict[str, Any]) -> str:
    facts = {**report["machine"], **report["run"]}
    lines = ["# pyipc beside its peers", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    lines += _missing(report["rows"])
    lines += ["", "## Bounds", "", "| row | bound | found | |", "|---|---|---|---|"]
    lines += [_bound(row, bound) for row in report["rows"] for bound in row["bounds"]]
    for row in report["rows"]:
        lines += ["", f"## {row['id']}: {row['title']}", ""]
        lines += ["| | median | min–max | pyipc ÷ it |", "|---|--:|--:|--:|"]
        lines += [line(name, figures) for name, figures in row["contestants"].items()]
        lines += [f"\n**{name} failed: {why}**" for name, why in row["failures"].items()]
    return "\n".join(lines) + "\n"


def _missing(rows: list[dict[str, Any]]) -> list[str]:
    missing = {name: why for row in rows for name, why in row["missing"].items()}
    return [f"- not measured: {name}: {why}" for name, why in missing.items()]


def _bound(row: dict[str, Any], bound: dict[str, Any]) -> str:
    found, absolute = bound["found"], bound["theirs"] is None
    limit = duration(bound["most"]) if absolute else f"{bound['most']:g} × {bound['theirs']}"
    aim = " (an aim)" if bound["aim"] else ""
    shown = "" if found is None else _range(found, duration if absolute else _ratio)
    return f"| {row['id']}: {bound['ours']} | ≤ {limit}{aim} | {shown} | {_verdict(bound)} |"


def _verdict(bound: dict[str, Any]) -> str:
    if bound["found"] is None:
        return "not measured"
    if bound["met"]:
        return "met"
    return "**not met**" + (", but within the spread" if bound["found"]["min"] <= bound["most"] else "")


def line(name: str, figures: dict[str, Any]) -> str:
    ratio = "" if figures["ratio"] is None else _range(figures["ratio"], _ratio)
    least, most = duration(figures["min"]), duration(figures["max"])
    return f"| {name} | {duration(figures['median'])} | {least} – {most} | {ratio} |"


def _range(spread: dict[str, float], form: Any) -> str:
    return f"{form(spread['median'])} ({form(spread['min'])} – {form(spread['max'])})"


def _ratio(ratio: float) -> str:
    return f"{ratio:.3f}" if ratio < 10 else f"{ratio:.1f}"


def duration(ns: float) -> str:
    for size, unit in ((1e6, "ms"), (1e3, "µs")):
        if ns >= 10 * size:
            return f"{ns / size:.4g} {unit}"
    return f"{ns:.4g} ns"

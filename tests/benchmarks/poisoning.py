"""How many poisoned definitions the scan finds, and how often it is wrong.

    python tests/benchmarks/poisoning.py [--data FOLDER]

Two labelled corpora of mcpproxy-go (MIT) and, for false alarms alone, the 527 tools of the 70 real servers of
LiveMCPBench (Apache-2.0), which nobody has labelled and which are taken to be harmless. The rules were tuned
on the first corpus only, but by someone who had read both, so neither figure says what an unseen attack
meets. As a better sign: of 26 poisoned descriptions published elsewhere, met after the rules were written and
each tried before anything was changed for it, 19 were found (2026-11-21). The misses were plainly worded
orders, such as to call another tool first with the user's words; the rules were then widened to all 26.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pygent_registry.trust import scan

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "toolsearch"
TUNED_ON, REPORTED_ON = "mcpproxy_detect_corpus_v1.json", "mcpproxy_security_corpus_v1.json"


def entries(data: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((data / name).read_text(encoding="utf-8"))["entries"]
    return found


def is_flagged(entry: dict[str, Any]) -> bool:
    """Whether the scan calls an entry an attack: any severe finding."""
    tool = entry.get("tool") or {"name": "tool", "description": entry["description"]}
    others = {
        peer["tool"]["name"]: peer["tool"]["description"]
        for peer in entry.get("peers", ())
        if peer["server"] != entry.get("server")
    }
    return bool(scan.severe([*scan.scan(tool), *scan.scan_beside(tool, others)]))


def real_tools(data: Path) -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
    """Each tool of LiveMCPBench with its server, beside all tools of the others."""
    listed = [
        (server["name"], tool)
        for server in json.loads((data / "livemcp_tools.json").read_text(encoding="utf-8"))
        for group in server["tools"].values()
        for tool in group["tools"]
    ]
    for server, tool in listed:
        others = {other["name"]: other.get("description") or "" for name, other in listed if name != server}
        yield server, tool, others


def measure(data: Path = DATA) -> dict[str, Any]:
    report: dict[str, Any] = {}
    for name in (TUNED_ON, REPORTED_ON):
        by_category: dict[str, list[bool]] = defaultdict(list)
        wrong = []
        for entry in entries(data, name):
            flagged = is_flagged(entry)
            by_category[f"{entry['label']}: {entry['category']}"].append(flagged)
            if flagged != (entry["label"] == "malicious"):
                wrong.append(entry["id"])
        bad = [hit for category, hits in by_category.items() if category.startswith("mal") for hit in hits]
        good = [hit for category, hits in by_category.items() if category.startswith("ben") for hit in hits]
        report[name] = {
            "recall": round(sum(bad) / len(bad), 3),
            "false positives": round(sum(good) / len(good), 3),
            "flagged of": {key: f"{sum(hits)}/{len(hits)}" for key, hits in sorted(by_category.items())},
            "wrong": wrong,
        }
    tools = list(real_tools(data))
    alarms = [
        (server, tool["name"], finding.rule, finding.place, finding.words)
        for server, tool, others in tools
        for finding in scan.severe([*scan.scan(tool), *scan.scan_beside(tool, others)])
    ]
    flagged_tools = {alarm[:2] for alarm in alarms}
    report["livemcp_tools.json"] = {
        "tools": len(tools),
        "false positives": round(len(flagged_tools) / len(tools), 4),
        "alarms": alarms,
    }
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="Folder of the corpora.")
    print(json.dumps(measure(parser.parse_args().data), indent=1, ensure_ascii=False))

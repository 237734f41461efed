"""From measurements to the table, the results and the exit code."""
import datetime
import json
import os
import pathlib
import platform
import subprocess
from dataclasses import dataclass

from targets import BY_NAME, TARGETS

RESULTS = pathlib.Path(__file__).resolve().parent.parent / "results"


@dataclass(frozen=True)
class Measured:
    """The median of a target's runs. Without a target it is there to be read."""
    name: str
    value: float
    rival_value: float | None = None
    # Median of the runs' ratios, greater is better; None if there is no rival.
    ratio: float | None = None
    # For measurements without a target.
    unit: str = ""
    rival: str = ""


@dataclass(frozen=True)
class Absent:
    """A target that this machine, or this revision, cannot measure."""
    name: str
    reason: str


def row(outcome):
    """What `latest.json` holds of an outcome. `target` is a ratio where there is a rival, else a value."""
    target = BY_NAME.get(outcome.name)
    unit = target.unit if target else outcome.unit
    rival = target.rival if target else outcome.rival
    bound, passed = bound_and_verdict(target, outcome)
    result = {
        "name": outcome.name,
        "value": getattr(outcome, "value", None),
        "unit": unit,
        "rival": rival or None,
        "rival_value": getattr(outcome, "rival_value", None),
        "ratio": getattr(outcome, "ratio", None),
        "target": bound,
        "pass": passed,
    }
    if isinstance(outcome, Absent):
        result["cause"] = outcome.reason
    elif passed is False:
        result["cause"] = target.cause
    return result


def bound_and_verdict(target, outcome):
    """The number to reach and whether it was; verdicts are None without a target or a measurement."""
    if target is None:
        return None, None
    bound = next(bound for bound in (target.ratio_min, target.value_min, target.value_max) if bound is not None)
    if isinstance(outcome, Absent):
        return bound, None
    if target.ratio_min is not None:
        return bound, outcome.ratio >= target.ratio_min
    if target.value_min is not None:
        return bound, outcome.value >= target.value_min
    return bound, outcome.value <= target.value_max


def rows(outcomes):
    """All rows: the targets in their order, then what has no target."""
    by_name = {outcome.name: outcome for outcome in outcomes}
    ordered = [by_name[target.name] for target in TARGETS if target.name in by_name]
    return [row(outcome) for outcome in ordered + [o for o in outcomes if o.name not in BY_NAME]]


def figure(value):
    """Three digits or all before the point."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(results):
    """The rows as text; what limits a missed target stands under the table's end."""
    header = ["name", "value", "unit", "rival", "its value", "ratio", "target", ""]
    lines = [header]
    for result in results:
        target = BY_NAME.get(result["name"])
        sign = "" if result["target"] is None else "≤ " if target.value_max is not None else "≥ "
        bound = "" if result["target"] is None else sign + format(result["target"], "g")
        verdict = {True: "pass", False: "MISSED", None: ""}[result["pass"]]
        if result["value"] is None:
            verdict = "not measured"
        ratio = "" if result["ratio"] is None else f"{result['ratio']:.2f}x"
        bound += "x" if bound and target.ratio_min is not None else ""
        lines.append([result["name"], figure(result["value"]), result["unit"], result["rival"] or "",
                      figure(result["rival_value"]), ratio, bound, verdict])
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    numbers = {1, 4, 5, 6}
    text = [
        "  ".join(cell.rjust(width) if column in numbers else cell.ljust(width)
                  for column, (cell, width) in enumerate(zip(line, widths))).rstrip()
        for line in lines
    ]
    text += [f"{result['name']}: {result['cause']}" for result in results if "cause" in result]
    return "\n".join(text)


def machine():
    """What the figures depend on."""
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo")
                  if line.startswith("model name")), platform.machine())
    memory_kib = next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal"))
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory_kib / (1 << 20), 1),
        "kernel": platform.release(),
        "rustc": output(["rustc", "--version"]),
        "load_average_before": os.getloadavg()[0],
    }


def revision():
    """The commit, with a mark if the tree differs from it."""
    commit = output(["git", "rev-parse", "--short", "HEAD"])
    dirty = output(["git", "status", "--porcelain", "--untracked-files=no"])
    return commit + ("-dirty" if dirty else "")


def output(command):
    """What a command prints, or nothing."""
    try:
        return subprocess.run(command, cwd=RESULTS.parent, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def write(results, about, folder=RESULTS):
    """Appends the run to `runs.jsonl`; `latest.json` keeps what this run did not measure from the runs before."""
    folder.mkdir(exist_ok=True)
    run = {"at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), **about}
    with open(folder / "runs.jsonl", "a", encoding="utf-8") as runs:
        runs.write(json.dumps({**run, "results": results}) + "\n")
    latest = folder / "latest.json"
    kept = json.loads(latest.read_text(encoding="utf-8")) if latest.exists() else []
    merged = {result["name"]: result for result in kept + results}
    ordered = [merged.pop(target.name) for target in TARGETS if target.name in merged] + list(merged.values())
    lines = ",\n".join("  " + json.dumps(result, ensure_ascii=False) for result in ordered)
    latest.write_text(f"[\n{lines}\n]\n", encoding="utf-8")

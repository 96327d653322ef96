#!/usr/bin/env python3
"""Parts of watch_test.sh. Standard library only.

  watch_test.py names DIR RULES DASHBOARD      each gatehouse_ metric and label that they ask for stands in DIR/*.metrics
  watch_test.py dashboard DIR DASHBOARD        panels have titles, data source and place, and promtool parses the queries
"""
import json
import re
import subprocess
import sys
from pathlib import Path

ADDED = {"job", "instance", "le", "alertname"}  # By Prometheus, or of every histogram.


def exported(folder):
    """Series names, and the labels of each."""
    names = {}
    for file in folder.glob("*.metrics"):
        for line in file.read_text().splitlines():
            match = re.match(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ", line)
            if match:
                names.setdefault(match[1], {}).update(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
                for label, value in re.findall(r'(\w+)="([^"]*)"', match[2] or ""):
                    names[match[1]].setdefault("=" + label, set()).add(value)
    return names


def queries(dashboard):
    for panel in json.loads(dashboard.read_text())["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def names(folder, rules, dashboard):
    have, wrong = exported(folder), []
    recorded = set(re.findall(r"record: (\S+)", rules.read_text()))
    expressions = [("rules", "\n".join(line for line in rules.read_text().splitlines() if "summary:" not in line))]
    expressions += list(queries(dashboard))
    asked = set()
    for where, text in expressions:
        for name in re.findall(r"\bgatehouse:[\w:]+", text):
            if name not in recorded:
                wrong.append(f"{where}: nothing records {name}")
        for name, selector in re.findall(r"\b(gatehouse_\w+)(?:\{([^}]*)\})?", text):
            asked.add(name)
            if name not in have:
                wrong.append(f"{where}: no program exports {name}")
                continue
            for label, operator, value in re.findall(r'(\w+)(=~?|!=)"([^"]*)"', selector):
                if label not in have[name] and label not in ADDED:
                    wrong.append(f"{where}: {name} has no label {label}")
                # A status or an end that has not come about yet is not exported; the programs' own lists are known.
                elif operator == "=" and label == "end" and value not in have[name]["=end"]:
                    wrong.append(f"{where}: {name} is never {label}={value}")
        for group in re.findall(r"\bby \(([^)]*)\)", text):
            known = ADDED.union(*(set(labels) for labels in have.values()))
            wrong += [f"{where}: no metric has the label {label.strip()}" for label in group.split(",") if label.strip() not in known]
    all_names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in have if name.startswith("gatehouse_")}
    left = all_names - {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    print("\n".join(wrong))
    print(f"{len(asked)} of the series asked for; not asked for: {', '.join(sorted(left)) or 'none'}")
    return bool(wrong)


def dashboard_is_well_formed(folder, dashboard):
    content, wrong = json.loads(dashboard.read_text()), []
    variables = {variable["name"] for variable in content["templating"]["list"]}
    groups = []
    for number, panel in enumerate(content["panels"]):
        if panel["type"] == "row":
            continue
        title = panel.get("title")
        if not title or not panel.get("targets") or not {"h", "w", "x", "y"} <= set(panel.get("gridPos", {})):
            wrong.append(f"panel {number} ({title}) lacks title, queries or place")
        if panel.get("datasource", {}).get("uid") != "${datasource}" or "datasource" not in variables:
            wrong.append(f"{title}: its data source is not the variable")
        for target in panel.get("targets", []):
            groups.append({"record": f"q{len(groups)}", "expr": target["expr"].replace("$__rate_interval", "5m")})
    ids = [panel["id"] for panel in content["panels"]]
    if len(set(ids)) != len(ids):
        wrong.append("two panels have one id")
    rules = folder / "dashboard.rules.json"  # JSON is YAML.
    rules.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": groups}]}))
    checked = subprocess.run(["promtool", "check", "rules", str(rules)], capture_output=True, text=True, check=False)
    if checked.returncode != 0:
        wrong.append(checked.stderr + checked.stdout)
    print("\n".join(wrong) or f"{len(groups)} queries")
    return bool(wrong)


def main():
    match sys.argv[1:]:
        case ["names", folder, rules, dashboard]:
            sys.exit(names(Path(folder), Path(rules), Path(dashboard)))
        case ["dashboard", folder, dashboard]:
            sys.exit(dashboard_is_well_formed(Path(folder), Path(dashboard)))
        case _:
            sys.exit(__doc__)


main()

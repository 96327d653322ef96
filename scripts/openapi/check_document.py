"""What has to hold for the OpenAPI document in every language and format: see openapi_test.sh.

python check_document.py FOLDER with en.json, en.yaml, ru.json and ru.yaml; prints "ok ..." or "FAIL ..." for each check.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from openapi_spec_validator import OpenAPIV30SpecValidator

LANGUAGES = ("en", "ru")
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# Below these everything that people read may be in the language of the document.
TEXTS = ("summary", "description")
EXAMPLES = ("example", "examples")


def check(label: str, problems: list[str]) -> None:
    if problems:
        print(f"FAIL {label}: {'; '.join(problems[:8])}", flush=True)
    else:
        print(f"ok {label}", flush=True)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


def links(value: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """All links of answers, with the place of each."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in children:
        if name == "links" and isinstance(child, dict):
            yield from ((f"{place}/links/{key}", link) for key, link in child.items())
        elif name not in EXAMPLES:
            yield from links(child, f"{place}/{name}")


def invalid(document: dict[str, Any]) -> list[str]:
    wrong = [] if document.get("openapi") == "3.0.3" else [f"it is OpenAPI {document.get('openapi')}"]
    for error in OpenAPIV30SpecValidator(document).iter_errors():
        wrong.append(f"/{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}")
    return wrong


def not_unique(document: dict[str, Any]) -> list[str]:
    wrong = [f"{place} has none" for place, operation in operations(document) if not operation.get("operationId")]
    count = Counter(operation.get("operationId") for _, operation in operations(document))
    return wrong + [f"{name} is there {times} times" for name, times in count.items() if times > 1]


def astray(document: dict[str, Any]) -> list[str]:
    known = {operation.get("operationId") for _, operation in operations(document)}
    found = list(links(document))
    if not found:
        return ["there is no link"]
    return [f"{place} leads to {link.get('operationId')}" for place, link in found if link.get("operationId") not in known]


def differences(one: Any, other: Any, place: str = "", in_example: bool = False) -> Iterator[str]:
    """Where two documents differ in more than their texts."""
    if type(one) is not type(other):
        yield f"{place}: {type(one).__name__} and {type(other).__name__}"
    elif isinstance(one, dict):
        if list(one) != list(other):
            yield f"{place}: members {list(one)} and {list(other)}"
            return
        # A member of that name with an object in it is a property, not a text.
        for name in one:
            if name in TEXTS and isinstance(one[name], str) and isinstance(other[name], str):
                continue
            yield from differences(one[name], other[name], f"{place}/{name}", in_example or name in EXAMPLES)
    elif isinstance(one, list):
        if len(one) != len(other):
            yield f"{place}: {len(one)} and {len(other)} elements"
        for index, (left, right) in enumerate(zip(one, other)):
            yield from differences(left, right, f"{place}/{index}", in_example)
    elif one != other and not (in_example and isinstance(one, str)):
        yield f"{place}: {one!r} and {other!r}"


def in_order(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False)


def main(folder: Path) -> None:
    documents = {}
    for language in LANGUAGES:
        document = json.loads((folder / f"{language}.json").read_text())
        as_yaml = yaml.safe_load((folder / f"{language}.yaml").read_text())
        documents[language] = document
        unlike = [] if in_order(document) == in_order(as_yaml) else [*differences(document, as_yaml), "or texts differ"]
        check(f"{language}: JSON and YAML are the same document", unlike)
        check(f"{language}: it is valid OpenAPI 3.0.3", invalid(document))
        check(f"{language}: every operation has an operationId of its own", not_unique(document))
        check(f"{language}: every link leads to an operation", astray(document))
    one, other = (documents[language] for language in LANGUAGES)
    check("the languages differ in their texts only", list(differences(one, other)))
    titles = [operation.get("summary") for document in (one, other) for _, operation in operations(document)]
    half = len(titles) // 2
    untranslated = [str(left) for left, right in zip(titles[:half], titles[half:]) if left == right]
    check("every summary is translated", untranslated)


main(Path(sys.argv[1]))

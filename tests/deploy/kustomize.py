"""
`kustomize build`, as much of it as deploy/k8s uses, for machines that have neither kustomize nor kubectl. What it does
not know it refuses. Where one of them is there, a test compares the two.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

KNOWN = {
    "apiVersion", "kind", "resources", "components", "configMapGenerator", "patches", "namespace", "nameSuffix",
    "labels", "images",
}  # fmt: skip
ANONYMOUS = ("Namespace",)  # belong to no namespace, and take no suffix
HASH_LETTERS = str.maketrans("013ae", "ghkmt")  # kustomize spells no words by chance


def build(folder: Path) -> list[Object]:
    """The objects that the kustomization in *folder* makes, in no particular order."""
    objects = _accumulated(folder)
    renamed = {}
    for config in objects:
        if config.get("kind") == "ConfigMap" and config.pop("generated", False):
            name = config["metadata"]["name"]
            renamed[name] = config["metadata"]["name"] = f"{name}-{_hash(config)}"
    for reference in (ref for found in objects for ref in config_references(found)):
        reference["name"] = renamed.get(reference["name"], reference["name"])
    return objects


def documents(path: Path) -> list[Object]:
    found = [document for document in yaml.safe_load_all(path.read_text("utf-8")) if document]
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]  # what YAML's aliases share is shared no more


def pod_template(found: Object) -> Object | None:
    template = found.get("spec", {}).get("template") if found["kind"] in ("Deployment", "StatefulSet") else None
    return template if isinstance(template, dict) else None


def containers(found: Object) -> list[Object]:
    spec = (pod_template(found) or {}).get("spec", {})
    return [*spec.get("initContainers", ()), *spec.get("containers", ())]


def config_references(found: Object) -> Iterator[Object]:
    """The dicts in which a workload names a ConfigMap by `name`."""
    for volume in (pod_template(found) or {}).get("spec", {}).get("volumes", ()):
        if "configMap" in volume:
            yield volume["configMap"]
    for container in containers(found):
        yield from (source["configMapRef"] for source in container.get("envFrom", ()) if "configMapRef" in source)


def _accumulated(folder: Path) -> list[Object]:
    said = documents(folder / "kustomization.yaml")[0]
    if unknown := set(said) - KNOWN:
        raise NotImplementedError(f"{folder}: {', '.join(sorted(unknown))}")
    objects = [found for name in said.get("resources", ()) for found in _resource(folder / name)]
    for name in said.get("components", ()):
        objects += _accumulated(folder / name)
    objects += [_config_map(folder, wanted) for wanted in said.get("configMapGenerator", ())]
    objects = [kept for found in objects if (kept := _patched(found, said.get("patches", ()))) is not None]
    for found in objects:
        _transform(found, said)
    return objects


def _resource(path: Path) -> list[Object]:
    return _accumulated(path) if path.is_dir() else documents(path)


def _config_map(folder: Path, wanted: Object) -> Object:
    data = {Path(name).name: (folder / name).read_text("utf-8") for name in wanted.get("files", ())}
    for name in wanted.get("envs", ()):
        lines = (line.strip() for line in (folder / name).read_text("utf-8").splitlines())
        data |= dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    metadata = {"name": wanted["name"]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data, "generated": True}


def _hash(config: Object) -> str:
    """As kustomize does it: of the data, whatever the name, in Go's JSON."""
    told = {"kind": "ConfigMap", "name": "", "data": config["data"]}
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return hashlib.sha256(text.encode()).hexdigest()[:10].translate(HASH_LETTERS)


def _patched(found: Object, patches: list[Object]) -> Object | None:
    for said in patches:
        change = yaml.safe_load(said["patch"])
        if isinstance(change, list):
            if said["target"] == {"kind": found["kind"]}:
                _apply_operations(found, change)
        elif _same(found, change):
            if change.get("$patch") == "delete":
                return None
            found = _merged(found, change)
    return found


def _same(found: Object, change: Object) -> bool:
    return (found["kind"], found["metadata"]["name"]) == (change["kind"], change["metadata"]["name"])


def _apply_operations(found: Any, operations: list[Object]) -> None:
    for operation in operations:
        if operation["op"] not in ("add", "replace"):
            raise NotImplementedError(operation["op"])
        *way, last = operation["path"].lstrip("/").split("/")
        place = found
        for step in way:
            place = place[int(step) if isinstance(place, list) else step]
        place[last] = operation["value"]


def _merged(old: Any, new: Any) -> Any:
    """Strategically: maps by key, lists of named things by name, anything else is replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: _merged(old[key], value) if key in old else value for key, value in new.items()}
    if isinstance(old, list) and isinstance(new, list) and all("name" in item for item in [*old, *new]):
        change = {item["name"]: item for item in new}
        return [_merged(item, change.pop(item["name"], {})) for item in old] + list(change.values())
    return new


def _transform(found: Object, said: Object) -> None:
    metadata = found["metadata"]
    if namespace := said.get("namespace"):
        metadata["name" if found["kind"] in ANONYMOUS else "namespace"] = namespace
    if found["kind"] not in ANONYMOUS and (suffix := said.get("nameSuffix")):
        metadata["name"] += suffix
        if found["kind"] == "StatefulSet":
            found["spec"]["serviceName"] += suffix  # of a Service beside it
    for wanted in said.get("labels", ()):
        _label(found, wanted["pairs"], wanted.get("includeSelectors", False), wanted.get("includeTemplates", False))
    for container in containers(found):
        container["image"] = _image(container["image"], said.get("images", ()))


def _label(found: Object, pairs: dict[str, str], selectors: bool, templates: bool) -> None:
    places = [found["metadata"].setdefault("labels", {})]
    template = pod_template(found)
    if template and (selectors or templates):
        made = [template, *found["spec"].get("volumeClaimTemplates", ())]
        places += [one["metadata"].setdefault("labels", {}) for one in made]
    if selectors:
        places += _selectors(found)
    for place in places:
        place.update(pairs)


def _selectors(found: Object) -> Iterator[dict[str, str]]:
    if found["kind"] == "Service":
        yield found["spec"]["selector"]
    elif found["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
        yield found["spec"]["selector"]["matchLabels"]
        for spread in (pod_template(found) or {}).get("spec", {}).get("topologySpreadConstraints", ()):
            yield spread["labelSelector"]["matchLabels"]


def _image(image: str, wanted: list[Object]) -> str:
    for change in wanted:
        if image == change["name"]:
            return f"{change.get('newName', image)}:{change['newTag']}"
    return image

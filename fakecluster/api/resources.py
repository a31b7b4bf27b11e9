"""Which resources a server has: the built-in ones of Kubernetes 1.36 and those that CustomResourceDefinitions add."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from importlib import resources as package_files
from typing import Any

import attrs

from fakecluster.api.status import qualified


@attrs.frozen
class Subresource:
    """A subresource: its own kind may live in another group (``autoscaling/v1`` Scale)."""

    name: str
    kind: str
    verbs: tuple[str, ...]
    group: str = ""
    version: str = ""


#: Resources whose objects are those of another one.
STORED_AS = {"events.events.k8s.io": "events"}


@attrs.frozen
class Resource:
    """One resource in one version, as discovery shows it."""

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool
    verbs: tuple[str, ...]
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: dict[str, Subresource] = attrs.field(factory=dict, hash=False)
    list_kind: str = ""  # custom resources may name it otherwise than <kind>List
    custom: Any = attrs.field(default=None, eq=False, repr=False)  # the version of its CustomResourceDefinition
    key: str = attrs.field(init=False)  # where objects are stored: "pods", "deployments.apps"
    api_version: str = attrs.field(init=False)  # "v1", "apps/v1"

    def __attrs_post_init__(self) -> None:
        name = qualified(self.plural, self.group)
        object.__setattr__(self, "key", STORED_AS.get(name, name))
        object.__setattr__(self, "api_version", f"{self.group}/{self.version}" if self.group else self.version)

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources


@attrs.frozen
class GroupVersions:
    """One API group and its versions, the preferred one first."""

    group: str
    versions: tuple[str, ...]


class Registry:
    """Lookup of resources by path and by kind; forking shares the built-in part."""

    def __init__(self, groups: list[GroupVersions], by_path: dict[tuple[str, str, str], Resource]) -> None:
        self.groups = groups
        self.by_path = by_path  # (group, version, plural)
        self._by_key: dict[str, Resource] = {}
        self._by_kind: dict[tuple[str, str], Resource] = {}
        for resource in by_path.values():
            self._by_key.setdefault(qualified(resource.plural, resource.group), resource)
            self._by_kind.setdefault((resource.api_version, resource.kind), resource)

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self.by_path.get((group, version, plural))

    def by_key(self, key: str) -> Resource:
        """The resource named ``plural[.group]`` in its preferred version; KeyError when there is none."""
        return self._by_key[key]

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        return self._by_kind.get((api_version, kind))

    def versions(self, group: str) -> tuple[str, ...]:
        return next((g.versions for g in self.groups if g.group == group), ())

    def of_version(self, group: str, version: str) -> Iterator[Resource]:
        """Every resource of a group version, in discovery's order."""
        return (r for (g, v, _), r in self.by_path.items() if g == group and v == version)

    def with_custom(self, group: str, versions: tuple[str, ...], resources: list[Resource]) -> Registry:
        """The registry in which `resources` (all of one custom kind) are served as well."""
        keys = {resource.key for resource in resources}
        by_path = {path: r for path, r in self.by_path.items() if r.key not in keys}
        by_path |= {(r.group, r.version, r.plural): r for r in resources}
        groups = [g for g in self.groups if g.group != group] + [GroupVersions(group, versions)]
        return Registry(groups, by_path)

    def without(self, key: str) -> Registry:
        """The registry after a custom kind has gone."""
        by_path = {path: r for path, r in self.by_path.items() if r.key != key}
        served = {(r.group, r.version) for r in by_path.values()}
        groups = []
        for entry in self.groups:
            versions = tuple(version for version in entry.versions if (entry.group, version) in served)
            if versions:
                groups.append(GroupVersions(entry.group, versions))
        return Registry(groups, by_path)


@functools.cache
def built_in() -> Registry:
    """The resources of a Kubernetes 1.36 server (from its recorded discovery documents)."""
    text = package_files.files("fakecluster.api").joinpath("data/resources-1.36.json").read_text()
    groups, by_path = [], {}
    for entry in json.loads(text)["groups"]:
        groups.append(GroupVersions(entry["group"], tuple(v["version"] for v in entry["versions"])))
        for version in entry["versions"]:
            for row in version["resources"]:
                resource = _resource(entry["group"], version["version"], row)
                by_path[resource.group, resource.version, resource.plural] = resource
    return Registry(groups, by_path)


def _resource(group: str, version: str, row: dict[str, Any]) -> Resource:
    subresources = {
        sub["subresource"]: Subresource(
            sub["subresource"], sub["kind"], tuple(sub["verbs"]), sub.get("group", ""), sub.get("version", "")
        )
        for sub in row.get("subresources", ())
    }
    return Resource(
        group,
        version,
        row["resource"],
        row["singular"],
        row["kind"],
        row["namespaced"],
        tuple(row["verbs"]),
        tuple(row.get("shortNames", ())),
        tuple(row.get("categories", ())),
        subresources,
    )

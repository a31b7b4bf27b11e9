"""May this user do this? Role-based access control as the server evaluates it (`plugin/pkg/auth/authorizer/rbac`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs

from fakecluster.api import status
from fakecluster.api.rest.users import MASTERS, User

if TYPE_CHECKING:
    from fakecluster.api.rest.call import Call
    from fakecluster.api.store import Store


@attrs.frozen
class Question:
    """What somebody wants to do: with a resource, or (path not empty) with a plain path."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@attrs.frozen
class Decision:
    """Whether, and why."""

    allowed: bool
    reason: str = ""


DISCOVERY_PATHS = (
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
)
PUBLIC_PATHS = ("/healthz", "/livez", "/readyz", "/version", "/version/")
#: The bindings that a server makes for itself at start: (role, its rules, the groups that have it).
BUILT_IN: tuple[tuple[str, list[dict[str, Any]], tuple[str, ...]], ...] = (
    (
        "system:basic-user",
        [
            {
                "verbs": ["create"],
                "apiGroups": ["authorization.k8s.io"],
                "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
            },
            {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
        ],
        ("system:authenticated",),
    ),
    (
        "system:discovery",
        [{"verbs": ["get"], "nonResourceURLs": list(DISCOVERY_PATHS)}],
        ("system:authenticated",),
    ),
    (
        "system:public-info-viewer",
        [{"verbs": ["get"], "nonResourceURLs": list(PUBLIC_PATHS)}],
        ("system:authenticated", "system:unauthenticated"),
    ),
    (
        "system:service-account-issuer-discovery",
        [{"verbs": ["get"], "nonResourceURLs": ["/.well-known", "/.well-known/*"]}],
        ("system:authenticated",),
    ),
)


def authorize(call: Call) -> None:
    """403 when the user of a call may not do it."""
    question = question_of(call)
    if not decide(call.server.store, call.user, question).allowed:
        raise refusal(call.user, question)


def question_of(call: Call) -> Question:
    target = call.target
    if not target.is_resource:
        return Question(target.verb, path=target.path)
    return Question(target.verb, target.group, target.resource, target.subresource, target.namespace, target.name)


def refusal(user: User, question: Question) -> status.ApiError:
    """The Forbidden of a question that was answered with no."""
    if question.path:
        words = f'User "{user.name}" cannot {question.verb} path "{question.path}"'
        return status.failure(403, "Forbidden", f"forbidden: {words}", {})
    scope = f'in the namespace "{question.namespace}"' if question.namespace else "at the cluster scope"
    words = (
        f'User "{user.name}" cannot {question.verb} resource "{question.full_resource}" in API group '
        f'"{question.group}" {scope}'
    )
    return status.forbidden(question.resource, question.group, question.name, words)


def authorize_impersonation(call: Call, other: User) -> None:
    """403 when the user may not act as `other`."""
    if MASTERS in call.user.groups:
        return
    question = question_of(call)
    asked = attrs.evolve(question, verb=f"impersonate-on:user-info:{question.verb}")
    if not decide(call.server.store, call.user, asked).allowed:
        raise refusal(call.user, asked)


def decide(store: Store, user: User, question: Question) -> Decision:
    """The answer of RBAC, with the words that access reviews show."""
    if MASTERS in user.groups:
        return Decision(True)
    for rules, reason in rules_for(store, user, question.namespace):
        if any(allows(rule, question) for rule in rules):
            return Decision(True, reason)
    return Decision(False)


def rules_for(store: Store, user: User, namespace: str) -> Iterator[tuple[list[dict[str, Any]], str]]:
    """The rules that apply to a user in a namespace (cluster-wide ones included) and what gives them."""
    for role, rules, groups in BUILT_IN:
        for group in groups:
            if group in user.all_groups:
                yield rules, f'RBAC: allowed by ClusterRoleBinding "{role}" of ClusterRole "{role}" to Group "{group}"'
                break
    for binding in store.list("clusterrolebindings.rbac.authorization.k8s.io"):
        subject = subject_of(binding, user)
        if subject:
            rules = role_rules(store, binding["roleRef"], "")
            name, role = binding["metadata"]["name"], binding["roleRef"]["name"]
            yield rules, f'RBAC: allowed by ClusterRoleBinding "{name}" of ClusterRole "{role}" to {subject}'
    if not namespace:
        return
    for binding in store.list("rolebindings.rbac.authorization.k8s.io", namespace):
        subject = subject_of(binding, user)
        if subject:
            reference, name = binding["roleRef"], binding["metadata"]["name"]
            kind, role = reference["kind"], reference["name"]
            reason = f'RBAC: allowed by RoleBinding "{name}/{namespace}" of {kind} "{role}" to {subject}'
            yield role_rules(store, reference, namespace), reason


def role_rules(store: Store, reference: dict[str, Any], namespace: str) -> list[dict[str, Any]]:
    plural, where = ("clusterroles", "") if reference["kind"] == "ClusterRole" else ("roles", namespace)
    role = store.get(f"{plural}.rbac.authorization.k8s.io", where, reference["name"])
    rules: list[dict[str, Any]] = (role or {}).get("rules") or []
    return rules


def subject_of(binding: dict[str, Any], user: User) -> str:
    """The words for the subject of a binding that this user is; empty when none is."""
    for subject in binding.get("subjects") or ():
        kind, name = subject["kind"], subject["name"]
        if kind == "User" and name == user.name:
            return f'User "{name}"'
        if kind == "Group" and name in user.all_groups:
            return f'Group "{name}"'
        if kind == "ServiceAccount" and user.name == f"system:serviceaccount:{subject.get('namespace', '')}:{name}":
            return f'ServiceAccount "{name}/{subject.get("namespace", "")}"'
    return ""


def allows(rule: dict[str, Any], question: Question) -> bool:
    """Whether one PolicyRule covers a question."""
    if not _has(rule.get("verbs"), question.verb):
        return False
    if question.path:
        return any(_path_matches(pattern, question.path) for pattern in rule.get("nonResourceURLs") or ())
    if not _has(rule.get("apiGroups"), question.group):
        return False
    wanted = rule.get("resources") or ()
    if not (_has(wanted, question.full_resource) or (question.subresource and f"*/{question.subresource}" in wanted)):
        return False
    names = rule.get("resourceNames")
    return not names or question.name in names


def _has(values: Any, wanted: str) -> bool:
    return "*" in (values or ()) or wanted in (values or ())


def _path_matches(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern[:-1]))

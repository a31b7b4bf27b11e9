"""Resources that are questions: access reviews, the own user, tokens. They are answered, never stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakecluster.api import managed, object_meta, ownership, status
from fakecluster.api.resources import Resource
from fakecluster.api.rest import authorization, objects, options
from fakecluster.api.rest.authorization import Question
from fakecluster.api.rest.call import Call
from fakecluster.api.rest.response import Response
from fakecluster.api.rest.users import MASTERS, User
from fakecluster.api.status import ApiError, JsonObject
from fakecluster.api.strategy import FieldError, invalid

NOT_BOTH = "exactly one of nonResourceAttributes or resourceAttributes must be specified"


def answer(call: Call, resource: Resource) -> Response:
    """Answer one question."""
    wanted = options.write_options("CreateOptions", call.query)
    review = objects.incoming(call, resource, wanted.field_validation)
    lines = managed_lines(call, resource, review) if resource.key in MANAGED else []
    review = QUESTIONS[resource.key](call, review)
    meta = {key: value for key, value in review["metadata"].items() if key == "creationTimestamp"}
    if lines:
        meta["managedFields"] = lines
    return Response(201, {"kind": resource.kind, "apiVersion": resource.api_version, **review, "metadata": meta})


def managed_lines(call: Call, resource: Resource, review: JsonObject) -> list[JsonObject]:
    """Reviews carry managedFields as everything that is created does."""
    node = ownership.type_of_resource(resource)
    writer = managed.Writer(call.agent, "Update", resource.api_version)
    zero = ownership.zero_object(resource)
    entries = managed.updated(node, {}, writer, call.server.clock.unix_s, zero, review, (("f:status",),))
    return managed.rendered(entries)


def question_in(call: Call, review: JsonObject) -> Question:
    """The question of an access review's spec; 422 when it asks for nothing or for two things."""
    spec = review.get("spec") or {}
    asked, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (asked is None) == (path is None):
        raise refused([invalid("spec.resourceAttributes", asked, NOT_BOTH)])
    if path is not None:
        return Question(path.get("verb", ""), path=path.get("path", ""))
    asked = asked or {}
    fields = ("verb", "group", "resource", "subresource", "namespace", "name")
    return Question(**{field: asked.get(field, "") for field in fields})


def refused(errors: list[FieldError]) -> ApiError:
    """The real server forgets to name the kind."""
    causes = [(error.type, error.field, error.message) for error in errors]
    return status.invalid("", "authorization.k8s.io", "", causes)


def own_access(call: Call, review: JsonObject) -> JsonObject:
    return _answered(review, call, call.user, question_in(call, review))


def access(call: Call, review: JsonObject) -> JsonObject:
    question = question_in(call, review)
    spec = review["spec"]
    if not spec.get("user") and not spec.get("groups"):
        words = "at least one of user or group must be specified"
        raise refused([invalid("spec.user", spec.get("user", ""), words)])
    known = call.server.users.get(spec.get("user", ""))
    groups = tuple(spec.get("groups") or ())
    user = User(spec.get("user", ""), groups or (known.groups if known else ()))
    return _answered(review, call, user, question)


def local_access(call: Call, review: JsonObject) -> JsonObject:
    question = question_in(call, review)
    if question.namespace != call.target.namespace:
        words = f'must match metadata.namespace "{call.target.namespace}"'
        raise refused([invalid("spec.resourceAttributes.namespace", question.namespace, words)])
    return access(call, review)


def _answered(review: JsonObject, call: Call, user: User, question: Question) -> JsonObject:
    decision = authorization.decide(call.server.store, user, question)
    found: JsonObject = {"allowed": decision.allowed}
    if decision.reason:
        found["reason"] = decision.reason
    return {**review, "status": found}


def own_user(call: Call, review: JsonObject) -> JsonObject:
    user = call.user
    info: JsonObject = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    info["groups"] = list(user.all_groups)
    stamp = object_meta.timestamp(call.server.clock.unix_s)
    return {**review, "metadata": {"creationTimestamp": stamp}, "status": {"userInfo": info}}


def token(call: Call, review: JsonObject) -> JsonObject:
    known = call.server.tokens.get((review.get("spec") or {}).get("token", ""))
    if known is None:
        return {**review, "status": {"user": {}, "error": "invalid bearer token"}}
    info = {"username": known.name, "uid": known.uid, "groups": list(known.all_groups)}
    return {**review, "status": {"authenticated": True, "user": info}}


def own_rules(call: Call, review: JsonObject) -> JsonObject:
    namespace = (review.get("spec") or {}).get("namespace", "")
    if not namespace:
        raise status.bad_request("no namespace on request")
    found: list[dict[str, Any]] = []
    for rules, _ in authorization.rules_for(call.server.store, call.user, namespace):
        found += rules
    if MASTERS in call.user.groups:
        found.append({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})
        found.append({"verbs": ["*"], "nonResourceURLs": ["*"]})
    answered = {
        "resourceRules": [_rule(rule, RESOURCE_RULE) for rule in found if rule.get("resources")],
        "nonResourceRules": [_rule(rule, PATH_RULE) for rule in found if rule.get("nonResourceURLs")],
        "incomplete": False,
    }
    return {**review, "spec": {}, "status": answered}


RESOURCE_RULE = ("verbs", "apiGroups", "resources", "resourceNames")
PATH_RULE = ("verbs", "nonResourceURLs")


def _rule(rule: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return {field: list(rule[field]) for field in fields if rule.get(field)}


QUESTIONS: dict[str, Callable[[Call, JsonObject], JsonObject]] = {
    "selfsubjectaccessreviews.authorization.k8s.io": own_access,
    "subjectaccessreviews.authorization.k8s.io": access,
    "localsubjectaccessreviews.authorization.k8s.io": local_access,
    "selfsubjectrulesreviews.authorization.k8s.io": own_rules,
    "selfsubjectreviews.authentication.k8s.io": own_user,
    "tokenreviews.authentication.k8s.io": token,
}
MANAGED = frozenset(
    key
    for key in QUESTIONS
    if key not in ("selfsubjectrulesreviews.authorization.k8s.io", "selfsubjectreviews.authentication.k8s.io")
)

"""The served OpenAPI documents: v3 by group version, v2 as one, in JSON and in kubectl's protobuf."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fakecluster.api.rest import Response
from fakecluster.api.rest.openapi_protobuf import message
from fakecluster.api.rest.openapi_v2 import converted
from fakecluster.api.rest.protobuf import fields

Call = Callable[..., Response]
PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_an_operation_says_what_it_takes_and_gives(call: Call) -> None:
    found = call("GET", "/openapi/v3/api/v1").value["paths"]["/api/v1/namespaces/{namespace}/services"]
    service = {"$ref": "#/components/schemas/io.k8s.api.core.v1.Service"}
    assert found["post"]["requestBody"]["content"] == {"*/*": {"schema": service}}
    listed = found["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert listed == {"$ref": "#/components/schemas/io.k8s.api.core.v1.ServiceList"}


def test_everything_that_a_document_refers_to_is_in_it(call: Call) -> None:
    for name in ("api/v1", "apis/apps/v1"):
        document = call("GET", f"/openapi/v3/{name}").value
        known = {f"#/components/schemas/{one}" for one in document["components"]["schemas"]}
        assert {*references(document)} - known == set()
    document = call("GET", "/openapi/v2").value
    assert {*references(document)} - {f"#/definitions/{one}" for one in document["definitions"]} == set()


def test_the_older_language_has_no_choices_and_bodies_are_parameters(call: Call) -> None:
    document = call("GET", "/openapi/v2").value
    assert (document["swagger"], document["info"]["title"]) == ("2.0", "Kubernetes")
    port = document["definitions"]["io.k8s.api.core.v1.ServicePort"]["properties"]["targetPort"]
    assert port == {"$ref": "#/definitions/io.k8s.apimachinery.pkg.util.intstr.IntOrString"}
    definition = document["definitions"]["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]
    assert definition == {"format": "int-or-string", "type": "string"}
    post = document["paths"]["/api/v1/namespaces"]["post"]
    schema = {"$ref": "#/definitions/io.k8s.api.core.v1.Namespace"}
    assert post["parameters"][0] == {"in": "body", "name": "body", "required": True, "schema": schema}
    assert {"in": "query", "name": "dryRun", "type": "string", "uniqueItems": True} in post["parameters"]


def test_nullable_and_any_of_are_left_out() -> None:
    assert converted({"type": "string", "nullable": True, "anyOf": [{"type": "string"}]}) == {"type": "string"}


def test_a_custom_kind_is_in_the_document(call: Call) -> None:
    names = {"plural": "shops", "singular": "shop", "kind": "Shop", "listKind": "ShopList"}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    before = call("GET", "/openapi/v2").value["definitions"]
    definition = {"metadata": {"name": "shops.example.com"}, "spec": spec}
    assert call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition).status == 201
    after = call("GET", "/openapi/v2").value["definitions"]
    assert {*after} - {*before} == {"com.example.v1.Shop"}


def test_kubectl_gets_protobuf_and_others_what_they_take(call: Call) -> None:
    answer = call("GET", "/openapi/v2", accept=PROTOBUF)
    assert (answer.status, answer.content_type) == (200, PROTOBUF.replace("@", "."))
    top = [number for number, _, _ in fields(answer.body)]
    assert sorted(set(top)) == [1, 2, 8, 9, 12, 13]
    (paths,) = (value for number, _, value in fields(answer.body) if number == 8)
    named = dict(parts(value) for number, _, value in fields(paths) if number == 2)
    assert {2, 4} <= {number for number, _, _ in fields(named[b"/api/v1/namespaces/{namespace}/pods"])}
    assert call("GET", "/openapi/v2", accept="text/html").status == 406
    assert call("POST", "/openapi/v2", {}).status == 405


def parts(message: bytes) -> tuple[bytes, bytes]:
    found = {number: value for number, _, value in fields(message)}
    return found[1], found[2]


def test_a_schema_in_protobuf() -> None:
    schema = {"type": "object", "required": ["a"], "maxProperties": 3, "x-kubernetes-map-type": "atomic"}
    assert message("Schema", schema) == (
        b"\xb2\x01\x08\x0a\x06object"  # 22: a TypeItem
        b"\x9a\x01\x01a"  # 19
        b"\x88\x01\x03"  # 17
        b'\xfa\x01\x24\x0a\x15x-kubernetes-map-type\x12\x0b\x12\x09"atomic"\x0a'  # 31: a name and YAML
    )

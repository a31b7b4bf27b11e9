"""The hash of a Pod template, as a real controller manager (1.36) computed it."""

import pytest

from fakecluster.controllers.template_hash import fnv1, fnv1a, printed, safe_text, template_hash


def template(labels: dict[str, str], **container: object) -> dict:
    main = {
        "name": "main",
        "image": "registry.k8s.io/pause:3.10",
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        **container,
    }
    spec = {
        "containers": [main],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
    }
    return {"metadata": {"labels": labels}, "spec": spec}


def test_a_template_has_the_hash_that_the_real_one_gave_it():
    assert template_hash(template({"app": "webf"})) == "654587fd47"


def test_a_collision_changes_the_hash():
    assert template_hash(template({"app": "webf"}), 1) != "654587fd47"


def test_an_unset_field_counts_and_an_order_of_labels_does_not():
    one, other = template({"a": "1", "b": "2"}), template({"b": "2", "a": "1"})
    assert template_hash(one) == template_hash(other)
    assert template_hash(one) != template_hash(template({"a": "1"}))


@pytest.mark.parametrize(
    ("go_type", "value", "text"),
    [
        ("string", None, "(string)"),
        ("*int64", None, "(*int64)<nil>"),
        ("*int64", 30, "(*int64)30"),
        ("[]string", ["a", "b"], "([]string)[a b]"),
        ("v1.PullPolicy", "Always", "(v1.PullPolicy)Always"),
        ("map[string]string", {"b": "2", "a": "1"}, "(map[string]string)map[a:1 b:2]"),
        ("intstr.IntOrString", "http", "(intstr.IntOrString){Type:(intstr.Type)1 IntVal:(int32)0 StrVal:(string)http}"),
        ("v1.LocalObjectReference", {"name": "x"}, "(v1.LocalObjectReference){Name:(string)x}"),
    ],
)
def test_values_print_as_go_prints_them(go_type, value, text):
    assert printed(go_type, value) == text


@pytest.mark.parametrize(
    ("text", "value", "scale", "form"),
    [("100m", 100, -3, "DecimalSI"), ("2", 2, 0, "DecimalSI"), ("1Gi", 1073741824, 0, "BinarySI")],
)
def test_quantities_print_with_their_parts(text, value, scale, form):
    assert printed("resource.Quantity", text) == (
        f"(resource.Quantity){{i:(resource.int64Amount){{value:(int64){value} scale:(resource.Scale){scale}}} "
        f"d:(resource.infDecAmount){{Dec:(*inf.Dec)<nil>}} s:(string){text} Format:(resource.Format){form}}}"
    )


def test_the_two_hash_functions_agree_with_their_published_values():
    assert (fnv1(b"foobar"), fnv1a(b"foobar")) == (0x31F0B262, 0xBF9CF968)
    assert safe_text(2101439803) == "654587fd47"

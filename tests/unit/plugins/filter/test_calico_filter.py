# Copyright: (c) 2026, the hardway.kubernetes authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Calico's objects from manifests that are laid out as upstream's, in little."""

from __future__ import annotations

import base64

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.hardway.kubernetes.plugins.filter import calico

POD = """
    spec:
      initContainers:
        - {name: install-cni, image: "quay.io/calico/cni:v3.32.1", env: [{name: SLEEP, value: "false"}]}
      containers:
        - name: NAME
          image: "quay.io/calico/NAME:v3.32.1"
          env:
            - {name: IP, value: autodetect}
            - {name: CALICO_IPV4POOL_IPIP, value: Always}
            - {name: FELIX_VXLANMTU, valueFrom: {configMapKeyRef: {name: calico-config, key: veth_mtu}}}
          livenessProbe: {exec: {command: [/bin/calico-node, -felix-live, -bird-live]}}
          readinessProbe: {exec: {command: [/bin/calico-node, -felix-ready, -bird-ready]}}
      volumes:
        - {name: cni-bin-dir, hostPath: {path: /opt/cni/bin}}
        - {name: cni-net-dir, hostPath: {path: /etc/cni/net.d}}
"""
MANIFEST = f"""
# upstream begins with a comment
---
kind: CustomResourceDefinition
metadata: {{name: ippools.crd.projectcalico.org}}
---
kind: ServiceAccount
metadata: {{name: calico-node, namespace: kube-system}}
---
kind: Secret
metadata: {{name: calico-etcd-secrets, namespace: kube-system}}
data:
---
kind: ConfigMap
metadata: {{name: calico-config, namespace: kube-system}}
data: {{etcd_endpoints: "http://<ETCD_IP>:<ETCD_PORT>", etcd_ca: "", calico_backend: bird, veth_mtu: "0"}}
---
kind: DaemonSet
metadata: {{name: calico-node, namespace: kube-system}}
spec:
  template:
    metadata: {{labels: {{k8s-app: calico-node}}}}{POD.replace("NAME", "calico-node")}
---
kind: Deployment
metadata: {{name: calico-kube-controllers, namespace: kube-system}}
spec:
  template:
    metadata: {{name: calico-kube-controllers}}{POD.replace("NAME", "kube-controllers")}
"""
OPERATOR = """
kind: Deployment
metadata: {name: tigera-operator, namespace: tigera-operator}
spec: {template: {spec: {containers: [{name: tigera-operator, image: "quay.io/tigera/operator:v1.42.3"}]}}}
"""
SETTINGS = {
    "datastore": "kubernetes", "encapsulation": "vxlan", "bgp": False, "mtu": 0, "block_size": 26, "nat_outgoing": True, "registry": "", "image_path": "",
    "apiserver": True, "environment": {}, "pod_network": "10.244.0.0/16", "bin_dir": "/opt/cni/calico", "certificate": "",
    "etcd_endpoints": ["https://192.0.2.11:2379", "https://192.0.2.12:2379"],
}  # fmt: skip


def objects(text: str = MANIFEST, **settings) -> dict[str, dict]:
    return {item["kind"]: item for item in calico.calico_objects(text, {**SETTINGS, **settings})}


def container(found: dict[str, dict]) -> dict:
    return found["DaemonSet"]["spec"]["template"]["spec"]["containers"][0]


def environment(**settings) -> dict[str, str]:
    return {entry["name"]: entry.get("value") for entry in container(objects(**settings))["env"]}


def test_kinds_and_objects_are_told_apart_and_what_is_secret_is_left_out():
    assert [item["metadata"]["name"] for item in calico.calico_kinds(MANIFEST)] == ["ippools.crd.projectcalico.org"]
    assert set(objects()) == {"ServiceAccount", "ConfigMap", "DaemonSet", "Deployment"}


@pytest.mark.parametrize(
    ("encapsulation", "ipip", "vxlan", "operator"),
    [
        ("vxlan", "Never", "Always", "VXLAN"),
        ("vxlan-cross-subnet", "Never", "CrossSubnet", "VXLANCrossSubnet"),
        ("ipip", "Always", "Never", "IPIP"),
        ("ipip-cross-subnet", "CrossSubnet", "Never", "IPIPCrossSubnet"),
        ("none", "Never", "Never", "None"),
    ],
)
def test_encapsulations_in_upstreams_words(encapsulation, ipip, vxlan, operator):
    found = environment(encapsulation=encapsulation)
    assert (found["CALICO_IPV4POOL_IPIP"], found["CALICO_IPV4POOL_VXLAN"]) == (ipip, vxlan)
    installation = calico.calico_resources({**SETTINGS, "encapsulation": encapsulation})[0]
    assert installation["spec"]["calicoNetwork"]["ipPools"][0]["encapsulation"] == operator


def test_the_pool_and_the_node_s_address_are_the_cluster_s():
    found = environment(block_size=24, nat_outgoing=False)
    wanted = {"CIDR": "10.244.0.0/16", "BLOCK_SIZE": "24", "NAT_OUTGOING": "false"}
    assert {name: found[f"CALICO_IPV4POOL_{name}"] for name in wanted} == wanted
    assert (found["IP_AUTODETECTION_METHOD"], found["IP"]) == ("kubernetes-internal-ip", "autodetect")
    names = [entry["name"] for entry in container(objects())["env"]]
    assert len(names) == len(set(names)), "a variable that upstream has is replaced"


def test_without_bgp_nobody_asks_for_bird():
    without, with_it = objects(bgp=False), objects(bgp=True, encapsulation="ipip")
    assert (
        without["ConfigMap"]["data"]["calico_backend"] == "vxlan"
        and with_it["ConfigMap"]["data"]["calico_backend"] == "bird"
    )
    assert container(without)["readinessProbe"]["exec"]["command"] == ["/bin/calico-node", "-felix-ready"]
    assert container(with_it)["livenessProbe"]["exec"]["command"][-1] == "-bird-live"


def test_plugins_go_to_a_directory_of_their_own():
    volumes = objects()["DaemonSet"]["spec"]["template"]["spec"]["volumes"]
    assert [volume["hostPath"]["path"] for volume in volumes] == ["/opt/cni/calico", "/etc/cni/net.d"]


def test_a_given_environment_is_laid_over_upstreams():
    found = environment(environment={"IP": None, "FELIX_VXLANMTU": 1400, "FELIX_WIREGUARDENABLED": True})
    assert "IP" not in found and found["FELIX_VXLANMTU"] == "1400" and found["FELIX_WIREGUARDENABLED"] == "true"


def test_every_image_comes_from_the_registry_that_is_given():
    found = objects(registry="registry.example.org:5000/", image_path="mirror/calico")
    pod = found["DaemonSet"]["spec"]["template"]["spec"]
    assert [item["image"] for item in pod["initContainers"] + pod["containers"]] == [
        "registry.example.org:5000/mirror/calico/cni:v3.32.1",
        "registry.example.org:5000/mirror/calico/calico-node:v3.32.1",
    ]
    assert (
        calico.image("quay.io/tigera/operator:v1.42.3", "registry.example.org")
        == "registry.example.org/tigera/operator:v1.42.3"
    )
    assert calico.image("quay.io/tigera/operator:v1.42.3") == "quay.io/tigera/operator:v1.42.3"
    operator = objects(OPERATOR, registry="registry.example.org", image_path="calico")["Deployment"]
    assert (
        operator["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.example.org/calico/operator:v1.42.3"
    )


def test_etcd_its_certificates_and_what_starts_the_pods_anew():
    data = objects(datastore="etcd")["ConfigMap"]["data"]
    assert data["etcd_endpoints"] == "https://192.0.2.11:2379,https://192.0.2.12:2379"
    assert (data["etcd_ca"], data["etcd_cert"], data["etcd_key"]) == tuple(
        f"/calico-secrets/etcd-{name}" for name in ("ca", "cert", "key")
    )
    assert objects()["ConfigMap"]["data"]["etcd_ca"] == "", "with its data in the API there is no etcd to ask"
    (secret,) = calico.calico_keys("authority", "certificate", "key\n")
    assert {name: base64.b64decode(value).decode() for name, value in secret["data"].items()} == {
        "etcd-ca": "authority", "etcd-cert": "certificate", "etcd-key": "key\n",
    }  # fmt: skip
    digests = set()
    for settings in ({}, {"datastore": "etcd"}, {"datastore": "etcd", "certificate": "another"}, {"mtu": 1400}):
        found = objects(**settings)
        pair = [
            found[kind]["spec"]["template"]["metadata"]["annotations"][calico.CONFIGURATION]
            for kind in ("DaemonSet", "Deployment")
        ]
        assert pair[0] == pair[1]
        digests.add(pair[0])
    assert len(digests) == 4


def test_what_the_operator_is_asked_for():
    installation, apiserver = calico.calico_resources(
        {**SETTINGS, "registry": "registry.example.org", "image_path": "/calico/", "mtu": 1400, "bgp": True}
    )
    spec = installation["spec"]
    assert (spec["registry"], spec["imagePath"]) == ("registry.example.org/", "calico")
    assert spec["cni"]["binDir"] == "/opt/cni/calico"
    assert (spec["calicoNetwork"]["bgp"], spec["calicoNetwork"]["mtu"]) == ("Enabled", 1400)
    assert apiserver["kind"] == "APIServer"
    plain = calico.calico_resources({**SETTINGS, "apiserver": False})
    assert (
        len(plain) == 1
        and not {"registry", "imagePath"} & set(plain[0]["spec"])
        and "mtu" not in plain[0]["spec"]["calicoNetwork"]
    )


def test_anything_may_be_laid_over_the_installation():
    over = {"controlPlaneReplicas": 1, "flexVolumePath": None, "calicoNetwork": {"linuxDataplane": "Nftables"}}
    spec = calico.calico_resources(SETTINGS, over)[0]["spec"]
    assert spec["controlPlaneReplicas"] == 1 and "flexVolumePath" not in spec
    assert spec["calicoNetwork"]["linuxDataplane"] == "Nftables" and spec["calicoNetwork"]["ipPools"]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "is empty"),
        ("<html>not found</html>", "not a list of objects"),
        ("a: [", "not a list of objects"),
        (MANIFEST.replace("name: calico-config, n", "name: other, n"), "no object ConfigMap calico-config"),
        (MANIFEST.replace("cni-bin-dir", "other"), "no volume cni-bin-dir"),
        (MANIFEST.replace("- name: calico-node", "- name: other"), "no container calico-node"),
    ],
)
def test_a_manifest_that_is_none_is_refused_by_name(text, cause):
    with pytest.raises(AnsibleFilterError, match=cause):
        calico.calico_objects(text, SETTINGS)


def test_an_unknown_encapsulation_is_refused():
    with pytest.raises(AnsibleFilterError, match="cni_calico_encapsulation"):
        calico.calico_resources({**SETTINGS, "encapsulation": "gre"})


def test_what_is_made_can_be_written_as_yaml():
    text = yaml.safe_dump_all([*calico.calico_objects(MANIFEST, SETTINGS), *calico.calico_resources(SETTINGS)])
    assert len(list(yaml.safe_load_all(text))) == 6
